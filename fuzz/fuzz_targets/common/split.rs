//! The events of one machine for several splits of the same bytes.

use hayes::{Instant, Machine, mqtt::Event};

pub fn same_events<M: Machine>(bytes: &[u8], machine: impl Fn() -> M) {
    let whole = events(machine(), bytes, usize::MAX);
    for size in [1, 7] {
        assert_eq!(events(machine(), bytes, size), whole, "in reads of {size}");
    }
}

fn events(mut modem: impl Machine, bytes: &[u8], size: usize) -> Vec<String> {
    for piece in bytes.chunks(size) {
        modem.receive(piece, Instant::default());
    }
    // A block that is cut is announced when it has stood still too long.
    modem.tick(Instant::from_millis(3_600_000));
    let mut events = Vec::new();
    let mut received = 0;
    while let Some(event) = modem.event() {
        if let Event::Message(message) = event {
            received += message.topic.len() + message.payload.len();
        }
        events.push(format!("{event:?}"));
    }
    assert!(received <= bytes.len());
    events
}
