# shellcheck shell=bash
# Installs what the steps of scripts/test need and this machine lacks. Needs say.sh and
# programs.sh.

# The version that deny.toml was written for; a newer one that is there already is used as it is.
cargo_deny_version=0.20.2

# install_tools STEP...
install_tools() {
    local step
    need_rust
    for step in "$@"; do
        case $step in
        scripts) need_program shellcheck shellcheck ;;
        style) need_program git git ;;
        format) need_component rustfmt cargo-fmt ;;
        lint) need_component clippy cargo-clippy ;;
        licences) need_cargo_deny ;;
        # Some tests' workers are Python programs, and other users than the one whose PATH this is.
        unit) need_packages python3 ;;
        machine) need_emulator ;;
        openapi) need_packages python3 curl postgresql-client && need_python_venv ;;
        page) need_packages chromium chromium-driver ;;
        # The metrics are read by a parser that is not ours.
        system) need_packages python3 python3-prometheus-client && need_python_venv ;;
        units | boot) need_program systemd-analyze systemd ;;
        esac
    done
}

# need_component COMPONENT PROGRAM
need_component() {
    if command -v "$2" >/dev/null && "$2" --version &>/dev/null; then
        return
    fi
    if ! command -v rustup >/dev/null || ! rustup component add "$1" >&2; then
        die "this Rust comes without $1: 'rustup component add $1', or your distribution's package of it"
    fi
}

# Packages that come from PyPI, into an environment of each test's own.
need_python_venv() {
    if ! python3 -c 'import ensurepip, venv' &>/dev/null; then
        need_packages python3-venv
    fi
}

need_emulator() {
    if [[ $(uname -m) == x86_64 ]]; then
        need_packages qemu-system-x86 busybox-static cpio binutils
    fi
}

need_cargo_deny() {
    if cargo deny --version &>/dev/null; then
        return
    fi
    say "installing cargo-deny $cargo_deny_version with cargo, which takes some minutes"
    cargo install --locked --version "$cargo_deny_version" cargo-deny
}
