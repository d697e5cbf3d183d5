#!/usr/bin/env bash
# Fuzzes every target for some seconds each, from its seeds: fuzz/run.sh [SECONDS]
#
# Needs a nightly toolchain and cargo-fuzz. Without them it fails, unless
# FUZZ_OPTIONAL=1: then only the seeds are run, on the toolchain at hand.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo 'no fuzzing here: it needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`' >&2
    [ "${FUZZ_OPTIONAL:-}" = 1 ] || exit 1
    exec cargo test --test seeds
fi

for target in $(cargo +nightly fuzz list); do
    echo "== $target, $seconds s"
    seeds=()
    [ -d "fuzz/seeds/$target" ] && seeds=("fuzz/seeds/$target")
    mkdir -p "fuzz/corpus/$target"
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "${seeds[@]}" -- \
        -max_total_time="$seconds" -timeout=10 -print_final_stats=1
done
