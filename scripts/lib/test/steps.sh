# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # scripts/test reads the tables, and sets $root, $scratch and $programs
# The steps of scripts/test: a title, what a step needs, and a function `step_NAME` for each. A step fails with its exit
# code; a last line that begins with "note: " appears in the summary.

all_steps=(scripts style format lint docs licences build unit simulation examples configuration units boot
    machine openapi stack page system)
slow_steps=(openapi stack page system)
# Histories that the simulation goes through.
seeds=2000

declare -A step_title=(
    [scripts]='the shell scripts, with shellcheck'
    [style]="this project's own rules, with scripts/style"
    [format]='formatting, with rustfmt'
    [lint]='lints, with clippy'
    [docs]='documentation of the code, with rustdoc'
    [licences]='licences, sources and advisories of the dependencies, with cargo-deny'
    [build]='build of everything'
    [unit]='unit tests'
    [simulation]='simulation of the fleet'
    [examples]='examples in the documentation of the code'
    [configuration]='the example configuration, with etl-supervisor check'
    [units]='the systemd units, with systemd-analyze'
    [boot]='the systemd units under a systemd that boots in namespaces'
    [machine]='limits that only a kernel of our own can hold, in an emulator'
    [openapi]='the admin API against its description, with schemathesis'
    [stack]='scripts/stack, with scripts/stack-test'
    [page]='the page in Chromium, as admin, operator and viewer'
    [system]='system tests on a private broker and database'
)

# A step is skipped when the one it needs has failed.
declare -A step_needs=(
    [unit]=build [simulation]=build [examples]=build [configuration]=build [units]=build [boot]=build [machine]=build
    [openapi]=build [page]=build [system]=build
)

step_scripts() {
    local file files=()
    while read -r file; do
        if [[ $file == *.sh ]] || head -n 1 "$file" | grep -q '^#!.*bash'; then
            files+=("$file")
        fi
    done < <(project_files scripts .ci systemd)
    shellcheck --external-sources --source-path="$root" "${files[@]}"
    echo "note: ${#files[@]} scripts"
}

step_style() {
    scripts/style-test
    scripts/style
}

step_format() { cargo fmt --all --check; }

step_lint() { cargo clippy --locked --workspace --all-targets --all-features -- -D warnings; }

step_docs() { RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --all-features --document-private-items; }

step_licences() {
    cargo deny --log-level warn check --hide-inclusion-graph licenses bans sources
    if timeout 120 cargo deny fetch db; then
        cargo deny --log-level warn check --hide-inclusion-graph advisories
    else
        echo "note: advisories NOT CHECKED: the public advisory database cannot be reached from here"
    fi
}

step_build() { cargo build --locked --workspace --all-targets; }

# It runs the tests of all packages side by side; cargo alone does as well, only slower.
have_nextest() { cargo nextest --version &>/dev/null; }

step_unit() {
    if have_nextest; then
        nextest 'not package(system-tests) and not test(simulation)'
    else
        cargo test --locked --workspace --exclude system-tests --tests --no-fail-fast -- --skip simulation
    fi
}

# nextest FILTER
nextest() {
    cargo nextest run --locked --workspace --no-fail-fast --status-level slow --final-status-level fail -E "$1"
}

step_simulation() {
    SIMULATION_SEEDS=$seeds cargo test --locked --workspace --lib simulation | tee "$scratch/simulation"
    # A test that was renamed would not be missed otherwise.
    grep -q '^test .*simulation.* ok$' "$scratch/simulation"
    echo "note: $seeds seeds"
}

step_examples() { cargo test --locked --workspace --doc; }

# The example names passwords and directories of an installed system; here they are some that exist.
step_configuration() {
    cargo build --locked --workspace --bins
    (umask 077 && echo secret >"$scratch/password")
    export ETL_SUPERVISOR__BROKER__PASSWORD_FILE=$scratch/password
    export ETL_SUPERVISOR__DATABASE__PASSWORD_FILE=$scratch/password
    export ETL_SUPERVISOR__RUNTIME__DIRECTORY=$scratch/runtime
    export ETL_SUPERVISOR__RUNTIME__LOG_DIRECTORY=$scratch/log
    export ETL_SUPERVISOR__RUNTIME__STATE_DIRECTORY=$scratch/state
    "$programs/etl-supervisor" --config systemd/config.toml.example check
}

step_units() {
    cargo build --locked --workspace --bins
    scripts/systemd-check
}

step_boot() {
    cargo build --locked --workspace --bins
    scripts/systemd-test
}

step_machine() {
    cargo build --locked --workspace --bins
    scripts/vm-test
}

step_openapi() {
    cargo build --locked --workspace --bins
    scripts/openapi-test
}

step_stack() { scripts/stack-test; }

step_page() {
    on_a_private_stack page 'package(system-tests) and binary(=page)' --test page
    echo "note: $(find "${CARGO_TARGET_DIR:-target}/page" -name '*.png' | wc -l) pictures in ${CARGO_TARGET_DIR:-target}/page"
}

step_system() {
    local suite suites=()
    for suite in tests/*.rs; do
        [[ $suite == tests/page.rs ]] || suites+=(--test "$(basename "$suite" .rs)")
    done
    on_a_private_stack tmp 'package(system-tests) and not binary(=page)' "${suites[@]}"
}

# on_a_private_stack DIRECTORY FILTER OPTION...   the filter is for nextest, the options for cargo alone
on_a_private_stack() {
    local code=0
    cargo build --locked --workspace --all-targets
    scripts/stack --dir "$scratch/stack" up
    eval "$(scripts/stack --dir "$scratch/stack" env)"
    export ETL_SECOND_STACK_DIR=$scratch/second
    # Directories of tests, with whatever one that was cut short leaves in them.
    mkdir -p "$scratch/$1"
    export TMPDIR=$scratch/$1
    if have_nextest; then
        nextest "$2" || code=$?
    else
        cargo test --locked -p system-tests "${@:3}" --no-fail-fast || code=$?
    fi
    nothing_left_over || code=1
    return "$code"
}

# A supervisor or keeper that has outlived its test; keepers take their workers with them.
nothing_left_over() {
    local file pid left=0
    while read -r file; do
        pid=${file//[^0-9]/}
        if [[ $(readlink "/proc/$pid/exe") == "$programs"/* ]]; then
            printf 'left over: process %s, %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline")"
            kill -KILL "$pid" || true
            left=1
        fi
    done < <(grep -lsaF "$TMPDIR/" /proc/[0-9]*/cmdline)
    ((!left))
}
