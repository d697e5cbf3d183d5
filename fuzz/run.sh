#!/usr/bin/env bash
# Fuzzes every target for some seconds each, from its seeds: fuzz/run.sh [SECONDS] [TARGET...]
#
# Needs cargo-fuzz and a C++ compiler, on any toolchain: nothing here is unsafe,
# so no sanitizer is wanted, and without one there is no need for nightly.
# Without cargo-fuzz it fails, unless FUZZ_OPTIONAL=1: then the seeds alone are run.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
shift || true

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo 'no fuzzing here: it needs `cargo install cargo-fuzz`' >&2
    [ "${FUZZ_OPTIONAL:-}" = 1 ] || exit 1
    exec cargo test --test seeds
fi

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
for target in "${targets[@]}"; do
    printf '\n== %s, %s s\n' "$target" "$seconds"
    folders=("fuzz/corpus/$target")
    [ -d "fuzz/seeds/$target" ] && folders+=("fuzz/seeds/$target")
    mkdir -p "${folders[0]}"
    cargo fuzz run --sanitizer none "$target" "${folders[@]}" -- \
        -max_total_time="$seconds" -timeout=60 -print_final_stats=1 -verbosity=0 2>&1 |
        grep -Ev '^(INFO|WARNING|#|")|Finished|Running'
done
