# shellcheck shell=bash
# Counts what a step has checked: the tests that its output reports, or the step itself as one check.
# shellcheck disable=SC2034 # scripts/test shows the totals

plain() { sed 's/\x1b\[[0-9;]*m//g' "$1"; }

# count_tests STEP LOG EXIT_CODE   adds to `passed` and `failed`
count_tests() {
    local good bad
    read -r good bad < <(plain "$2" | reported_tests)
    if ((good + bad == 0 || ($3 != 0 && bad == 0))); then
        if (($3 == 0)); then good=$((good + 1)); else bad=$((bad + 1)); fi
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

# The totals of `cargo test` ("ok. 5 passed; 0 failed"), of nextest ("12 tests run: 11 passed (1 slow), 1 failed") and of
# our own scripts ("7 passed, 0 failed").
reported_tests() {
    awk '
        function number_before(word,   text) {
            if (!match($0, "[0-9]+ " word)) return 0
            text = substr($0, RSTART, RLENGTH)
            return text + 0
        }
        /^test result: / || /^ *Summary \[.*tests? run:/ || /^[0-9]+ passed, [0-9]+ failed$/ {
            good += number_before("passed")
            bad += number_before("failed") + number_before("timed out")
        }
        END { print good + 0, bad + 0 }'
}

# The note that a step leaves for the summary: its last line that begins with "note: ".
last_note() { plain "$1" | sed -n 's/^note: //p' | tail -n 1; }
