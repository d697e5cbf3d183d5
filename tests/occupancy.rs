//! How well publishing back to back uses the UART: the share of the time in
//! which a byte is on the wire in one direction or the other. What is missing
//! to the whole is time that the driver wastes, since the emulated modem answers
//! at once. And how long after power-up the first publish is done, beyond what
//! the modem itself takes. `-- --nocapture` prints both.
//!
//! Virtual time in nanoseconds, ten bits a byte, full duplex. A byte reaches the
//! other side when its stop bit is over, each side hands over one byte at a
//! time, and computing takes no time.

mod common;

use std::collections::VecDeque;

use common::{Luat, Rig, Simcom, config, luat_config};
use hayes::{
    Instant, Machine, Operation,
    mqtt::{ConnectOptions, Network, Publish, QoS},
};
use hayes_emulator::{Modem, luat, simcom};

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
fn publish_all<D: Machine, M: Modem>(rig: &mut Rig<D, M>, baud: u64) -> Wire {
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
    use luat::Family::{Air724, Air780e, V2015plus};
    use simcom::Family::{A76xx, Sim767xx, Sim7600};
    for family in [Sim7600, A76xx, Sim767xx] {
        occupied(&format!("{family:?}"), || Simcom::new(config(family)));
    }
    for family in [Air724, Air780e, V2015plus] {
        // As a capture shows them, its answers take hundreds of milliseconds.
        let delays = luat::Delays::NONE;
        let config = luat::Config { delays, ..luat_config(family) };
        occupied(&format!("{family:?}"), || Luat::new(config.clone()));
    }
}

fn occupied<D: Machine, M: Modem>(family: &str, fresh: impl Fn() -> Rig<D, M>) {
    for baud in [115_200, 921_600] {
        let mut rig = fresh();
        rig.bring_up().unwrap();
        rig.connect().unwrap();
        let wire = publish_all(&mut rig, baud);
        assert_eq!(rig.broker.published().len(), MESSAGES);
        let share = |time: u64| 100.0 * time as f64 / wire.total as f64;
        let busy = share(wire.busy);
        let payload = (MESSAGES * PAYLOAD.len()) as u64 * (10_000_000_000 / baud);
        println!(
            "{family:9} {baud:7} {busy:6.2} % {:8.2} % {:9} {:8} {:11.1}",
            share(payload),
            wire.to_modem,
            wire.to_host,
            MESSAGES as f64 * 1e9 / wire.total as f64,
        );
        assert!(busy >= 97.0, "{family} at {baud}: {busy:.2} %");
    }
}

/// Runs an operation; how long the modem had nothing to do meanwhile, in
/// milliseconds: that is what the driver adds.
fn idle_of_modem<D: Machine, M: Modem>(rig: &mut Rig<D, M>, operation: &Operation<'_>) -> u64 {
    let mut idle = 0;
    rig.driver.start(operation, Instant::from_millis(rig.now)).unwrap();
    loop {
        let now = Instant::from_millis(rig.now);
        while let Some(bytes) = rig.driver.transmit(Some(operation), now) {
            let count = bytes.len();
            rig.modem.receive(rig.now, bytes);
            rig.driver.sent(count);
        }
        rig.broker.exchange(&mut rig.modem, rig.now);
        let said = rig.modem.transmit(rig.now);
        if !said.is_empty() {
            rig.driver.receive(&said, now);
            continue;
        }
        if let Some(outcome) = rig.driver.outcome() {
            outcome.unwrap();
            return idle;
        }
        let (modem, driver) = (rig.modem.deadline(), rig.driver.deadline().map(Instant::as_millis));
        let next = [modem, driver].into_iter().flatten().min().expect("something is due");
        if modem.is_none() {
            idle += next.saturating_sub(rig.now);
        }
        rig.now = rig.now.max(next);
        rig.driver.tick(Instant::from_millis(rig.now));
    }
}

#[test]
fn the_first_publish_after_power_up_is_as_early_as_the_modem_allows() {
    use hayes_emulator::modem::BootState::ColdBoot;
    let delays = simcom::Delays {
        answer: 20,
        result: 300,
        boot: 9_000,
        sim: 2_000,
        ready: 1_000,
        registration: 8_000,
        ..Default::default()
    };
    for family in [simcom::Family::Sim7600, simcom::Family::A76xx, simcom::Family::Sim767xx] {
        let config = simcom::Config { boot: ColdBoot, delays, ..config(family) };
        early(&format!("{family:?}"), Simcom::new(config));
    }
    for family in [luat::Family::Air724, luat::Family::Air780e, luat::Family::V2015plus] {
        let delays = luat::Delays { registration: 8_000, ..Default::default() };
        let config = luat::Config { boot: ColdBoot, delays, ..luat_config(family) };
        early(&format!("{family:?}"), Luat::new(config));
    }
}

fn early<D: Machine, M: Modem>(family: &str, mut rig: Rig<D, M>) {
    let network = Network::new();
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let publish = Publish::new(TOPIC, &PAYLOAD).unwrap().qos(QoS::AtLeastOnce);
    let operations =
        [Operation::BringUp(&network), Operation::Connect(&options), Operation::Publish(&publish)];
    let idle: u64 = operations.iter().map(|operation| idle_of_modem(&mut rig, operation)).sum();
    let (total, added) = (rig.now, 100.0 * idle as f64 / (rig.now - idle) as f64);
    println!(
        "{family:9} first publish after {total} ms, {idle} ms of them the driver's ({added:.2} %)"
    );
    assert!(added <= 1.0, "{family}: {idle} of {total} ms");
}
