# shellcheck shell=bash disable=SC2034
# Sourced by the scripts here: how an image is built, and where it is then.
# Where the target is not rustup's but Debian's, core is built from its source.
cargo=(cargo build -q --release)
if [ -n "${DEBIAN_RUST:-}" ]; then
    cargo=(env "PATH=/usr/bin:$PATH" RUSTC_BOOTSTRAP=1
        CARGO_TARGET_THUMBV7M_NONE_EABI_LINKER=ld.lld "${cargo[@]}" -Zbuild-std=core)
fi
target=${CARGO_TARGET_DIR:-target}/thumbv7m-none-eabi
