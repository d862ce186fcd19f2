#!/usr/bin/env bash
# The full tier of the programme of reliability: hours. Writes its figures into docs/reliability.md,
# between the two marks there, with the date and the commit.
#
#   tests/programme.sh            all suites, then the fuzzers
#   tests/programme.sh SUITE...   only suites of these names; the page is left as it is
set -euo pipefail
cd "$(dirname "$0")/.."

report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
export LOB_TIER=full LOB_TIER_REPORT=$report

if [ $# -gt 0 ]; then
    for suite in "$@"; do
        cargo test --release --test integration -- "trials::$suite" --nocapture
    done
    cat "$report"/*.tsv
    exit
fi

cargo test --release --test integration -- trials:: --nocapture --test-threads 2
cat "$report"/*.tsv
