# shellcheck shell=bash
# Debian packages, installed only when they are missing. Needs say.sh.

policy_rc_d=/usr/sbin/policy-rc.d
policy_mark='# temporary file of etl-supervisor scripts/lib/packages.sh'

package_installed() {
    [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]
}

# need_packages PACKAGE...   returns at once when all are there
need_packages() {
    local package missing=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        die "this is not Debian or one of its relatives; please install by hand: $*"
    fi
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    if ((${#missing[@]} == 0)); then
        return 0
    fi
    if ((EUID != 0)); then
        die "please install the missing packages first: sudo apt-get install ${missing[*]}"
    fi
    say "installing Debian packages: ${missing[*]}"
    install_packages "${missing[@]}"
}

# In a subshell: its lock and its exit trap end with it, however it ends.
install_packages() (
    # One installation at a time: two would take away each other's policy file.
    exec 8>/run/lock/etl-supervisor-packages.lock
    flock 8
    deny_service_starts
    export DEBIAN_FRONTEND=noninteractive
    apt_get update
    apt_get install -y --no-install-recommends "$@"
    if [[ -d /run/systemd/system ]]; then
        say "  The services of these packages were not started now; Debian starts them at the next boot"
        say "  unless you say 'systemctl disable' to those you do not want."
    fi
)

# Debian starts a service as soon as its package is installed, unless this file says no. A file that the administrator
# wrote stays in force, whatever it says; one that an interrupted run of ours left behind is taken over.
deny_service_starts() {
    if [[ -e $policy_rc_d ]] && ! grep -qxF "$policy_mark" "$policy_rc_d"; then
        say "  $policy_rc_d of this machine stays in force"
        return
    fi
    trap 'rm -f "$policy_rc_d"' EXIT
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy_rc_d"
    chmod 755 "$policy_rc_d"
}

# apt-get with its progress in short and its whole output when it fails. Somebody else's apt run is waited for; the
# time-out of apt itself covers dpkg's lock only, not the one on the package lists.
apt_get() {
    local attempt output
    for attempt in {1..60}; do
        if output=$(apt-get -q -o DPkg::Lock::Timeout=600 "$@" </dev/null 2>&1 | tee >(apt_progress)); then
            return 0
        fi
        [[ $output == *'Could not get lock'* ]] || break
        say "  waiting for another apt run to end ($attempt)"
        sleep 5
    done
    say "$output"
    die "apt-get $1 failed, its output stands above"
}

apt_progress() { sed -unE 's/^(Get:|Setting up|[0-9]+ upgraded|Need to get)/  \1/p' >&2; }
