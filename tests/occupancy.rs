//! How well publishing back to back uses the UART: the share of the time in
//! which a byte is on the wire in one direction or the other. What is missing
//! to the whole is time that the driver wastes, since the emulated modem answers
//! at once. `-- --nocapture` prints it.
//!
//! Virtual time in nanoseconds, ten bits a byte, full duplex. A byte reaches the
//! other side when its stop bit is over, each side hands over one byte at a
//! time, and computing takes no time.

mod common;

use std::collections::VecDeque;

use common::{Simcom, config};
use hayes::{
    Instant, Machine, Operation,
    mqtt::{Publish, QoS},
};
use hayes_emulator::simcom::Family;

const MESSAGES: usize = 100;
const TOPIC: &str = "plant-4/line-2/press-11/pressure";
const PAYLOAD: [u8; 256] = [b'x'; 256];

/// What happened on the wire, times in nanoseconds.
#[derive(Debug, Default)]
struct Wire {
    busy: u64,
    total: u64,
    to_modem: u64,
    to_host: u64,
}

/// Publishes all messages with QoS 1 over a UART of this speed.
fn publish_all(rig: &mut Simcom, baud: u64) -> Wire {
    let byte_time = 10_000_000_000 / baud;
    let publish = Publish::new(TOPIC, &PAYLOAD).unwrap().qos(QoS::AtLeastOnce);
    let operation = Operation::Publish(&publish);
    let began = rig.now * 1_000_000;
    let mut now = began;
    let mut wire = Wire::default();
    // The byte under way, and when it will have arrived.
    let mut to_modem: Option<(u8, u64)> = None;
    let mut to_host: Option<(u8, u64)> = None;
    let mut answers = VecDeque::new();
    let mut done = 0;
    rig.driver.start(&operation, at(now)).unwrap();
    loop {
        if let Some(outcome) = rig.driver.outcome() {
            outcome.unwrap();
            done += 1;
            if done == MESSAGES {
                break;
            }
            rig.driver.start(&operation, at(now)).unwrap();
        }
        if to_modem.is_none() {
            to_modem =
                rig.driver.transmit(Some(&operation), at(now)).map(|bytes| bytes[0]).map(|byte| {
                    wire.to_modem += 1;
                    (byte, now + byte_time)
                });
            if to_modem.is_some() {
                rig.driver.sent(1);
            }
        }
        if to_host.is_none() {
            to_host = answers.pop_front().map(|byte| (byte, now + byte_time));
            wire.to_host += u64::from(to_host.is_some());
        }
        let arrival = [to_modem, to_host].into_iter().flatten().map(|(_, end)| end).min();
        let Some(arrival) = arrival else {
            // Silence, until one side's time has come.
            let due = [rig.driver.deadline().map(Instant::as_millis), rig.modem.deadline()];
            let due = due.into_iter().flatten().min().expect("something is due") * 1_000_000;
            now = now.max(due);
            rig.driver.tick(at(now));
            answers.extend(rig.modem.transmit(now / 1_000_000));
            continue;
        };
        wire.busy += arrival - now;
        now = arrival;
        if let Some((byte, _)) = to_modem.take_if(|(_, end)| *end == now) {
            rig.modem.receive(now / 1_000_000, &[byte]);
            rig.broker.exchange(&mut rig.modem, now / 1_000_000);
            answers.extend(rig.modem.transmit(now / 1_000_000));
        }
        if let Some((byte, _)) = to_host.take_if(|(_, end)| *end == now) {
            rig.driver.receive(&[byte], at(now));
        }
    }
    wire.total = now - began;
    wire
}

fn at(nanoseconds: u64) -> Instant {
    Instant::from_millis(nanoseconds / 1_000_000)
}

#[test]
fn publishing_back_to_back_keeps_the_wire_busy() {
    println!(
        "{MESSAGES} messages, topic {} bytes, payload {} bytes, a modem that answers at once",
        TOPIC.len(),
        PAYLOAD.len()
    );
    println!("family     baud  busy      payload  to modem  to host  messages/s");
    for family in [Family::Sim7600, Family::A76xx, Family::Sim767xx] {
        for baud in [115_200, 921_600] {
            let mut rig = Simcom::new(config(family));
            rig.bring_up().unwrap();
            rig.connect().unwrap();
            let wire = publish_all(&mut rig, baud);
            assert_eq!(rig.broker.published().len(), MESSAGES);
            let share = |time: u64| 100.0 * time as f64 / wire.total as f64;
            let busy = share(wire.busy);
            let payload = (MESSAGES * PAYLOAD.len()) as u64 * (10_000_000_000 / baud);
            println!(
                "{:9} {baud:7} {busy:6.2} % {:8.2} % {:9} {:8} {:11.1}",
                format!("{family:?}"),
                share(payload),
                wire.to_modem,
                wire.to_host,
                MESSAGES as f64 * 1e9 / wire.total as f64,
            );
            assert!(busy >= 97.0, "{family:?} at {baud}: {busy:.2} %");
        }
    }
}
