#!/usr/bin/env bash
# What the library logs on a Cortex-M3: SIMCom's image with `log` and `defmt` at
# once, in QEMU against an emulated modem (run.sh). Prints the lines of `log`
# and fails where one is missing; defmt's frames go to FRAMES, for
# `defmt-print -e IMAGE`, which is printed, too.
set -euo pipefail
cd "$(dirname "$0")"

. ./cargo.sh
DEFMT_LOG=trace "${cargo[@]}" --bin simcom --features log,defmt
image=$target/release/simcom
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
export FRAMES=${FRAMES:-$scratch/frames}
./run.sh "$image" simcom | tee "$scratch/lines"

missing() {
    echo "not logged: $*" >&2
    exit 1
}
for line in 'DEBUG bring-up: done' 'DEBUG connect' 'DEBUG subscribe: done' 'DEBUG publish: done' \
    'TRACE message: topic 64 bytes, payload 256'; do
    grep -qx "$line" "$scratch/lines" || missing "$line"
done
# The names of operations are sent as text, but with a byte after each seven.
grep -qa subscr "$FRAMES" || missing 'subscribe, by defmt'
echo "frames of defmt: $(wc -c <"$FRAMES") bytes, of $image"
