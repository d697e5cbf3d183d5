#!/usr/bin/env bash
# What each driver takes on a Cortex-M3, over an image of the same board and
# executor without a driver: flash, static memory, and the stack that it used
# at most in a run against an emulated modem (run.sh). Fails where that is
# above the limit, or where a panic is linked that is not known.
set -euo pipefail
cd "$(dirname "$0")"

# image, what it is weighed against, vendor, flash, static memory, stack (the
# limits of the differences, in bytes).
images=(
    'simcom base simcom 35600 1450 1300'
    'luat base luat 40000 1550 1400'
    'bare bare_base simcom 35600 100 2800'
)

# Where the target is not rustup's but Debian's, core is built from its source.
build=(cargo build --release)
if [ -n "${DEBIAN_RUST:-}" ]; then
    export PATH=/usr/bin:$PATH RUSTC_BOOTSTRAP=1 CARGO_TARGET_THUMBV7M_NONE_EABI_LINKER=ld.lld
    build+=(-Zbuild-std=core)
fi
"${build[@]}"
target=${CARGO_TARGET_DIR:-target}/thumbv7m-none-eabi/release

# Flash and static memory of an image.
weigh() {
    local text data bss rest
    read -r text data bss rest < <(size "$target/$1" | tail -n 1)
    echo $((text + data)) $((data + bss))
}

# What it used of the stack, in a run.
stack() {
    ./run.sh "$target/$1" "${2-}" | awk '$1 == "stack" { print $2 }'
}

bad=0
limit() {
    if [ "$2" -gt "$3" ]; then
        echo "$1: $2, above $3" >&2
        bad=1
    fi
}

printf '%s\n' '| image | flash | over base | static | over base | stack | over base |' \
    '|---|---|---|---|---|---|---|'
for row in "${images[@]}"; do
    read -r image base vendor flash_max static_max stack_max <<<"$row"
    read -r flash static <<<"$(weigh "$image")"
    read -r flash_base static_base <<<"$(weigh "$base")"
    stack=$(stack "$image" "$vendor")
    stack_base=$(stack "$base")
    echo "| $image | $flash | $((flash - flash_base)) | $static | $((static - static_base))" \
        "| $stack | $((stack - stack_base)) |"
    limit "flash of $image" $((flash - flash_base)) "$flash_max"
    limit "static memory of $image" $((static - static_base)) "$static_max"
    limit "stack of $image" $((stack - stack_base)) "$stack_max"
done


# Where core's panics are still reached, all of them on paths that are never
# taken: a finished future that is polled again (rustc, in each async fn); the
# inbox and the framer, which have checked before; nom's split of a slice.
known=' core::panicking::panic_fmt core::panicking::panic_const::panic_const_async_fn_resumed
    core::slice::copy_from_slice_impl::len_mismatch_fail core::slice::index::slice_index_fail
    core::option::expect_failed '
known=" ${known//$'\n'/ } "
for row in "${images[@]}"; do
    image=${row%% *}
    for panic in $(nm -C "$target/$image" | awk '$3 ~ /^core::.*(panic|_fail)/ { print $3 }'); do
        if [[ $known != *" $panic "* ]]; then
            echo "$image can panic: $panic" >&2
            bad=1
        fi
    done
done
exit $bad
