# shellcheck shell=bash
# What scripts tell the person in front of them. Everything goes to standard error, so that standard output stays
# free for what another program wants to read.

say() { printf '%s\n' "$*" >&2; }

warn() { printf '%s: warning: %s\n' "${0##*/}" "$*" >&2; }

# die [-EXIT_CODE] MESSAGE
die() {
    local code=1
    if [[ ${1-} =~ ^-[0-9]+$ ]]; then
        code=${1#-}
        shift
    fi
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$code"
}
