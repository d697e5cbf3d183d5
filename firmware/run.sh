#!/usr/bin/env bash
# run.sh IMAGE [VENDOR]: runs an image in QEMU, its modem port joined to an
# emulated modem of the vendor in front of a mosquitto. Whoever subscribes
# there must see the counter go up, and the answer to a message of 256 bytes
# with a topic of 64. Without a vendor the image only has to end. Prints what
# it says on its console, at last how much stack it used. HAYES is the command
# that emulates, built unless given.
set -euo pipefail
image=$1 vendor=${2-}
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
    local line
    while read -r -t $patience -u "$1" line; do
        # shellcheck disable=SC2053
        [[ $line == $2 ]] && echo "$line" && return
    done
    return 1
}

# start_qemu SERIAL: the image, its modem port joined to that.
start_qemu() {
    qemu-system-arm -machine lm3s6965evb -kernel "$image" -display none -monitor none \
        -semihosting-config enable=on,target=native \
        -chardev "file,id=console,path=$scratch/console" -serial chardev:console \
        -serial "$1" </dev/null 2>"$scratch/qemu" &
    qemu=$!
    pids+=("$qemu")
}

end() {
    timeout $patience tail --pid="$qemu" -f /dev/null || fail 'does not stop'
    wait "$qemu" || fail "$(cat "$scratch/qemu")"
    cat "$scratch/console"
    exit
}

if [ -z "$vendor" ]; then
    start_qemu null
    end
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

# A box has its own names in the cloud, and need not wait to send.
topics=device-7 options=()
if [ "$vendor" = rockremote ]; then
    topics=iot/ACCOUNT-ID/device-7 options=(--immediately)
fi
exec {emulator}< <(exec "$HAYES" emulate "$vendor" --listen 127.0.0.1:0 \
    --broker "mqtt://127.0.0.1:$port" "${options[@]}" ${DIALOGUE:+--dialogue})
pids+=($!)
modem=$(wait_for "$emulator" '* on tcp:*') || fail 'no modem'

exec {heard}< <(exec mosquitto_sub "${to_broker[@]}" -t "$topics/#" -F '%t %p')
pids+=($!)
start_qemu "tcp:${modem##*tcp:},nodelay=on"

first=$(wait_for "$heard" "$topics/count *") || fail 'it publishes nothing'
second=$((${first##* } + 1))
wait_for "$heard" "$topics/count $second" >/dev/null || fail "$second does not follow"
printf -v topic 'device-7/cmd/%051d' 0
printf -v payload '%0256d' 0
mosquitto_pub "${to_broker[@]}" -t "${topics%device-7}$topic" -m "$payload"
wait_for "$heard" "$topics/answer 256" >/dev/null || fail 'it does not answer'
mosquitto_pub "${to_broker[@]}" -t "$topics/cmd/end" -m stop
end
