# shellcheck shell=bash
# shellcheck disable=SC2154 # scripts/demo sets $scratch, $programs and the rest
# The supervisor of the demonstration: its configuration, its start and its end, and what it says about its workers.

etl() { "$programs/etl-supervisor" --config "$scratch/config.toml" "$@"; }

free_port() {
    local port
    for port in {8750..8799}; do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    die "no free port from 8750 to 8799 for the admin API"
}

write_configuration() {
    (
        umask 077 # passwords stand in it, and the key that the tenants' passwords come from
        head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$scratch/master.key"
        cat >"$scratch/config.toml" <<-CONFIG
		[runtime]
		directory = "$scratch/run"
		log_directory = "$scratch/log"
		state_directory = "$scratch/state"

		[broker]
		url = "$AMQP_URL"
		management_url = "$MANAGEMENT_URL"

		[database]
		url = "$DATABASE_URL"
		migrate = false

		[credentials]
		master_key_file = "$scratch/master.key"

		[api]
		listen = "127.0.0.1:$api_port"

		[limits]
		sample_every = "1s"

		[queues.transform]
		command = ["$programs/transform-worker", "--queue", "{queue}"]
		CONFIG
    )
}

# In a session of its own: a Ctrl-C is for this script, which then stops the supervisor in good order.
start_supervisor() {
    setsid "$programs/etl-supervisor" --config "$scratch/config.toml" run >"$scratch/supervisor.log" 2>&1 </dev/null &
    supervisor=$!
}

# TERM to the supervisor ends keeper and workers too; whatever of them does not go is killed by its pid.
stop_supervisor() {
    local pid pids
    if [[ -z $supervisor ]]; then return 0; fi
    mapfile -t pids < <(supervised_pids)
    kill -TERM "$supervisor" 2>/dev/null || true
    for _ in {1..150}; do
        if ! kill -0 "$supervisor" "${pids[@]}" 2>/dev/null; then break; fi
        sleep 0.1
    done
    for pid in "$supervisor" "${pids[@]}"; do
        if kill -0 "$pid" 2>/dev/null; then
            warn "process $pid had to be killed"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    done
    supervisor=
}

# Keeper and workers, as the supervisor knows them.
supervised_pids() { fleet '[.supervisor.keeper_pid, .tenants[].workers[].pid] | .[] | values' 2>/dev/null || true; }

# fleet FILTER   something of the fleet's status, read with jq
fleet() { etl status -o json 2>/dev/null | jq -r "$1"; }

# of_worker TENANT KEY
of_worker() { fleet ".tenants[\"$1\"].workers[0].$2"; }
