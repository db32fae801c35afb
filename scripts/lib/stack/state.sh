# shellcheck shell=bash
# shellcheck disable=SC2034 # the settings are for the other parts
# The state directory of one stack:
#   .etl-stack   this directory is a stack's and may be wiped
#   ready        initialising has come to its end
#   lock         held by whoever changes something
#   settings     ports and passwords
#   tls/ca.pem   the authority that signed the certificate of broker and database
#   etc/ log/ rmq/ pg/

settings_words=(AMQP_PORT MANAGEMENT_PORT DIST_PORT EPMD_PORT DATABASE_PORT
    BROKER_PASSWORD DATABASE_PASSWORD ADMIN_PASSWORD ERLANG_COOKIE DURABLE)

# Not below the checkout: a home directory that only its owner may enter would lock out the users that the daemons run as.
default_directory() {
    local checkout
    checkout=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../..")
    printf '/var/tmp/etl-stack-%s' "$(printf %s "$checkout" | sha256sum | cut -c1-10)"
}

choose_directory() {
    STACK_DIR=$(realpath -m -- "$1")
    # It becomes part of URLs, Erlang terms and configuration files: nothing in it may need quoting there.
    if [[ ! $STACK_DIR =~ ^/[A-Za-z0-9._/-]+$ ]]; then
        die -2 "a state directory may contain letters, digits and . _ / - only: $STACK_DIR"
    fi
    if [[ -e $STACK_DIR && ! -O $STACK_DIR ]]; then
        die "$STACK_DIR belongs to $(stat -c %U "$STACK_DIR"); work as that user or choose another --dir"
    fi
}

create_directory() {
    if [[ ! -e $STACK_DIR ]]; then
        mkdir -p "$STACK_DIR"
    fi
    if [[ ! -e $STACK_DIR/.etl-stack ]]; then
        if [[ -n $(ls -A "$STACK_DIR") ]]; then
            die "$STACK_DIR is not empty and not a stack's state directory; choose another --dir"
        fi
        : >"$STACK_DIR/.etl-stack"
    fi
    chmod 755 "$STACK_DIR"
    local user as
    for user in rabbitmq postgres; do
        become "$user"
        if ! "${as[@]}" test -x "$STACK_DIR"; then
            die "the system user $user cannot reach $STACK_DIR: every directory above it needs o+x; choose another --dir"
        fi
    done
}

exists() { [[ -e $STACK_DIR/.etl-stack ]]; }

initialised() { [[ -e $STACK_DIR/ready ]]; }

must_be_initialised() {
    if ! initialised; then
        die -3 "no stack at $STACK_DIR; 'scripts/stack up' makes one"
    fi
}

# One change at a time. Whoever waited for a directory that was wiped meanwhile holds a lock on nothing and looks again.
take_lock() {
    while exists; do
        exec 9>>"$STACK_DIR/lock" || continue
        if ! flock -n 9; then
            say "waiting for another scripts/stack that works on $STACK_DIR"
            flock -w 600 9 || die "it has not finished in ten minutes"
        fi
        if [[ $STACK_DIR/lock -ef /proc/self/fd/9 ]]; then
            return 0
        fi
    done
    return 1
}

random_word() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

new_secrets() {
    BROKER_PASSWORD=$(random_word)
    DATABASE_PASSWORD=$(random_word)
    ADMIN_PASSWORD=$(random_word)
    ERLANG_COOKIE=$(random_word)
}

# Seven neighbours that nobody listens on. Below the range from which the system gives ports to outgoing connections, one
# of which could otherwise sit on ours just when we come back.
choose_ports() {
    local attempt base port
    for attempt in {1..100}; do
        base=$((20000 + 10 * (RANDOM % 1200)))
        for port in {0..6}; do
            if port_open $((base + port)); then
                continue 2
            fi
        done
        AMQP_PORT=$base
        MANAGEMENT_PORT=$((base + 1))
        DATABASE_PORT=$((base + 2))
        DIST_PORT=$((base + 3))
        EPMD_PORT=$((base + 4))
        tls_ports
        return 0
    done
    die "no seven free ports next to each other after $attempt attempts"
}

# Not among the settings: they follow from another one.
tls_ports() {
    AMQPS_PORT=$((AMQP_PORT + 5))
    MANAGEMENT_TLS_PORT=$((AMQP_PORT + 6))
}

taken_ports() {
    local port
    for port in "$@"; do
        if port_open "$port"; then
            printf ' %s' "$port"
        fi
    done
}

must_be_free() {
    local taken
    taken=$(taken_ports "$@")
    if [[ -n $taken ]]; then
        die "somebody else listens on$taken; end that, or 'scripts/stack down' and 'up' to get new ports"
    fi
}

save_settings() {
    local word
    (
        umask 077
        for word in "${settings_words[@]}"; do
            printf '%s=%q\n' "$word" "${!word}"
        done >"$STACK_DIR/settings.new"
    )
    mv "$STACK_DIR/settings.new" "$STACK_DIR/settings"
}

load_settings() {
    # shellcheck source=/dev/null
    source "$STACK_DIR/settings"
    tls_ports
}
