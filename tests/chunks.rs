//! The size of the reads changes nothing: outcomes, events and what goes out
//! are the same for whole, bytewise and random splits, through the real
//! machines, in dialogues with messages and unsolicited lines mixed in, and
//! over everything that was ever recorded.
//!
//! More dialogues: `PROPTEST_CASES=2000 cargo test --release -p hayes --test chunks`.

mod common;
#[path = "common/law.rs"]
mod law;

use std::{fs, path::PathBuf};

use common::{Heard, Kind, Rig};
use hayes::{
    Instant, Machine, Operation,
    mqtt::{ConnectOptions, Error, QoS},
};
use hayes_emulator::Modem;
use hayes_transcript::{Item, parse};
use law::{Backend, jsprs, luats, rockremotes, simcoms};
use proptest::prelude::*;

/// What happens in a dialogue.
#[derive(Clone, Debug)]
enum Act {
    Publish(Vec<u8>, QoS),
    Subscribe,
    Unsubscribe,
    Status,
    Reconnect,
    /// Messages from elsewhere, all at once.
    Receive(Vec<Vec<u8>>),
    /// Comes in between, at such a part of the next operation.
    Interject(usize, usize),
    Lose,
    Reboot,
    Wait(u64),
}

/// Content that looks like anything but content.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "\r\n",
        "OK\r\n",
        "\r\nERROR\r\n",
        ">",
        "> ",
        "+CMQTTPUB: 0,0\r\n",
        "PUBACK\r\n",
        "\"",
        "+MSUB: \"t\",3 byte,",
        "RDY\r\n",
        "CLOSED\r\n",
        "{\"v\":21.5}",
        "\u{1a}",
    ];
    let piece = prop_oneof![
        5 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(0x20_u8..0x7f, 0..300),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn act() -> impl Strategy<Value = Act> {
    let qos = prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    prop_oneof![
        4 => (payload(), qos).prop_map(|(payload, qos)| Act::Publish(payload, qos)),
        2 => Just(Act::Subscribe),
        1 => Just(Act::Unsubscribe),
        1 => Just(Act::Status),
        1 => Just(Act::Reconnect),
        4 => proptest::collection::vec(payload(), 1..4).prop_map(Act::Receive),
        6 => (0_usize..300, any::<usize>()).prop_map(|(at, which)| Act::Interject(at, which)),
        1 => Just(Act::Lose),
        1 => Just(Act::Reboot),
        1 => (0_u64..30_000).prop_map(Act::Wait),
    ]
}

/// What came of a dialogue.
type Outcome = (Vec<Result<(), Error>>, Vec<Heard>, Vec<u8>);

fn play<D: Machine, M: Modem>(
    backend: &Backend<D, M>,
    mut rig: Rig<D, M>,
    acts: &[Act],
) -> Outcome {
    let mut outcomes = vec![rig.bring_up(), rig.connect(), rig.subscribe("#")];
    let in_between = (backend.in_between)();
    for act in acts {
        match act {
            Act::Publish(payload, qos) => outcomes.push(rig.publish(backend.topic, payload, *qos)),
            Act::Subscribe => outcomes.push(rig.subscribe("#")),
            Act::Unsubscribe => outcomes.push(rig.unsubscribe("#")),
            Act::Status => outcomes.push(rig.run(&Operation::Status)),
            Act::Reconnect => {
                rig.reopen();
                outcomes.extend([rig.bring_up(), rig.connect(), rig.subscribe("#")]);
            }
            Act::Receive(payloads) => {
                for payload in payloads {
                    rig.broker.publish(backend.downlink.as_bytes(), payload, false);
                }
            }
            Act::Interject(at, which) => {
                let bytes = in_between[which % in_between.len()].bytes.clone();
                rig.trouble(false, *at, Kind::Insert(bytes));
            }
            Act::Lose => rig.modem.lose(rig.now, 0, 1),
            Act::Reboot => rig.modem.reboot(rig.now),
            Act::Wait(ms) => rig.idle(*ms),
        }
    }
    rig.idle(60_000);
    (outcomes, rig.events(), rig.host)
}

fn same<D: Machine, M: Modem>(
    backend: &Backend<D, M>,
    acts: &[Act],
    seed: u64,
) -> Result<(), TestCaseError> {
    let run = |fresh: &dyn Fn() -> Rig<D, M>, chunk, splits| {
        let mut rig = fresh();
        (rig.chunk, rig.splits) = (chunk, splits);
        play(backend, rig, acts)
    };
    for fresh in &backend.fresh {
        let whole = run(fresh, usize::MAX, None);
        prop_assert!(whole == run(fresh, 1, None), "bytewise");
        prop_assert!(whole == run(fresh, 0, Some(seed)), "at random");
    }
    Ok(())
}

/// Forty dialogues, or `PROPTEST_CASES`; a failure is printed, not kept.
fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let failure_persistence = None;
    ProptestConfig { cases: cases.unwrap_or(40), failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn simcom_dialogues_are_the_same_however_they_are_read(
        acts in proptest::collection::vec(act(), 1..12),
        seed in 1_u64..,
    ) {
        same(&simcoms(), &acts, seed)?;
    }

    #[test]
    fn luat_dialogues_are_the_same_however_they_are_read(
        acts in proptest::collection::vec(act(), 1..12),
        seed in 1_u64..,
    ) {
        same(&luats(), &acts, seed)?;
    }

    #[test]
    fn jspr_dialogues_are_the_same_however_they_are_read(
        acts in proptest::collection::vec(act(), 1..12),
        seed in 1_u64..,
    ) {
        same(&jsprs(), &acts, seed)?;
    }

    #[test]
    fn rockremote_dialogues_are_the_same_however_they_are_read(
        acts in proptest::collection::vec(act(), 1..12),
        seed in 1_u64..,
    ) {
        same(&rockremotes(), &acts, seed)?;
    }
}

// ---- what was recorded ---------------------------------------------------------

/// What the modems of all captures and test corpora said, one piece a file.
fn recorded() -> Vec<(String, Vec<u8>)> {
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")];
    let mut recorded = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "txt") {
                let text = fs::read_to_string(&path).unwrap();
                let said = match parse(&text) {
                    Ok(items) => items
                        .into_iter()
                        .filter_map(|item| match item {
                            Item::Modem(bytes) => Some(bytes),
                            _ => None,
                        })
                        .collect::<Vec<_>>()
                        .concat(),
                    // A corpus: its own text is as good as any.
                    Err(_) => text.replace("\\r", "\r").replace("\\n", "\n").into_bytes(),
                };
                recorded.push((path.display().to_string(), said));
            }
        }
    }
    recorded.sort();
    recorded
}

/// The events of a machine that reads this, in such pieces.
fn events<D: Machine>(
    mut machine: D,
    bytes: &[u8],
    mut size: impl FnMut() -> usize,
) -> Vec<String> {
    let connect = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let connect = Operation::Connect(&connect);
    let now = Instant::from_millis(0);
    machine.start(&connect, now).unwrap();
    while let Some(out) = machine.transmit(Some(&connect), now) {
        let count = out.len();
        machine.sent(count);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(size().clamp(1, rest.len()));
        machine.receive(piece, now);
        rest = later;
    }
    machine.tick(Instant::from_millis(3_600_000));
    let mut events: Vec<_> =
        machine.outcome().map(|outcome| format!("{outcome:?}")).into_iter().collect();
    while let Some(event) = machine.event() {
        events.push(format!("{event:?}"));
    }
    events
}

#[test]
fn records_mean_the_same_to_every_machine_however_they_are_read() {
    let recorded = recorded();
    assert!(recorded.len() > 20);
    let mut heard = 0;
    for (name, bytes) in &recorded {
        for machine in 0..4 {
            let read = |size: &mut dyn FnMut() -> usize| match machine {
                0 => {
                    let machine = hayes_simcom::machine::<256, 65_536>(Default::default());
                    events(machine.report_urcs(true), bytes, size)
                }
                1 => {
                    let machine = hayes_luat::machine::<320, 65_536>(Default::default());
                    events(machine.report_urcs(true), bytes, size)
                }
                2 => events(
                    hayes_iridium::jspr::machine::<4_096, 65_536>(Default::default()),
                    bytes,
                    size,
                ),
                _ => events(
                    hayes_iridium::rockremote::machine::<65_536>(Default::default()),
                    bytes,
                    size,
                ),
            };
            let whole = read(&mut || usize::MAX);
            heard += whole.len();
            assert_eq!(whole, read(&mut || 1), "{name} bytewise");
            for seed in 1..=4 {
                let mut state = seed;
                let events = read(&mut || {
                    state = common::next(state);
                    usize::try_from(state % (4 << seed)).unwrap()
                });
                assert_eq!(whole, events, "{name} with seed {seed}");
            }
        }
    }
    println!("{} records, {heard} events", recorded.len());
}
