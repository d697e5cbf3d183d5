#!/usr/bin/env bash
# run.sh IMAGE [VENDOR [COUNTERS]]: runs an image in QEMU, its modem port joined
# to an emulated modem of the vendor in front of a mosquitto. Whoever subscribes
# there must see so many counters (1) go up without a gap, and an answer to each
# message, the longest of 256 bytes with a topic of 64. Without a vendor the
# image only has to end. Prints what it logs (src/logs.rs) and says on its
# console, at last how much stack it used. HAYES is the command that emulates,
# built unless given; QEMU may have options for the emulator of the board, and
# FRAMES the name of a file for what the image logs by defmt.
set -euo pipefail
image=$1 vendor=${2-} counters=${3-1}
here=$(cd "$(dirname "$0")" && pwd)
patience=60

scratch=$(mktemp -d)
pids=()
finish() {
    kill "${pids[@]}" 2>/dev/null || true
    rm -r "$scratch"
}
trap finish EXIT
fail() {
    echo "$image: $*" >&2
    exit 1
}

# wait_for FD PATTERN: prints the first line that matches.
wait_for() {
    local line end=$((SECONDS + patience))
    while read -r -t $patience -u "$1" line && [ $SECONDS -lt $end ]; do
        # shellcheck disable=SC2053
        [[ $line == $2 ]] && echo "$line" && return
    done
    return 1
}

# start_qemu SERIAL: the image, its modem port joined to that.
start_qemu() {
    # shellcheck disable=SC2086
    qemu-system-arm -machine lm3s6965evb -kernel "$image" -display none -monitor none ${QEMU-} \
        -semihosting-config enable=on,target=native \
        -chardev "file,id=console,path=$scratch/console" -serial chardev:console \
        -serial "$1" </dev/null >"${FRAMES:-/dev/null}" 2>"$scratch/qemu" &
    qemu=$!
    pids+=("$qemu")
}

end() {
    timeout $patience tail --pid="$qemu" -f /dev/null || fail 'does not stop'
    wait "$qemu" || fail "$(cat "$scratch/qemu")"
    cat "$scratch/qemu" "$scratch/console"
}

if [ -z "$vendor" ]; then
    start_qemu null
    end
    exit
fi

if [ -z "${HAYES:-}" ]; then
    (cd "$here/.." && cargo build -q --release -p hayes-cli)
    HAYES=${CARGO_TARGET_DIR:-$here/../target}/release/hayes
fi

# Port 0 is none for mosquitto.
export PATH="$PATH:/usr/sbin"
for _ in {1..20}; do
    port=$((20000 + RANDOM % 20000))
    printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$scratch/broker"
    exec {broker}< <(exec mosquitto -c "$scratch/broker" 2>&1)
    pids+=($!)
    wait_for "$broker" '* running' >/dev/null && break
    port=
done
[ -n "$port" ] || fail 'no broker'
to_broker=(-h 127.0.0.1 -p "$port" -q 1)

# Where the image counts, answers and listens, as the broker calls it, and what
# else the emulated modem is told. A box has its own names in the cloud, and
# need not wait to send; satellites know numbers, and need not be far.
count=device-7/count answer=device-7/answer options=()
printf -v command 'device-7/cmd/%051d' 0
case $vendor in
rockremote)
    account=iot/ACCOUNT-ID options=(--immediately)
    count=$account/$count answer=$account/$answer command=$account/$command
    ;;
jspr) count=imt/244 answer=imt/247 command=imt/247 options=(--clear-sky) ;;
esac
exec {emulator}< <(exec "$HAYES" emulate "$vendor" --listen 127.0.0.1:0 \
    --broker "mqtt://127.0.0.1:$port" "${options[@]}" ${DIALOGUE:+--dialogue})
pids+=($!)
modem=$(wait_for "$emulator" '* on tcp:*') || fail 'no modem'

: >"$scratch/heard"
mosquitto_sub "${to_broker[@]}" -t '#' -F '%t %p' >>"$scratch/heard" &
pids+=($!)
exec {heard}< <(exec tail -n +1 -f "$scratch/heard")
pids+=($!)
mosquitto_pub "${to_broker[@]}" -r -t ready -m yes
wait_for "$heard" 'ready yes' >/dev/null || fail 'nobody hears'
start_qemu "tcp:${modem##*tcp:},nodelay=on"

for _ in $(seq "$counters"); do
    wait_for "$heard" "$count* 2" >/dev/null || fail 'it does not count'
done
for length in {256..247}; do
    printf -v payload "%0${length}d" 0
    mosquitto_pub "${to_broker[@]}" -t "$command" -m "$payload"
    wait_for "$heard" "$answer $length" >/dev/null || fail "no answer to $length bytes"
done
mosquitto_pub "${to_broker[@]}" -t "$command" -m stop
end

awk -v topic="$count" -v counters="$counters" '
    index($1, topic) == 1 && $2 != ++last[$1] { print $1 " counts " $2 " for " last[$1]; bad = 1 }
    END { exit bad || length(last) != counters }
' "$scratch/heard" >&2 || fail 'something was lost'
