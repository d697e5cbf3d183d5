//! More than can be kept, longer than can be read, and nothing that can be
//! understood: what is lost is announced once with its count, and the link
//! works as soon as it is over. The memory of a machine is its own size.
//!
//! A million bytes of each kind; ten million with
//! `cargo test --release -p hayes --test flood -- --ignored`.

mod common;
#[path = "common/law.rs"]
mod law;

use common::{Heard, Kind, Rig, next};
use hayes::{
    Machine, Operation,
    mqtt::{Publish, QoS},
};
use hayes_emulator::Modem;
use law::{
    Backend, PAYLOAD, count, jsprs, jsprs_with, luats, luats_with, rockremotes, rockremotes_with,
    simcoms, simcoms_with,
};

fn connected<D: Machine, M: Modem>(backend: &Backend<D, M>) -> Rig<D, M> {
    let mut rig = backend.fresh[0]();
    rig.bring_up().unwrap();
    rig.connect().unwrap();
    rig
}

/// A publish reaches the broker, and a message the application.
fn works<D: Machine, M: Modem>(backend: &Backend<D, M>, rig: &mut Rig<D, M>, when: &str) {
    let before = count(backend, rig, PAYLOAD);
    let result = rig.publish(backend.topic, PAYLOAD, QoS::AtLeastOnce);
    assert_eq!(result, Ok(()), "{} {when}", backend.name);
    assert_eq!(count(backend, rig, PAYLOAD), before + 1, "{} {when}", backend.name);
    rig.subscribe("#").unwrap();
    rig.idle(60_000);
    rig.events();
    rig.broker.publish(backend.downlink.as_bytes(), b"afterwards", false);
    rig.idle(60_000);
    let events = rig.events();
    let arrived =
        matches!(&events[..], [Heard::Message(_, _, payload)] if payload == b"afterwards");
    assert!(arrived, "{} {when}: {events:?}", backend.name);
}

// ---- messages ------------------------------------------------------------------

/// The count of a [`hayes::mqtt::Event::Dropped`].
fn dropped(event: &Heard) -> usize {
    let Heard::Other(text) = event else { return 0 };
    let count =
        text.strip_prefix("Dropped(Dropped { count: ").and_then(|rest| rest.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

/// Messages that nobody takes.
fn untaken<D: Machine, M: Modem>(backend: &Backend<D, M>) {
    const MESSAGES: usize = 300;
    let mut rig = connected(backend);
    rig.subscribe("#").unwrap();
    for number in 0..MESSAGES {
        let payload = format!("number {number}");
        rig.broker.publish(backend.downlink.as_bytes(), payload.as_bytes(), false);
        rig.idle(if number % 7 == 0 { 10_000 } else { 0 });
    }
    rig.idle(600_000);
    let events = rig.events();
    let mut kept = 0;
    let mut announced = Vec::new();
    for event in &events {
        match event {
            Heard::Message(_, _, payload) => {
                assert_eq!(*payload, format!("number {kept}").into_bytes(), "{events:?}");
                kept += 1;
            }
            event => announced.push(dropped(event)),
        }
    }
    assert!(kept > 3, "{} {events:?}", backend.name);
    assert_eq!(announced, [MESSAGES - kept], "{} {events:?}", backend.name);
    works(backend, &mut rig, "after messages that nobody took");
}

/// Messages larger than all of the inbox, between small ones.
fn oversized<D: Machine, M: Modem>(backend: &Backend<D, M>) {
    let mut rig = connected(backend);
    rig.subscribe("#").unwrap();
    let mut heard = Vec::new();
    for payload in [b"small".as_slice(), &[b'\r'; 2_000], b"small", &[b'>'; 2_001]] {
        rig.broker.publish(backend.downlink.as_bytes(), payload, false);
        rig.idle(600_000);
        heard.extend(rig.events());
    }
    let counts: Vec<_> = heard.iter().map(dropped).collect();
    assert_eq!(counts, [0, 1, 0, 1], "{} {heard:?}", backend.name);
    for (at, bytes) in [(1, 2_000), (3, 2_001)] {
        let Heard::Other(text) = &heard[at] else { panic!("{heard:?}") };
        assert!(text.contains(&format!("bytes: {bytes}")), "{} {text}", backend.name);
    }
    works(backend, &mut rig, "after messages that are too large");
}

#[test]
fn messages_that_find_no_room_are_announced_with_their_count() {
    untaken(&simcoms_with::<512>());
    untaken(&luats_with::<512>());
    untaken(&rockremotes_with::<512>());
    untaken(&jsprs_with::<512>());
    oversized(&simcoms_with::<512>());
    oversized(&luats_with::<512>());
    oversized(&rockremotes_with::<512>());
    oversized(&jsprs_with::<512>());
}

// ---- lines ---------------------------------------------------------------------

/// Thousands of lines that nobody asked for, at each place of a publish.
fn storm<D: Machine, M: Modem>(backend: &Backend<D, M>) {
    let all = (backend.in_between)();
    let unheard: Vec<_> = all
        .iter()
        .filter(|one| one.heard.is_none() && one.answer.is_empty() && one.answers.is_none())
        .collect();
    let lines: Vec<u8> =
        unheard.iter().cycle().take(3_000).flat_map(|one| one.bytes.clone()).collect();
    let publish = Publish::new(backend.topic, PAYLOAD).unwrap().qos(QoS::AtLeastOnce);
    let operation = Operation::Publish(&publish);
    let mut rig = connected(backend);
    let from = rig.wire.len();
    rig.run(&operation).unwrap();
    let places = (backend.places)(&rig.wire[from..]);
    assert!(!places.is_empty());
    for place in places.iter().rev().skip(1) {
        let mut rig = connected(backend);
        rig.trouble(false, *place, Kind::Insert(lines.clone()));
        assert_eq!(rig.run(&operation), Ok(()), "{} {place}", backend.name);
        assert_eq!(rig.events(), [], "{} {place}", backend.name);
        works(backend, &mut rig, "after a storm");
    }
}

#[test]
fn thousands_of_lines_in_between_change_nothing() {
    storm(&simcoms());
    storm(&luats());
    storm(&rockremotes());
    storm(&jsprs());
}

// ---- bytes ---------------------------------------------------------------------

/// Bytes that are no dialogue, while nothing is done and in the middle of a
/// publish. Says what was heard while nothing was done.
fn nonsense<D: Machine, M: Modem>(backend: &Backend<D, M>, bytes: &[u8], what: &str) -> Vec<Heard> {
    let mut rig = connected(backend);
    let sent = rig.host.len();
    let now = hayes::Instant::from_millis(rig.now);
    for piece in bytes.chunks(64) {
        rig.driver.receive(piece, now);
    }
    rig.exchange(None);
    assert_eq!(rig.host.len(), sent, "{} answers {what}", backend.name);
    let events = rig.events();
    // The silence that ends whatever was begun.
    rig.idle(10_000);
    if backend.stream {
        rig.reopen();
    }
    assert_eq!(rig.connect(), Ok(()), "{} after {what}", backend.name);
    works(backend, &mut rig, what);

    let publish = Publish::new(backend.topic, PAYLOAD).unwrap().qos(QoS::AtLeastOnce);
    let mut rig = connected(backend);
    let before = rig.now;
    rig.trouble(false, 2, Kind::Insert(bytes.to_vec()));
    let result = rig.run(&Operation::Publish(&publish));
    let arrived = count(backend, &rig, PAYLOAD);
    assert!(arrived == 1 || result.is_err(), "{} {what}: {result:?}", backend.name);
    assert!(rig.now - before <= backend.patience_ms, "{} {what}", backend.name);
    rig.idle(10_000);
    rig.reopen();
    assert_eq!(rig.connect(), Ok(()), "{} after {what}", backend.name);
    works(backend, &mut rig, what);
    events
}

/// All that comes once bytes have come that have no meaning.
fn anything<D: Machine, M: Modem>(backend: &Backend<D, M>, amount: usize) {
    let mut endless = vec![b'x'; amount];
    endless.extend(b"\r\n");
    let events = nonsense(backend, &endless, "an endless line");
    let missed = [Heard::Other("Missed(1)".into())];
    let broken = |events: &[Heard]| {
        let [Heard::Other(text)] = events else { return false };
        text.contains("Protocol")
    };
    assert!(events == missed || backend.stream && broken(&events), "{} {events:?}", backend.name);

    let events = nonsense(backend, &b"\r\n".repeat(amount / 2), "empty lines");
    assert!(events.is_empty() || backend.stream && broken(&events), "{} {events:?}", backend.name);

    let mut state = 1;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = next(state);
        (state >> 24) as u8
    })
    .take(amount)
    .collect();
    nonsense(backend, &noise, "noise");
}

#[test]
fn simcom_survives_any_amount_of_anything() {
    anything(&simcoms(), 1_000_000);
}

#[test]
fn luat_survives_any_amount_of_anything() {
    anything(&luats(), 1_000_000);
}

#[test]
fn rockremote_survives_any_amount_of_anything() {
    anything(&rockremotes(), 1_000_000);
}

#[test]
fn jspr_survives_any_amount_of_anything() {
    anything(&jsprs(), 1_000_000);
}

#[test]
#[ignore = "ten million bytes"]
fn all_survive_ten_times_as_much() {
    anything(&simcoms(), 10_000_000);
    anything(&luats(), 10_000_000);
    anything(&rockremotes(), 10_000_000);
    anything(&jsprs(), 10_000_000);
}
