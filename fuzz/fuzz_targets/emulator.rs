//! Whatever happens between a driver and an emulated modem, every operation
//! ends in time, what was published with success is at the broker as it was,
//! and once the trouble is over a connection comes about.

#![cfg_attr(fuzzing, no_main)]

#[path = "../../tests/common/mod.rs"]
pub mod common;

use common::{Kind, Luat, Rig, Simcom};
use hayes::{
    Machine, Operation,
    mqtt::{Error, LinkState, Loss, Publish, QoS},
};
use hayes_emulator::{Modem, Quirk, jspr, luat, rockremote, simcom};
use hayes_iridium as iridium;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));

/// More is not looked at, so that a run stays short.
const LONGEST: usize = 96;

/// The first byte chooses the modem, the next two what is odd about it.
pub fn run(bytes: &[u8]) {
    let [which, odd, odder, script @ ..] = bytes else { return };
    let script = &script[..script.len().min(LONGEST)];
    let odd = |at: usize| {
        let drawn = if at.is_multiple_of(2) { odd } else { odder };
        drawn >> (at / 2 % 8) & 1 == 1 && at / 16 == usize::from(which >> 4) % 3
    };
    let which = usize::from(which & 0x0f);
    match (which % 2, which < 8) {
        (0, true) => {
            let family = simcom::Family::ALL[which / 2 % simcom::Family::ALL.len()];
            let quirks = Quirk::ALL.into_iter().enumerate();
            // Some families speak nothing else.
            let quirks = quirks.filter(|(at, it)| odd(*at) && *it != Quirk::Mqtt31Refused);
            let quirks = quirks.map(|(_, quirk)| quirk).collect();
            let config = simcom::Config { quirks, ..common::config(family) };
            play(&AT, Simcom::new(config), script);
        }
        (_, true) => {
            let family = luat::Family::ALL[which / 2 % luat::Family::ALL.len()];
            let quirks = luat::Quirk::ALL.into_iter().enumerate();
            let quirks = quirks.filter(|(at, quirk)| odd(*at) && !OF_OTHERS.contains(quirk));
            let quirks = quirks.map(|(_, quirk)| quirk).collect();
            let config = luat::Config { quirks, ..common::luat_config(family) };
            play(&AT, Luat::new(config), script);
        }
        (0, false) => play(&ROCKREMOTE, rockremote(odd), script),
        (_, false) => play(&IRIDIUM_9704, iridium_9704(odd), script),
    }
}

/// What a modem calls things.
struct Backend {
    up: &'static str,
    /// At the broker.
    down: &'static str,
    filter: &'static str,
    /// A success means that the message is at the broker; else it is on its way.
    at_once: bool,
}

const AT: Backend = Backend { up: "up/t", down: "dn/t", filter: "dn/#", at_once: true };
const ROCKREMOTE: Backend = Backend { down: "iot/ACCOUNT-ID/dn/t", at_once: false, ..AT };
const IRIDIUM_9704: Backend = Backend { up: "RAW", down: "imt/247", filter: "#", at_once: true };

/// A box that keeps its queue: what it took has to arrive. The rest is open,
/// since no page says which broker is in it.
fn rockremote(
    odd: impl Fn(usize) -> bool,
) -> Rig<iridium::rockremote::Machine<16_384>, rockremote::Modem> {
    let config = rockremote::Config {
        max_qos: if odd(0) { 0 } else { 2 },
        mt_qos: if odd(1) { 2 } else { 1 },
        answer: if odd(2) { 50 } else { 0 },
        max_in_flight: if odd(3) { 1 } else { 20 },
        patience: odd(4).then_some(1_000),
        boot: if odd(5) { 30_000 } else { 2_000 },
        survives: rockremote::Survives { sessions: odd(6), retained: odd(7), queue: true },
        ..common::rock_config()
    };
    let machine = iridium::rockremote::machine(Default::default());
    let mut rig = Rig::of(machine, rockremote::Modem::new(config));
    rig.stream = true;
    rig
}

fn iridium_9704(
    odd: impl Fn(usize) -> bool,
) -> Rig<iridium::jspr::Machine<4096, 16_384>, jspr::Modem> {
    let quirks = jspr::Quirk::ALL.into_iter().enumerate();
    // Without a final status, no publish has an end that is known.
    let quirks = quirks.filter(|(at, it)| odd(*at) && *it != jspr::Quirk::NoFinalStatus);
    let quirks = quirks.fold(jspr::Quirks::NONE, |all, (_, quirk)| all.with(quirk));
    let small = jspr::Segments { size: 40, order: jspr::Order::Shuffled, twice: Some(3) };
    let segments = if odd(12) { small } else { jspr::Segments::default() };
    let config = jspr::Config {
        quirks,
        boot: if odd(13) { jspr::BootState::ColdBoot } else { jspr::BootState::AlreadyOn },
        configured: odd(14),
        mo: jspr::Originate { segments, again: odd(15).then_some(50), ..Default::default() },
        mt: jspr::Terminate { segments, slack: 20, ..Default::default() },
        ..jspr::Config::default()
    };
    Rig::of(iridium::jspr::machine(Default::default()), jspr::Modem::new(config))
}

/// Oddities of firmware that says so in its name, which these families are not.
const OF_OTHERS: [luat::Quirk; 3] =
    [luat::Quirk::NoMpubex, luat::Quirk::EchoData, luat::Quirk::ModeRequired];

/// Payloads that look like what a modem says.
const PAYLOADS: [&[u8]; 8] = [
    b"21.5",
    b"\r\nOK\r\n",
    b"\r\nERROR\r\n+CMQTTRXEND: 0\r\n",
    b"> ",
    b"\r\n+MSUB: \"t\",2 byte,{}\r\nCLOSED\r\n",
    b"{\"a\":\"b\\c\"}",
    b"\x1a\x1b",
    b"",
];

fn play<D: Machine, M: Modem>(backend: &Backend, mut rig: Rig<D, M>, script: &[u8]) {
    let mut script = script.iter().copied();
    let mut damage = false;
    let mut refusals = 0;
    let mut promised = Vec::new();
    while let Some(step) = script.next() {
        let mut more = || script.next().unwrap_or(0);
        match step % 20 {
            0 => drop(rig.bring_up()),
            1 | 2 => drop(connect(&mut rig)),
            3..=5 => {
                let payload = PAYLOADS[usize::from(step / 20) % PAYLOADS.len()];
                let qos = QoS::from_level(step % 20 - 3).unwrap();
                let before = rig.broker.published().len();
                let accepted = rig.publish(backend.up, payload, qos).is_ok();
                // A byte of the payload that was lost on the way is the line's
                // affair, and QoS 0 promises nothing.
                if accepted
                    && qos > QoS::AtMostOnce
                    && !damage
                    && !rig.trouble.as_ref().is_some_and(|it| it.to_modem && !rig.stream)
                {
                    promised.push(payload);
                    let mut arrived = rig.broker.published()[before..].iter();
                    let arrived = arrived.any(|it| it.payload == payload);
                    assert!(arrived || !backend.at_once, "{}", rig.transcript());
                }
            }
            6 => drop(rig.subscribe(backend.filter)),
            7 => drop(rig.unsubscribe(backend.filter)),
            8 => drop(rig.run(&Operation::Status)),
            9 => drop(rig.run(&Operation::Disconnect)),
            10 => rig.deliver(backend.down, PAYLOADS[usize::from(step / 20) % PAYLOADS.len()]),
            11 => {
                let publish = Publish::new(backend.up, b"dropped").unwrap().qos(QoS::AtLeastOnce);
                let operation = Operation::Publish(&publish);
                let end = rig.wire.len() + usize::from(more() % 16);
                if rig.driver.link() == LinkState::Connected {
                    rig.run_and_drop(&operation, |rig| rig.wire.len() > end);
                }
            }
            12 | 13 => {
                let (at, kind) = (usize::from(more()), more());
                let kind = match kind % 6 {
                    5 => Kind::Unplug,
                    // TCP carries each byte or ends.
                    _ if rig.stream => Kind::Lose,
                    0 => Kind::Drop,
                    1 => Kind::Garble,
                    2 => Kind::Repeat,
                    3 => Kind::Insert(b"\r\nOK\r\n".to_vec()),
                    _ => Kind::Insert(b"\r\nERROR\r\n".to_vec()),
                };
                plug(&mut rig);
                damage |= step % 20 == 12 && !rig.stream;
                rig.trouble(step % 20 == 12, at, kind);
            }
            14 => rig.modem.reboot(rig.now),
            15 => rig.modem.power_cycle(rig.now),
            16 => rig.broker.lose(0, 1 + more() % 3),
            17 => match more() % 3 {
                0 => rig.broker.hold(),
                1 => rig.broker.resume(),
                // What is refused behind a queue is lost, and nobody is told.
                _ if backend.at_once => {
                    refusals += 1;
                    rig.broker.fail_next(1 + step / 20);
                }
                _ => {}
            },
            18 => rig.modem.set_network(rig.now, more() % 2 == 0),
            _ => match more() {
                0 => drop(rig.events()),
                size @ 1..=64 => rig.chunk = size.into(),
                ms => rig.idle(u64::from(ms) * 100),
            },
        }
    }
    rig.trouble = None;
    plug(&mut rig);
    rig.broker.resume();
    rig.modem.set_network(rig.now, true);
    rig.idle(1_000);
    // Failures of the broker that were asked for may still be to come.
    let connected = (0..LONGEST).any(|_| rig.bring_up().is_ok() && connect(&mut rig).is_ok());
    assert!(connected, "no connection any more: {}", rig.transcript());
    rig.events();
    let mut unheard = true;
    loop {
        match rig.publish(backend.up, b"last", QoS::AtLeastOnce) {
            Ok(()) => break,
            // Its line was kept back by the cable while a 9704 had a message to
            // send, so that nothing was asked since: the first operation finds
            // it out.
            Err(Error::Restarted | Error::Lost(Loss::Restart)) if unheard => {
                unheard = false;
                let connected = rig.bring_up().is_ok() && connect(&mut rig).is_ok();
                assert!(connected, "{}", rig.transcript());
            }
            Err(_) if refusals > 0 => refusals -= 1,
            Err(error) => panic!("{error}\n{}", rig.transcript()),
        }
    }
    promised.push(b"last");
    if !backend.at_once {
        rig.idle(60_000);
    }
    for payload in &promised {
        let promises = promised.iter().filter(|it| *it == payload).count();
        let arrived = rig.broker.published().iter().filter(|it| it.payload == *payload).count();
        assert!(arrived >= promises, "{}", rig.transcript());
    }
}

/// What was lost meanwhile is missing from a line, but never from a connection.
fn plug<D: Machine, M: Modem>(rig: &mut Rig<D, M>) {
    if rig.stream && !rig.plugged {
        rig.reopen();
    }
    rig.plugged = true;
}

/// Where the transport is the connection, each connect wants a new one.
fn connect<D: Machine, M: Modem>(rig: &mut Rig<D, M>) -> Result<(), Error> {
    if rig.stream {
        rig.reopen();
    }
    rig.connect()
}
