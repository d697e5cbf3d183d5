//! The promises that hold for any operation, at any place of its dialogue:
//! what comes in between changes nothing, what goes wrong is found out in time
//! and survived, and nothing is published that nobody published.

mod common;

use common::{Heard, Kind, Rig, config, message};
use hayes::{
    Operation,
    mqtt::{ConnectOptions, Network, Publish, QoS, Subscription, TopicFilter},
};
use hayes_emulator::simcom::Family;

const FAMILIES: [Family; 3] = [Family::Sim7600, Family::A76xx, Family::Sim767xx];

/// Runs `test` with each kind of operation, on a modem that is ready for it.
fn each_operation(test: impl Fn(&dyn Fn() -> Rig, &Operation<'_>)) {
    let network = Network::new();
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let publish = Publish::new("a/topic", b"payload").unwrap().qos(QoS::AtLeastOnce);
    let subscriptions =
        ["x/#", "y"].map(|filter| Subscription::new(filter, QoS::AtLeastOnce).unwrap());
    let filters = ["x/#", "y"].map(|filter| TopicFilter::new(filter).unwrap());
    for family in FAMILIES {
        let fresh = move || Rig::new(config(family));
        let up = move || {
            let mut rig = fresh();
            rig.bring_up().unwrap();
            rig
        };
        let connected = move || {
            let mut rig = up();
            rig.connect().unwrap();
            rig
        };
        test(&fresh, &Operation::BringUp(&network));
        test(&up, &Operation::Connect(&options));
        test(&connected, &Operation::Publish(&publish));
        test(&connected, &Operation::Subscribe(&subscriptions));
        test(&connected, &Operation::Unsubscribe(&filters));
        test(&connected, &Operation::Status);
        test(&connected, &Operation::Disconnect);
    }
}

/// Places where a modem may put a line of its own: after a line end, and
/// before a block.
fn line_boundaries(wire: &[(bool, Vec<u8>)]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut before = Vec::new();
    for (_, block) in wire.iter().filter(|(host, _)| !host) {
        for (at, byte) in block.iter().enumerate() {
            let starts = at == 0 || before.ends_with(b"\r\n");
            if starts && !before.ends_with(b">") {
                places.push(before.len());
            }
            before.push(*byte);
        }
    }
    places
}

#[test]
fn what_comes_in_between_changes_nothing_and_is_heard_once() {
    const MESSAGE: &[u8] = b"\r\n+CMQTTRXSTART: 0,3,5\r\n+CMQTTRXTOPIC: 0,3\r\nt/a\r\n\
        +CMQTTRXPAYLOAD: 0,5\r\nOK\r\n>\r\n+CMQTTRXEND: 0\r\n";
    let kinds: [(&[u8], Option<Heard>); 5] = [
        (MESSAGE, Some(message("t/a", b"OK\r\n>"))),
        (b"\r\n+CGEV: EPS PDN ACT 1\r\n", None),
        (b"\r\nSMS DONE\r\n", None),
        (b"\r\n+NEVERSEEN: \"OK\",1\r\n", None),
        (b"\r\n+CGEV: ME DETACH\r\n", Some(Heard::Other("NetworkLost".into()))),
    ];
    let places = std::cell::Cell::new(0);
    each_operation(|ready, operation| {
        let mut rig = ready();
        let from = rig.wire.len();
        rig.run(operation).unwrap();
        for place in line_boundaries(&rig.wire[from..]) {
            for (bytes, heard) in &kinds {
                let mut rig = ready();
                rig.trouble(false, place, Kind::Insert(bytes.to_vec()));
                let result = rig.run(operation);
                rig.idle(100);
                let events = rig.events();
                let context = format!("{:?} {place} {}", operation.verb(), bytes.escape_ascii());
                assert_eq!(result, Ok(()), "{context}\n{}", rig.transcript());
                assert_eq!(events, heard.iter().cloned().collect::<Vec<_>>(), "{context}");
                places.set(places.get() + 1);
            }
        }
    });
    println!("{} insertions", places.get());
}

#[test]
fn one_byte_of_trouble_is_found_out_in_time_and_survived() {
    let places = std::cell::Cell::new(0);
    each_operation(|ready, operation| {
        let mut rig = ready();
        rig.trouble(true, usize::MAX, Kind::Drop);
        rig.run(operation).unwrap();
        let lengths = [rig.passed(false), rig.passed(true)];
        for to_modem in [false, true] {
            for at in 0..lengths[usize::from(to_modem)] {
                for kind in [Kind::Drop, Kind::Garble, Kind::Repeat, Kind::Unplug] {
                    let mut rig = ready();
                    rig.trouble(to_modem, at, kind.clone());
                    let before = rig.now;
                    let result = rig.run(operation);
                    let context =
                        || format!("{:?} {to_modem} {at} {kind:?} {result:?}", operation.verb());
                    assert!(rig.now - before < 400_000, "{}: {} ms", context(), rig.now - before);
                    rig.trouble = None;
                    rig.plugged = true;
                    let again = rig.connect();
                    assert_eq!(again, Ok(()), "{1}\n{0}", context(), rig.transcript());
                    let next = rig.publish("next", b"next", QoS::AtLeastOnce);
                    assert_eq!(next, Ok(()), "{1}\n{0}", context(), rig.transcript());
                    for message in rig.broker.published() {
                        let known: [&[u8]; 2] = [b"payload", b"next"];
                        let garbled =
                            to_modem && matches!(kind, Kind::Garble | Kind::Repeat | Kind::Drop);
                        assert!(
                            garbled || known.contains(&message.payload.as_slice()),
                            "{}: {}\n{}",
                            context(),
                            message.payload.escape_ascii(),
                            rig.transcript(),
                        );
                        assert!(!message.payload.windows(3).any(|w| w == b"AT+"), "{}", context());
                    }
                    places.set(places.get() + 1);
                }
            }
        }
    });
    println!("{} places of trouble", places.get());
}
