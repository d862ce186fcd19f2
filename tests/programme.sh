#!/usr/bin/env bash
# The full tier of the programme of reliability: hours. Puts its figures into docs/reliability.md,
# suite by suite as they are done, with the date and the commit.
#
#   tests/programme.sh                all suites, then every fuzzer for 10 minutes
#   tests/programme.sh NAME...        only these: a suite of tests/trials, as `power`; or one fuzzer,
#                                     as `fuzzer:pack`; or `fuzzers` for all of them
#
# LOB_FUZZ_SECONDS sets another time for each fuzzer. They need the nightly toolchain and cargo-fuzz.
# Ends with 1 when a suite failed; the page then keeps what it said of that one.
set -euo pipefail
cd "$(dirname "$0")/.."

LOB_TIER_DATE=$(date -u +%F)
LOB_TIER_COMMIT=$(git rev-parse --short=10 HEAD)
[ -z "$(git status --porcelain -- Cargo.toml Cargo.lock src store tests)" ] || {
    echo "there are changes that are not committed: nobody could take these figures again" >&2
    exit 2
}
export LOB_TIER_DATE LOB_TIER_COMMIT
failed=()

integration() { cargo test --quiet --release --test integration -- "$@"; }

# Into the page with what is in the folder.
fold() { LOB_UPDATE_FIGURES=$1 integration trials::figures::the_page_shows_every_suite >/dev/null; }

suite() { # suite NAME
    local report
    report=$(mktemp -d)
    if LOB_TIER=full LOB_TIER_REPORT=$report integration "trials::$1::" --nocapture; then
        fold "$report"
    else
        failed+=("$1")
    fi
    rm -rf "$report"
}

fuzzer() { # fuzzer TARGET
    local seconds=${LOB_FUZZ_SECONDS:-600} report log code=0 count more=()
    # It starts gits. The thread that reads what one says may end a moment after it, and counts as a leak
    # until then.
    [ "$1" != attributes ] || more=(-detect_leaks=0)
    report=$(mktemp -d)
    log=$report/log
    # What it finds on the way goes into the first folder, and never into the repository by itself.
    mkdir -p "target/fuzz/$1"
    cargo +nightly fuzz run --fuzz-dir tests/fuzz "$1" "$PWD/target/fuzz/$1" "$PWD/tests/fuzz/corpus/$1" -- \
        -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=60 -max_len=4096 -print_final_stats=1 \
        "${more[@]}" >"$log" 2>&1 || code=$?
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$code" = 0 ] && [ -n "$count" ]; then
        printf 'fuzzer %s\t%s\t%s\n' "$1" executions "$count" "$1" seconds "$seconds" "$1" crashes 0 |
            tee "$report/fuzzer.tsv"
        fold "$report"
    else
        tail -n 40 "$log" >&2
        failed+=("fuzzer:$1")
    fi
    rm -rf "$report"
}

suites() { integration --list | sed -n 's/^trials::\([a-z_]*\)::.*: test$/\1/p' | grep -vx figures | sort -u; }
targets() { cargo +nightly fuzz list --fuzz-dir tests/fuzz; }

run() { # run NAME
    printf '\n== %s\n' "$1"
    case $1 in
        fuzzers) for target in $(targets); do run "fuzzer:$target"; done ;;
        fuzzer:*) fuzzer "${1#fuzzer:}" ;;
        *) suites | grep -qx -- "$1" || { echo "no suite is called $1" >&2; exit 2; }
           suite "$1" ;;
    esac
}

[ $# -gt 0 ] || set -- $(suites) fuzzers
for name in "$@"; do run "$name"; done

if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
