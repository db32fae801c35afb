# shellcheck shell=bash
# shellcheck disable=SC2154 # scripts/demo sets the variables
# What the demonstration claims, checked.

passed=0 failed=0

# holds CLAIM COMMAND...   prints the claim with its truth; what the command printed shows why when it is false
holds() {
    local said
    if said=$("${@:2}" 2>&1); then
        passed=$((passed + 1))
        printf '  yes  %s\n' "$1"
    else
        failed=$((failed + 1))
        printf '  NO   %s\n' "$1"
        printf '%s\n' "$said" | sed 's/^/       | /'
    fi
}

# equal FOUND EXPECTED
equal() {
    echo "found: $1, expected: $2"
    [[ $1 == "$2" ]]
}

# await SECONDS WHAT COMMAND...   until the command succeeds; what stands in the way is said when it never does
await() {
    local seconds=$1 what=$2 deadline=$((SECONDS + $1)) said
    shift 2
    until said=$("$@" 2>&1); do
        if [[ -n $supervisor ]] && ! kill -0 "$supervisor" 2>/dev/null; then
            tail -n 20 "$scratch/supervisor.log" >&2
            die "the supervisor has ended; the end of its log stands above"
        fi
        if ((SECONDS >= deadline)); then
            tail -n 20 "$scratch/supervisor.log" >&2
            die "$what: not within $seconds s. Last seen: $said"
        fi
        sleep 0.1
    done
}

query() { psql -XAtq -v ON_ERROR_STOP=1 "$DATABASE_URL" -c "$1"; }

# The demonstration's database, as superuser.
own_database() { echo "${ADMIN_DATABASE_URL%/*}/$(query 'SELECT current_database()')"; }

superuser() { psql -XAtq -v ON_ERROR_STOP=1 "$(own_database)" -c "$1"; }

# as_tenant_1 STATEMENTS   as if its worker had sent them
as_tenant_1() { psql -XAtq -v ON_ERROR_STOP=1 "$(own_database)" -c 'SET SESSION AUTHORIZATION tenant_1' -c "$1" | tail -n 1; }

# Whose consumers there are at the tenants' queues; the broker is a few seconds late with its figures.
users_at_the_broker() {
    local found deadline=$((SECONDS + 15))
    while found=$(curl -sSf -m 10 "$MANAGEMENT_URL/api/consumers" |
        jq -r '[.[] | select(.queue.name | startswith("transform_queue_tenant_")) | .channel_details.user] | sort | join(" ")'); do
        if [[ $(wc -w <<<"$found") == 3 && $found == tenant_* ]] || ((SECONDS >= deadline)); then break; fi
        sleep 0.5
    done
    echo "$found"
}

three_users() {
    local pid users
    users=$(for pid in $(of_worker 1 pid) $(of_worker 2 pid) $(of_worker 3 pid); do grep '^Uid:' "/proc/$pid/status"; done |
        sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' | sort -u)
    echo "users: $users"
    [[ $(wc -w <<<"$users") == 3 && " $users " != *' 0 '* ]]
}

# completed TENANT   raw rows that are done
completed() { query "SELECT count(*) FROM raw_extraction_data WHERE tenant_id = $1 AND status = 'completed'"; }

documents_of() { query "SELECT count(*) FROM raw_extraction_data WHERE tenant_id = $1"; }

all_completed() { equal "$(completed "$1")" "$(documents_of "$1")"; }

all_running() { equal "$(fleet '[.tenants[].workers[].state] | join(" ")')" 'RUNNING RUNNING RUNNING'; }

# restarted TENANT OLD_PID
restarted() {
    local state pid
    state=$(of_worker "$1" state) pid=$(of_worker "$1" pid)
    echo "state $state, pid $pid; it was $2"
    [[ $state == RUNNING && $pid != "$2" ]]
}

# queue_is_empty TENANT   nothing waits and nothing is unacknowledged; the broker is a few seconds late with its figures
queue_is_empty() {
    local found
    found=$(curl -sSf -m 10 "$MANAGEMENT_URL/api/queues/%2f/transform_queue_tenant_$1" |
        jq -r '"\(.messages_ready) ready, \(.messages_unacknowledged) unacknowledged"')
    equal "$found" '0 ready, 0 unacknowledged'
}

# Every file that the document names, from the same server.
page_answers() {
    local file files
    curl -sSf -m 10 "$page/" -o "$scratch/page.html" || return 1
    mapfile -t files < <(grep -oE '"/page/[^"]+"' "$scratch/page.html" | tr -d '"')
    echo "${#files[@]} files"
    ((${#files[@]} > 5)) || return 1
    for file in "${files[@]}"; do
        curl -sSf -m 10 -o /dev/null "$page$file" || return 1
    done
    ! grep '://' "$scratch/page.html"
}

page_is_strict() {
    curl -sSf -m 10 -D - -o /dev/null "$page/" | grep -i "^content-security-policy: default-src 'none'; script-src 'self';"
}

# logged_in TOKEN   role and tenant of the session that the page's login makes of it
logged_in() {
    curl -sSf -m 10 -H 'Content-Type: application/json' -d "{\"token\":\"$1\"}" "$page/api/v1/session" |
        jq -r '"\(.role) \(.tenant_id)"'
}

no_dead_letters() { equal "$(query 'SELECT count(*) FROM dead_letters')" 0; }

# Every row of the final tables is one that the raw documents ask for, once, and none is missing.
tables_are_exact() {
    local table
    table=$(psql -Xq -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$lib/demo/compare.sql")
    printf '%s\n' "$table" >"$scratch/comparison"
    awk -F'|' '/^ [a-z]/ && NR > 2 { rows++; bad += $5 + $6 } END { print rows + 0 " lines, " bad + 0 " differences"; exit !(rows == 15 && bad == 0) }' \
        "$scratch/comparison"
}
