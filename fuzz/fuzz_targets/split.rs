//! Bytes from a modem mean the same in one read and byte by byte.

#![no_main]

use hayes::{Instant, Machine};
use libfuzzer_sys::fuzz_target;

/// What a driver makes of `bytes` in reads of `size`.
fn events(mut modem: impl Machine, bytes: &[u8], size: usize) -> Vec<String> {
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

fn simcom() -> impl Machine {
    hayes_simcom::machine::<64, 512>(Default::default()).report_urcs(true)
}

fn luat() -> impl Machine {
    hayes_luat::machine::<64, 512>(Default::default()).report_urcs(true)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = events(simcom(), bytes, bytes.len().max(1));
    assert_eq!(whole, events(simcom(), bytes, 1));
    assert_eq!(whole, events(simcom(), bytes, 7));
    let whole = events(luat(), bytes, bytes.len().max(1));
    assert_eq!(whole, events(luat(), bytes, 1));
    assert_eq!(whole, events(luat(), bytes, 7));
});
