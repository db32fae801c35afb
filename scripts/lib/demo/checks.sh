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

no_dead_letters() { equal "$(query 'SELECT count(*) FROM dead_letters')" 0; }

# Every row of the final tables is one that the raw documents ask for, once, and none is missing.
tables_are_exact() {
    local table
    table=$(psql -Xq -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$lib/demo/compare.sql")
    printf '%s\n' "$table" >"$scratch/comparison"
    awk -F'|' '/^ [a-z]/ && NR > 2 { rows++; bad += $5 + $6 } END { print rows + 0 " lines, " bad + 0 " differences"; exit !(rows == 15 && bad == 0) }' \
        "$scratch/comparison"
}
