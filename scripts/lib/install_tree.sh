# shellcheck shell=bash
# What an installation consists of and where each file goes.

# install_tree CHECKOUT PROGRAMS DESTINATION   DESTINATION is the root of a file system, or what will be unpacked there
install_tree() {
    local local=$3/usr/local
    install -D -m 755 -t "$local/bin" "$2/etl-supervisor" "$2/transform-worker"
    install -D -m 644 "$1/systemd/etl-supervisor.sysusers" "$local/lib/sysusers.d/etl-supervisor.conf"
    install -D -m 644 "$1/systemd/etl-supervisor.tmpfiles" "$local/lib/tmpfiles.d/etl-supervisor.conf"
    install -D -m 644 -t "$local/lib/systemd/system" "$1"/systemd/*.service
    install -D -m 644 -t "$local/share/doc/etl-supervisor" "$1"/docs/*.md "$1"/LICENSE-* "$1/systemd/config.toml.example"
}
