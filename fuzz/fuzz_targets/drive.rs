//! Whatever a modem says and whenever operations are begun or dropped, the
//! machine does not panic, does not send without end, and comes to rest.

#![cfg_attr(fuzzing, no_main)]

use hayes::{
    File, FileKind, Instant, Machine, Operation,
    mqtt::{ConnectOptions, Credential, Network, Publish, QoS, Subscription, Tls, Will},
};
use hayes_iridium::{jspr, rockremote};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));

/// The first byte chooses the machine.
pub fn run(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 4 {
        0 => drive(hayes_simcom::machine::<64, 512>(Default::default()), bytes),
        1 => drive(hayes_luat::machine::<64, 512>(Default::default()), bytes),
        2 => drive(rockremote::machine::<512>(Default::default()), bytes),
        _ => drive(jspr::machine::<128, 512>(Default::default()), bytes),
    }
}

/// A byte from 0xf0 on is something that the host does; the rest is heard.
fn drive(mut modem: impl Machine, bytes: &[u8]) {
    let network = Network::new().apn("iot").unwrap();
    let will = Will::new("w", b"gone").unwrap();
    let key = Credential::Pem(b"key");
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let plain = options.clean_session(false).last_will(will);
    let secure = options.tls(Tls::insecure().client(Credential::Stored("c.pem"), key));
    let publish = Publish::new("t", b"payload").unwrap().qos(QoS::AtLeastOnce);
    let again = publish.qos(QoS::ExactlyOnce).repeat();
    let filters = ["a/#", "b"].map(|filter| Subscription::new(filter, QoS::ExactlyOnce).unwrap());
    let unfilters = [filters[0].filter];
    let file = File { kind: FileKind::Key, content: key };
    let operations = [
        Operation::BringUp(&network),
        Operation::Connect(&plain),
        Operation::Connect(&secure),
        Operation::Publish(&publish),
        Operation::Publish(&again),
        Operation::Subscribe(&filters),
        Operation::Unsubscribe(&unfilters),
        Operation::Status,
        Operation::Store(&file),
        Operation::Disconnect,
    ];
    let mut now = 0_u64;
    let mut current: Option<&Operation<'_>> = None;
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        let time = Instant::from_millis(now);
        match byte {
            0xf0 => {
                let which = usize::from(bytes.next().copied().unwrap_or(0));
                if current.is_none() {
                    let operation = &operations[which % operations.len()];
                    current = modem.start(operation, time).is_ok().then_some(operation);
                }
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
            0xff => {
                modem.closed();
                modem.opened();
            }
            heard => modem.receive(&[*heard], time),
        }
        drain(&mut modem, current, Instant::from_millis(now));
        if modem.outcome().is_some() {
            assert!(current.is_some(), "an outcome of nothing");
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
