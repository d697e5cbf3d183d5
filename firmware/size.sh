#!/usr/bin/env bash
# What each driver takes on a Cortex-M3, over an image of the same board and
# executor without a driver: flash, static memory, and the stack that it used
# at most in a run against an emulated modem (run.sh). Fails where that is
# above its limit, or where a panic is linked that is not known.
set -euo pipefail
cd "$(dirname "$0")"

# The image, and with which features; what it is weighed against; the vendor of
# its modem; how many counters go up; the limits of flash, static memory and
# stack over that, in bytes. Without `full` the drivers have neither TLS nor
# names of codes nor status. The last three have SIMCom's driver, too: with the
# client for several tasks, without an executor, and with the blocking client.
# Static memory and stack of the first two are the budget itself.
images=(
    'simcom - base simcom 1 25450 1024 1024'
    'simcom full base simcom 1 30700 1250 1024'
    'luat - base luat 1 26900 1024 1024'
    'luat full base luat 1 33000 1260 1200'
    'rockremote - base rockremote 1 14050 1340 1200'
    'jspr - base jspr 1 38750 6260 1750'
    'shared - base simcom 3 33650 2870 1150'
    'bare - bare_base simcom 1 25050 0 1950'
    'blocking - bare_base simcom 1 23200 0 1600'
)

# What of core's panics is linked, all of it on paths that are never taken: a
# finished future that is polled again, by rustc in each async fn; nom's split
# of a slice at a place that it found in it; a copy to where room of the same
# length was just taken.
known=(core::panicking::panic_const::panic_const_async_fn_resumed core::panicking::panic_fmt
    core::slice::index::slice_index_fail core::slice::copy_from_slice_impl::len_mismatch_fail)
# And in serde-json-core: a look back from a quote to the one before it, a split
# of a text at the backslash that was found in it.
known_jspr=(core::panicking::panic_bounds_check core::panicking::panic
    core::option::unwrap_failed core::str::slice_error_fail core::str::slice_error_fail_rt)

. ./cargo.sh
for features in - full; do
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

# stack IMAGE [VENDOR COUNTERS]: what it used of it, in a run.
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
    read -r name features base vendor counters most_flash most_static most_stack <<<"$row"
    image=$target/weighed/$features/$name base=$target/weighed/$features/$base
    read -r flash static < <(weigh "$image")
    read -r flash_base static_base < <(weigh "$base")
    stack=$(stack "$image" "$vendor" "$counters")
    stack_base=$(stack "$base")
    flash_over=$((flash - flash_base)) static_over=$((static - static_base))
    stack_over=$((stack - stack_base)) name="$name${features/#/, }" name=${name%, -}
    echo "| $name | $flash | $flash_over | $static | $static_over | $stack | $stack_over |"
    [ $flash_over -le "$most_flash" ] || complain "$name: flash above $most_flash"
    [ $static_over -le "$most_static" ] || complain "$name: static memory above $most_static"
    [ $stack_over -le "$most_stack" ] || complain "$name: stack above $most_stack"
    allowed=("${known[@]}")
    [ "$vendor" != jspr ] || allowed+=("${known_jspr[@]}")
    for panic in $(nm -C "$image" | awk '$3 ~ /^core::.*(panic|_fail)/ { print $3 }'); do
        [[ " ${allowed[*]} " == *" $panic "* ]] || complain "$name can panic: $panic"
    done
done
exit $bad
