#!/bin/sh
# Puts one bug after the other into a build of its own and checks that the harness finds each. About ten minutes.
set -eu
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target/planted}"
cargo test --locked --features planted-bugs --test chaos --no-run
missed=""
# The bug, a fault that brings it out, and the words in which it must be complained of.
while read -r bug fault words; do
    log="$CARGO_TARGET_DIR/$bug.log"
    found=no
    # Chance has a part in it: three runs.
    for run in 1 2 3; do
        if PLANTED_BUG=$bug CARILLON_TEST_FAULT=$fault \
            cargo test --locked --features planted-bugs --test chaos whatever_breaks >"$log" 2>&1; then
            continue
        fi
        if grep -Eq "$words" "$log"; then
            found="run $run"
            break
        fi
    done
    echo "$bug: $found ($log)"
    [ "$found" != no ] || missed="$missed $bug"
done <<BUGS
greet-early kill Unheard
stale-edge kill Unheard
answer-alone isolate Lost|Differs
forget-key leader Twice
believe-rows leader ReadState
BUGS
[ -z "$missed" ] || { echo "not found:$missed" >&2; exit 1; }
