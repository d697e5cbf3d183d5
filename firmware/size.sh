#!/usr/bin/env bash
# What each driver takes on a Cortex-M3, over an image of the same board and
# executor without a driver: flash, static memory, and the stack that it used
# at most in a run against an emulated modem (run.sh). Fails where that is
# above its limit, or where a panic is linked that is not known.
set -euo pipefail
cd "$(dirname "$0")"

# The image, and with which features; what it is weighed against; the vendor of
# its modem; the limits of flash, static memory and stack over that, in bytes.
# Without `tls` the drivers have neither TLS nor certificates.
images=(
    'simcom - base simcom 29000 1450 1300'
    'simcom tls base simcom 31400 1450 1300'
    'luat - base luat 32900 1520 1450'
    'luat tls base luat 35400 1520 1450'
    'rockremote - base rockremote 16700 1600 1450'
    'bare - bare_base simcom 28700 0 2900'
)

# What of core's panics is linked, all of it on paths that are never taken: a
# finished future that is polled again, by rustc in each async fn; nom's split
# of a slice at a place that it found in it.
known=(core::panicking::panic_const::panic_const_async_fn_resumed core::panicking::panic_fmt
    core::slice::index::slice_index_fail)

# Where the target is not rustup's but Debian's, core is built from its source.
cargo=(cargo build -q --release)
if [ -n "${DEBIAN_RUST:-}" ]; then
    cargo=(env "PATH=/usr/bin:$PATH" RUSTC_BOOTSTRAP=1
        CARGO_TARGET_THUMBV7M_NONE_EABI_LINKER=ld.lld "${cargo[@]}" -Zbuild-std=core)
fi
target=${CARGO_TARGET_DIR:-target}/thumbv7m-none-eabi
for features in - tls; do
    "${cargo[@]}" --features "${features#-}"
    mkdir -p "$target/weighed/$features"
    find "$target/release" -maxdepth 1 -type f -perm /u+x -exec cp {} "$target/weighed/$features" \;
done

# weigh IMAGE: its flash and static memory.
weigh() {
    local text data bss rest
    read -r text data bss rest < <(size "$1" | tail -n 1)
    echo $((text + data)) $((data + bss))
}

# stack IMAGE [VENDOR]: what it used of it, in a run.
stack() {
    ./run.sh "$@" | awk '$1 == "stack" { print $2 }'
}

bad=0
complain() {
    echo "$*" >&2
    bad=1
}

echo '| image | flash | over base | static | over base | stack | over base |'
echo '|---|---|---|---|---|---|---|'
for row in "${images[@]}"; do
    read -r name features base vendor most_flash most_static most_stack <<<"$row"
    image=$target/weighed/$features/$name base=$target/weighed/$features/$base
    read -r flash static < <(weigh "$image")
    read -r flash_base static_base < <(weigh "$base")
    stack=$(stack "$image" "$vendor")
    stack_base=$(stack "$base")
    flash_over=$((flash - flash_base)) static_over=$((static - static_base))
    stack_over=$((stack - stack_base)) name="$name${features/#/, }" name=${name%, -}
    echo "| $name | $flash | $flash_over | $static | $static_over | $stack | $stack_over |"
    [ $flash_over -le "$most_flash" ] || complain "$name: flash above $most_flash"
    [ $static_over -le "$most_static" ] || complain "$name: static memory above $most_static"
    [ $stack_over -le "$most_stack" ] || complain "$name: stack above $most_stack"
    for panic in $(nm -C "$image" | awk '$3 ~ /^core::.*(panic|_fail)/ { print $3 }'); do
        [[ " ${known[*]} " == *" $panic "* ]] || complain "$name can panic: $panic"
    done
done
exit $bad
