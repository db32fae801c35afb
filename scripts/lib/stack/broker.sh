# shellcheck shell=bash
# shellcheck disable=SC2154 # $launched comes from processes.sh
# A private RabbitMQ node with its own epmd, cookie, ports and configuration; nothing of a system-wide one is read.

broker_scripts=/usr/lib/rabbitmq/bin # those in /usr/sbin change user and write to the system's directories

# The broker has no other way to be told some of this, and the shell that starts it must not inherit our environment.
broker_environment() {
    local rmq=$STACK_DIR/rmq etc=$STACK_DIR/etc
    environment=(
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME="$rmq/home"
        "ETL_STACK_PART=$1:$STACK_DIR"
        # Makes the start script become the broker instead of staying around as its parent.
        RUNNING_UNDER_SYSTEMD=true
        ERL_EPMD_PORT="$EPMD_PORT" ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP="$rmq/log/erl_crash.dump"
        RABBITMQ_NODENAME="$(broker_node)"
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$AMQP_PORT" RABBITMQ_DIST_PORT="$DIST_PORT"
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}"
        # Each of these, when not named, is looked for in /etc/rabbitmq.
        RABBITMQ_CONF_ENV_FILE="$etc/rabbitmq-env.conf" RABBITMQ_CONFIG_FILE="$etc/rabbitmq.conf"
        RABBITMQ_CONFIG_FILES="$etc/conf.d/*.conf" RABBITMQ_ADVANCED_CONFIG_FILE="$etc/advanced.config"
        RABBITMQ_ENABLED_PLUGINS_FILE="$etc/enabled_plugins"
        RABBITMQ_MNESIA_BASE="$rmq/mnesia" RABBITMQ_LOG_BASE="$rmq/log" RABBITMQ_LOGS="$rmq/log/broker.log"
        RABBITMQ_PID_FILE="$rmq/pid"
    )
}

broker_node() { printf 'etl_%s@localhost' "$(printf %s "$STACK_DIR" | sha256sum | cut -c1-10)"; }

broker_ports() { echo "$AMQP_PORT" "$MANAGEMENT_PORT" "$DIST_PORT" "$EPMD_PORT" "$AMQPS_PORT" "$MANAGEMENT_TLS_PORT"; }

init_broker() {
    local rmq=$STACK_DIR/rmq
    mkdir -p "$rmq"/{home,log,mnesia}
    printf %s "$ERLANG_COOKIE" >"$rmq/home/.erlang.cookie"
    chmod 400 "$rmq/home/.erlang.cookie"
    chmod 700 "$rmq"/{home,mnesia}
    if ((EUID == 0)); then
        chown -R rabbitmq: "$rmq"
    fi
}

# Written at each start, since the ports may be new ones.
configure_broker() {
    local etc=$STACK_DIR/etc rmq=$STACK_DIR/rmq tls=$STACK_DIR/tls
    mkdir -p "$etc/conf.d"
    make_certificates
    hand_key rabbitmq "$rmq"
    : >"$etc/rabbitmq-env.conf"
    echo '[].' >"$etc/advanced.config"
    echo '[rabbitmq_management].' >"$etc/enabled_plugins"
    (
        umask 077
        cat >"$etc/rabbitmq.conf" <<-CONF
		default_user = etl
		default_pass = $BROKER_PASSWORD
		management.tcp.ip = 127.0.0.1
		management.tcp.port = $MANAGEMENT_PORT
		listeners.ssl.1 = 127.0.0.1:$AMQPS_PORT
		ssl_options.cacertfile = $tls/ca.pem
		ssl_options.certfile = $tls/server.pem
		ssl_options.keyfile = $rmq/server.key
		ssl_options.verify = verify_none
		ssl_options.fail_if_no_peer_cert = false
		management.ssl.ip = 127.0.0.1
		management.ssl.port = $MANAGEMENT_TLS_PORT
		management.ssl.cacertfile = $tls/ca.pem
		management.ssl.certfile = $tls/server.pem
		management.ssl.keyfile = $rmq/server.key
		log.console = false
		CONF
        if ((EUID == 0)); then
            chown rabbitmq: "$etc/rabbitmq.conf"
        fi
    )
}

start_broker() {
    local environment ports
    kill_part epmd # of a broker that has died
    read -ra ports < <(broker_ports)
    must_be_free "${ports[@]}"
    configure_broker
    broker_environment epmd
    launch rabbitmq "$STACK_DIR/log/epmd.log" "${environment[@]}" epmd -port "$EPMD_PORT" -address 127.0.0.1
    broker_environment broker
    launch rabbitmq "$STACK_DIR/log/broker-start.log" "${environment[@]}" "$broker_scripts/rabbitmq-server"
    broker_launched=$launched
}

# All listeners: they open at different moments of the start.
ready_broker() {
    port_open "$AMQP_PORT" && port_open "$AMQPS_PORT" && port_open "$MANAGEMENT_TLS_PORT" &&
        curl -sf -m 5 -o /dev/null -K - "http://127.0.0.1:$MANAGEMENT_PORT/api/overview" <<<"user = \"etl:$BROKER_PASSWORD\""
}

await_broker() {
    await broker 120 "${broker_launched-}" "$STACK_DIR"/rmq/log/broker.log "$STACK_DIR/log/broker-start.log"
}

broker_pid() {
    local pid
    for pid in $(pids_of broker); do
        if [[ $(cat "/proc/$pid/comm" 2>/dev/null) == beam.smp ]]; then
            echo "$pid"
            return
        fi
    done
}

# Erlang shuts down in order on SIGTERM; asking with rabbitmqctl would start a second Erlang machine first.
stop_broker() {
    local pid
    pid=$(broker_pid)
    send TERM ${pid:+"$pid"}
    if ! gone broker 60; then
        warn "the broker has not stopped within a minute and is killed"
    fi
    kill_broker
}

kill_broker() {
    kill_part broker
    kill_part epmd
}
