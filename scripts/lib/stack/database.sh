# shellcheck shell=bash
# shellcheck disable=SC2154 # $launched comes from processes.sh
# A private PostgreSQL cluster: TCP on the loopback interface, passwords, no Unix socket.

# The version that made the data directory, or the newest one installed.
database_programs() {
    local version=
    if [[ -e $STACK_DIR/pg/data/PG_VERSION ]]; then
        version=$(<"$STACK_DIR/pg/data/PG_VERSION")
    fi
    find /usr/lib/postgresql -path "*/${version:-*}/bin/postgres" 2>/dev/null | sort -V | tail -n 1 | xargs -r dirname
}

database_environment() {
    environment=(env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 HOME="$STACK_DIR/pg")
}

init_database() {
    local as environment bin pg=$STACK_DIR/pg durability=()
    bin=$(database_programs)
    if ((!DURABLE)); then
        durability=(--no-sync)
    fi
    mkdir -p "$pg"
    (umask 077 && printf '%s\n' "$ADMIN_PASSWORD" >"$pg/password")
    if ((EUID == 0)); then
        chown -R postgres: "$pg"
    fi
    become postgres
    database_environment
    (
        cd / # initdb wants to read the directory it is called in
        "${as[@]}" "${environment[@]}" "$bin/initdb" -D "$pg/data" -U postgres -A scram-sha-256 --pwfile="$pg/password" \
            -E UTF8 --locale=C.UTF-8 "${durability[@]}" 9>&-
    ) >>"$STACK_DIR/log/database.log" 2>&1 ||
        { tail -n 20 "$STACK_DIR/log/database.log" >&2 && die "initdb failed, its output stands above"; }
    rm "$pg/password"
    database_configuration >>"$pg/data/postgresql.conf"
}

# The port is not in here: it may be a new one at a later start.
database_configuration() {
    cat <<-CONF
	listen_addresses = '127.0.0.1'
	unix_socket_directories = ''
	max_connections = 1200   # a thousand workers with one each
	CONF
    if ((!DURABLE)); then
        cat <<-CONF
		fsync = off              # tests throw the data away; 'up --durable' leaves these as they are
		synchronous_commit = off
		full_page_writes = off
		CONF
    fi
}

start_database() {
    local environment
    must_be_free "$DATABASE_PORT"
    # Nobody works in the data directory, or we would not be here. A server that was killed leaves this file, and a new
    # one refuses to start while the number in it is a reused pid or a zombie that no init has collected.
    rm -f "$STACK_DIR/pg/data/postmaster.pid"
    database_environment
    make_certificates
    hand_key postgres "$STACK_DIR/pg"
    launch postgres "$STACK_DIR/log/database.log" "${environment[@]}" \
        "$(database_programs)/postgres" -D "$STACK_DIR/pg/data" -p "$DATABASE_PORT" \
        -c ssl=on -c ssl_cert_file="$STACK_DIR/tls/server.pem" -c ssl_key_file="$STACK_DIR/pg/server.key"
    database_launched=$launched
}

# The server writes its state to the eighth line of its pid file, which it removes or renews at every start.
ready_database() {
    [[ $(sed -n '8s/ *$//p' "$STACK_DIR/pg/data/postmaster.pid" 2>/dev/null) == ready && -n $(database_pid) ]]
}

await_database() { await database 60 "${database_launched-}" "$STACK_DIR/log/database.log"; }

database_pid() {
    local written
    written=$(sed -n 1p "$STACK_DIR/pg/data/postmaster.pid" 2>/dev/null) || return 0
    pids_of database | grep -xF "$written" || true
}

create_databases() {
    PGPASSWORD=$ADMIN_PASSWORD "$(database_programs)/psql" -X -q -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$DATABASE_PORT" -U postgres -d postgres >&2 <<-SQL
	CREATE ROLE etl LOGIN PASSWORD '$DATABASE_PASSWORD';
	CREATE DATABASE etl OWNER etl;
	SQL
}

# "Fast" in PostgreSQL's words: sessions are ended, everything is written.
stop_database() {
    local pid
    pid=$(database_pid)
    send INT ${pid:+"$pid"}
    if ! gone database 60; then
        warn "the database has not stopped within a minute and is killed"
    fi
    kill_database
}

kill_database() { kill_part database; }
