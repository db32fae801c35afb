# shellcheck shell=bash
# An authority of the stack's own and one certificate of it, for localhost and 127.0.0.1, which broker and database share.
# Each has a copy of the key that only its own user can read. The authority's key is thrown away.

make_certificates() {
    local tls=$STACK_DIR/tls new=$STACK_DIR/tls.new
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650)
    if [[ -e $tls ]]; then
        return
    fi
    rm -rf "$new"
    mkdir "$new"
    (
        umask 077
        openssl req -x509 "${key[@]}" -subj '/CN=scripts-stack' -addext keyUsage=critical,keyCertSign \
            -keyout "$new/ca.key" -out "$new/ca.pem"
        openssl req -x509 "${key[@]}" -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
            -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
            -CA "$new/ca.pem" -CAkey "$new/ca.key" -keyout "$new/server.key" -out "$new/server.pem"
    ) &>"$STACK_DIR/log/certificates.log" ||
        { tail -n 20 "$STACK_DIR/log/certificates.log" >&2 && die "openssl failed, its output stands above"; }
    rm "$new/ca.key"
    chmod 644 "$new"/*.pem
    mv "$new" "$tls"
}

# hand_key USER DIRECTORY
hand_key() {
    install -m 600 "$STACK_DIR/tls/server.key" "$2/server.key"
    if ((EUID == 0)); then
        chown "$1": "$2/server.key"
    fi
}
