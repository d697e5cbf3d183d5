//! Whatever a modem says and whenever operations are begun or dropped, the
//! machine does not panic, does not send without end, and comes to rest.

#![no_main]

use hayes::{
    Instant, Machine, Operation,
    mqtt::{ConnectOptions, Network, Publish, QoS, Subscription},
};
use libfuzzer_sys::fuzz_target;

/// Takes all that is due; a single answer never asks for more than this.
fn drain(modem: &mut impl Machine, operation: Option<&Operation<'_>>, now: Instant) {
    let mut total = 0;
    while let Some(bytes) = modem.transmit(operation, now) {
        let count = bytes.len();
        assert!(count > 0);
        modem.sent(count);
        total += count;
        assert!(total < 20_000, "sends without end");
    }
}

fuzz_target!(|bytes: &[u8]| {
    drive(hayes_simcom::machine::<64, 512>(Default::default()), bytes);
    drive(hayes_luat::machine::<64, 512>(Default::default()), bytes);
});

fn drive(mut modem: impl Machine, bytes: &[u8]) {
    let network = Network::new();
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let publish = Publish::new("t", b"payload").unwrap().qos(QoS::AtLeastOnce);
    let filters = [Subscription::new("a/#", QoS::AtMostOnce).unwrap()];
    let operations = [
        Operation::BringUp(&network),
        Operation::Connect(&options),
        Operation::Publish(&publish),
        Operation::Subscribe(&filters),
        Operation::Status,
        Operation::Disconnect,
    ];
    let mut now = 0_u64;
    let mut current: Option<&Operation<'_>> = None;
    // A byte above 0xf0 is something that the host does; the rest is heard.
    for byte in bytes {
        let time = Instant::from_millis(now);
        match byte {
            0xf0..=0xf5 if current.is_none() => {
                let operation = &operations[usize::from(byte - 0xf0)];
                current = modem.start(operation, time).is_ok().then_some(operation);
            }
            0xf6..=0xf8 => {
                modem.abandon(usize::from(byte - 0xf6));
                current = None;
            }
            0xf9..=0xfb => {
                now = modem.deadline().map_or(now, |at| at.as_millis().max(now));
                modem.tick(Instant::from_millis(now));
            }
            0xfc => while modem.event().is_some() {},
            0xfd => modem.receive(b"\r\nOK\r\n", time),
            0xfe => modem.receive(b"\r\n>", time),
            heard => modem.receive(&[*heard], time),
        }
        drain(&mut modem, current, Instant::from_millis(now));
        if modem.outcome().is_some() {
            current = None;
        }
    }
    modem.abandon(0);
    for _ in 0..100_000 {
        drain(&mut modem, None, Instant::from_millis(now));
        let Some(at) = modem.deadline() else { break };
        now = now.max(at.as_millis());
        modem.tick(Instant::from_millis(now));
    }
    assert!(modem.is_idle(), "does not come to rest");
}
