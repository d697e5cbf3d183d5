#!/usr/bin/env bash
# How many instructions SIMCom's driver takes for a byte on a Cortex-M3, from
# bytes to typed events: answers and URCs (mixed), and messages of 256 bytes in
# counted blocks. They are counted by QEMU, so they are the same on every
# machine. Fails where that is above its limit.
set -euo pipefail
cd "$(dirname "$0")"

# The stream, the bytes of a read, and the limit in instructions for a hundred
# bytes: 2 % above what was measured.
cells=(
    'mixed 1 9324'
    'mixed 16 4041'
    'mixed 64 3509'
    'blocks 1 8464'
    'blocks 16 1464'
    'blocks 64 950'
)

. ./cargo.sh
"${cargo[@]}" --features full --bin speed
printed=$(QEMU='-icount shift=0' ./run.sh "$target/release/speed")

bad=0
echo '| stream | reads of | instructions a byte |'
echo '|---|---|---|'
for cell in "${cells[@]}"; do
    read -r stream size most <<<"$cell"
    taken=$(awk -v cell="$stream $size" '$1 " " $2 == cell { print $3 }' <<<"$printed")
    [[ $taken == [0-9]* ]] || { echo "$printed" >&2; exit 1; }
    printf '| %s | %s | %d.%02d |\n' "$stream" "$size" $((taken / 100)) $((taken % 100))
    [ "$taken" -le "$most" ] || { echo "$stream: above $most for 100 bytes" >&2; bad=1; }
done
exit $bad
