//! Bytes from a modem mean the same in one read and byte by byte.

#![no_main]

use hayes::{Instant, Machine};
use libfuzzer_sys::fuzz_target;

type Modem = hayes_simcom::Machine<64, 512>;

/// What a modem of which nothing is known makes of `bytes` in reads of `size`.
fn events(bytes: &[u8], size: usize) -> Vec<String> {
    let mut modem: Modem = hayes_simcom::machine(Default::default());
    for piece in bytes.chunks(size) {
        modem.receive(piece, Instant::default());
    }
    // A block that is cut is announced when it has stood still too long.
    modem.tick(Instant::from_millis(3_600_000));
    let mut events = Vec::new();
    while let Some(event) = modem.event() {
        events.push(format!("{event:?}"));
    }
    events
}

fuzz_target!(|bytes: &[u8]| {
    let whole = events(bytes, bytes.len().max(1));
    assert_eq!(whole, events(bytes, 1));
    assert_eq!(whole, events(bytes, 7));
});
