# shellcheck shell=bash
# Programs that scripts need beside those of scripts/stack. Needs say.sh and packages.sh.

need_rust() {
    if ! command -v cargo >/dev/null && [[ -r $HOME/.cargo/env ]]; then
        # shellcheck source=/dev/null
        source "$HOME/.cargo/env"
    fi
    if ! command -v cargo >/dev/null; then
        die "there is no cargo: install Rust first, https://rustup.rs shows how"
    fi
    need_program cc gcc libc6-dev
}

# need_program PROGRAM PACKAGE...
need_program() {
    if ! command -v "$1" >/dev/null; then
        need_packages "${@:2}"
    fi
}
