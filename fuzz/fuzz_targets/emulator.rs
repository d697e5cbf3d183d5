//! Whatever happens between a driver and an emulated modem, every operation
//! ends in time, what was published with success is at the broker as it was,
//! and once the trouble is over a connection comes about.

#![cfg_attr(fuzzing, no_main)]

#[path = "../../tests/common/mod.rs"]
pub mod common;

use common::{Kind, Luat, Rig, Simcom};
use hayes::{
    Machine, Operation,
    mqtt::{Publish, QoS},
};
use hayes_emulator::{Modem, Quirk, luat, simcom};

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
    if which % 2 == 0 {
        let family = simcom::Family::ALL[which / 2 % simcom::Family::ALL.len()];
        let quirks = Quirk::ALL.into_iter().enumerate();
        // Some families speak nothing else.
        let quirks = quirks.filter(|(at, it)| odd(*at) && *it != Quirk::Mqtt31Refused);
        let quirks = quirks.map(|(_, quirk)| quirk).collect();
        let config = simcom::Config { quirks, ..common::config(family) };
        play(Simcom::new(config), script);
    } else {
        let family = luat::Family::ALL[which / 2 % luat::Family::ALL.len()];
        let quirks = luat::Quirk::ALL.into_iter().enumerate();
        let quirks = quirks.filter(|(at, quirk)| odd(*at) && !OF_OTHERS.contains(quirk));
        let quirks = quirks.map(|(_, quirk)| quirk).collect();
        let config = luat::Config { quirks, ..common::luat_config(family) };
        play(Luat::new(config), script);
    }
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

fn play<D: Machine, M: Modem>(mut rig: Rig<D, M>, script: &[u8]) {
    let mut script = script.iter().copied();
    let mut damage = false;
    while let Some(step) = script.next() {
        let mut more = || script.next().unwrap_or(0);
        match step % 20 {
            0 => drop(rig.bring_up()),
            1 | 2 => drop(rig.connect()),
            3..=5 => {
                let payload = PAYLOADS[usize::from(step / 20) % PAYLOADS.len()];
                let qos = QoS::from_level(step % 20 - 3).unwrap();
                let before = rig.broker.published().len();
                let accepted = rig.publish("up/t", payload, qos).is_ok();
                // A byte of the payload that was lost on the way is the line's
                // affair, and QoS 0 promises nothing.
                if accepted
                    && qos > QoS::AtMostOnce
                    && !damage
                    && !rig.trouble.as_ref().is_some_and(|it| it.to_modem)
                {
                    let mut arrived = rig.broker.published()[before..].iter();
                    assert!(arrived.any(|it| it.payload == payload), "{}", rig.transcript());
                }
            }
            6 => drop(rig.subscribe("dn/#")),
            7 => drop(rig.unsubscribe("dn/#")),
            8 => drop(rig.run(&Operation::Status)),
            9 => drop(rig.run(&Operation::Disconnect)),
            10 => rig.deliver("dn/t", PAYLOADS[usize::from(step / 20) % PAYLOADS.len()]),
            11 => {
                let publish = Publish::new("up/t", b"dropped").unwrap().qos(QoS::AtLeastOnce);
                let operation = Operation::Publish(&publish);
                let end = rig.wire.len() + usize::from(more() % 16);
                if rig.driver.link() == hayes::mqtt::LinkState::Connected {
                    rig.run_and_drop(&operation, |rig| rig.wire.len() > end);
                }
            }
            12 | 13 => {
                let (at, kind) = (usize::from(more()), more());
                let kind = match kind % 6 {
                    0 => Kind::Drop,
                    1 => Kind::Garble,
                    2 => Kind::Repeat,
                    3 => Kind::Insert(b"\r\nOK\r\n".to_vec()),
                    4 => Kind::Insert(b"\r\nERROR\r\n".to_vec()),
                    _ => Kind::Unplug,
                };
                rig.plugged = true;
                damage |= step % 20 == 12;
                rig.trouble(step % 20 == 12, at, kind);
            }
            14 => rig.modem.reboot(rig.now),
            15 => rig.modem.power_cycle(rig.now),
            16 => rig.broker.lose(0, 1 + more() % 3),
            17 => match more() % 3 {
                0 => rig.broker.hold(),
                1 => rig.broker.resume(),
                _ => rig.broker.fail_next(1 + step / 20),
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
    rig.plugged = true;
    rig.broker.resume();
    rig.modem.set_network(rig.now, true);
    rig.idle(1_000);
    // Failures of the broker that were asked for may still be to come.
    let connected = (0..LONGEST).any(|_| rig.bring_up().is_ok() && rig.connect().is_ok());
    assert!(connected, "no connection any more: {}", rig.transcript());
    rig.events();
    let published = rig.publish("up/last", b"last", QoS::AtLeastOnce);
    assert_eq!(published, Ok(()), "{}", rig.transcript());
    assert_eq!(rig.broker.published().last().unwrap().payload, b"last");
}
