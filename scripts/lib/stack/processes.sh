# shellcheck shell=bash
# shellcheck disable=SC2034 # $launched is for the callers
# Starting, recognising and ending the processes of one stack. A process is never remembered by its number: whose it is
# gets read from the process itself each time, so a stale pid file or a reused pid cannot make us hit a stranger.

# Sets as=(...), the prefix that runs a command as a system user. Somebody who is not root runs everything as himself.
become() {
    as=()
    if ((EUID == 0)); then
        as=(setpriv --reuid "$1" --regid "$1" --clear-groups)
    fi
}

# launch USER LOG COMMAND...   starts a daemon in a session of its own; its pid is in $launched
launch() {
    local as user=$1 log=$2
    shift 2
    become "$user"
    (
        cd /
        raise_open_files
        close_inherited_files
        exec setsid "${as[@]}" "$@"
    ) </dev/null >>"$log" 2>&1 &
    launched=$!
    disown "$launched" # or bash reports its end by SIGKILL as news
}

# A daemon keeps what it inherits for as long as it lives: our lock, a caller's pipe. Bash opens some at 10 and above.
close_inherited_files() {
    local path fd
    for path in /proc/"$BASHPID"/fd/*; do
        fd=${path##*/}
        if ((fd > 2)); then
            exec {fd}>&-
        fi
    done
}

# A connection costs a descriptor, so as many as we may have. Not more than this though: Erlang's tools allocate a table
# with an entry for each possible descriptor, which takes gigabytes where a container allows a billion of them.
raise_open_files() {
    local most=65536 hard
    hard=$(ulimit -Hn)
    if [[ $hard == unlimited ]] || ((hard > most)); then
        hard=$most
    fi
    ulimit -Sn "$hard"
}

# Pids of `broker` or `epmd`: every descendant carries the mark in its environment. Looked at as the user they run as,
# because root in a container may not read the environment of another user's process.
marked_pids() {
    local as
    become rabbitmq
    "${as[@]}" grep -lszxF "ETL_STACK_PART=$1:$STACK_DIR" /proc/[0-9]*/environ | cut -d/ -f3 || true
}

# PostgreSQL overwrites the environment of its backends with their titles; all of them work in the data directory.
database_pids() {
    local as pid
    become postgres
    for pid in $("${as[@]}" find /proc -maxdepth 2 -name cwd -lname "$STACK_DIR/pg/data" 2>/dev/null | cut -d/ -f3); do
        if [[ $("${as[@]}" readlink "/proc/$pid/exe") == */postgres* ]]; then
            echo "$pid"
        fi
    done
}

pids_of() {
    case $1 in
    database) database_pids ;;
    *) marked_pids "$1" ;;
    esac
}

running() { [[ -n $(pids_of "$1") ]]; }

# send SIGNAL PID...   that a process is gone already is what we wanted
send() {
    local signal=$1
    shift
    if (($#)); then
        kill -"$signal" "$@" 2>/dev/null || true
    fi
}

# gone PART SECONDS   waits until none of its processes is left
gone() {
    local deadline=$((SECONDS + $2))
    while running "$1"; do
        if ((SECONDS >= deadline)); then
            return 1
        fi
        sleep 0.05
    done
}

# SIGKILL for the whole part, again for what was forked meanwhile.
kill_part() {
    local pids attempt
    for attempt in {1..50}; do
        mapfile -t pids < <(pids_of "$1")
        if ((${#pids[@]} == 0)); then
            return 0
        fi
        send KILL "${pids[@]}"
        sleep 0.05
    done
    die "$1 is still there after $attempt SIGKILLs: ${pids[*]}"
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# await PART SECONDS PID LOG...   until ready_PART; PID, when not empty, is a process whose end ends the waiting
await() {
    local part=$1 deadline=$((SECONDS + $2)) pid=$3
    shift 3
    until "ready_$part"; do
        if [[ -n $pid ]] && ! kill -0 "$pid" 2>/dev/null; then
            tail -n 20 "$@" >&2 || true
            die "the $part ended while it was starting; the tail of its logs stands above"
        fi
        if ((SECONDS >= deadline)); then
            tail -n 20 "$@" >&2 || true
            die "the $part was not ready in time; the tail of its logs stands above"
        fi
        sleep 0.05
    done
}
