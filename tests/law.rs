//! The promises that hold for any operation, at any place of its dialogue:
//! what comes in between changes nothing, what goes wrong is found out in time
//! and survived, and nothing is published that nobody published.
//!
//! A sample of the places is tried; all of them with
//! `cargo test --release -p hayes --test law -- --ignored --nocapture`.

mod common;
#[path = "common/law.rs"]
mod law;

use std::cell::Cell;

use common::{Heard, Kind, Rig, framed};
use hayes::{
    Machine, Operation, Verb,
    mqtt::{Error, Event, QoS, Registration, Status},
};
use hayes_emulator::Modem;
use law::{
    Backend, PAYLOAD, Sample, count, each_operation, is_modems_timeout, jsprs, luats, qos,
    rockremotes, said, simcoms,
};

#[test]
fn what_comes_in_between_changes_nothing_and_is_heard_once() {
    insert(&simcoms(), &Sample::one_in(15));
    insert(&luats(), &Sample::one_in(10));
    insert(&rockremotes(), &Sample::one_in(1));
    insert(&jsprs(), &Sample::one_in(1));
}

#[test]
#[ignore = "all places"]
fn what_comes_in_between_changes_nothing_and_is_heard_once_anywhere() {
    insert(&simcoms(), &Sample::one_in(1));
    insert(&luats(), &Sample::one_in(1));
}

fn insert<D: Machine, M: Modem>(backend: &Backend<D, M>, sample: &Sample) {
    let all = (backend.in_between)();
    each_operation(backend, |ready, operation| {
        let mut rig = ready();
        let from = rig.wire.len();
        rig.run(operation).unwrap();
        let undisturbed = known(&rig);
        let wire = &rig.wire[from..];
        let end = said(wire).len();
        let answer = Some((operation.verb(), qos(operation)));
        for place in (backend.places)(wire) {
            for one in all.iter().filter(|one| one.answers != answer) {
                if !sample.takes() {
                    continue;
                }
                let mut rig = ready();
                let bytes = one.bytes.clone();
                if place < end {
                    rig.trouble(false, place, Kind::Insert(bytes));
                } else {
                    rig.trouble(false, place - 1, Kind::Append(bytes));
                }
                let sent = rig.host.len();
                let result = rig.run(operation);
                rig.idle(100);
                let context = format!(
                    "{} {operation:?} {place} {}\n{}",
                    backend.name,
                    one.bytes.escape_ascii(),
                    rig.transcript()
                );
                assert_eq!(result, Ok(()), "{context}");
                // Text without a name may be what was asked for (V.250, 5.4.3).
                let may_be_answer = one.bytes == framed("Call Ready");
                if one.heard.is_none() && !may_be_answer {
                    assert_eq!(known(&rig), undisturbed, "{context}");
                }
                // After its last line a disconnected modem says nothing of MQTT.
                let over = backend.stream && operation.verb() == Verb::Disconnect;
                if !over {
                    let events = rig.events();
                    let is_so = match (events.as_slice(), &one.heard) {
                        ([Heard::Other(text)], Some(Heard::Other(start))) => {
                            text.starts_with(start)
                        }
                        ([event], Some(heard)) => event == heard,
                        (events, heard) => events.is_empty() && heard.is_none(),
                    };
                    assert!(is_so, "{events:?}\n{context}");
                }
                if !one.answer.is_empty() && !over {
                    let answers = rig.host[sent..].windows(one.answer.len());
                    assert_eq!(answers.filter(|w| *w == one.answer).count(), 1, "{context}");
                }
            }
        }
    });
    sample.report(backend.name, "insertions");
}

#[test]
fn an_operation_dropped_before_it_takes_its_result_is_of_unknown_outcome() {
    untaken(&simcoms(), true);
    untaken(&luats(), true);
    untaken(&rockremotes(), true);
    // Filters are the driver's, and connecting is bringing up.
    untaken(&jsprs(), false);
}

/// Whoever lent the operation is gone before its outcome was asked for.
fn untaken<D: Machine, M: Modem>(backend: &Backend<D, M>, all: bool) {
    each_operation(backend, |ready, operation| {
        let mut rig = ready();
        rig.start(operation).unwrap();
        let end = rig.now + 30_000;
        while rig.now < end && (rig.exchange(Some(operation)) || rig.advance()) {}
        rig.driver.abandon(0);
        let verb = operation.verb();
        let told = match verb {
            Verb::BringUp | Verb::Status => false,
            Verb::Publish => true,
            _ => all,
        };
        let unknown = told.then(|| Heard::Other(format!("{:?}", Event::Unknown(verb.name()))));
        assert_eq!(rig.events(), Vec::from_iter(unknown), "{} {operation:?}", backend.name);
        rig.driver.abandon(0);
        assert_eq!(rig.events(), [], "{} {operation:?}", backend.name);
    });
}

#[test]
fn a_loss_in_between_is_heard_once_and_a_connect_repairs_it() {
    losses(&simcoms(), &Sample::one_in(1));
    losses(&luats(), &Sample::one_in(1));
    losses(&rockremotes(), &Sample::one_in(1));
    losses(&jsprs(), &Sample::one_in(1));
}

/// Lines that say that the connection is gone, at each place of each
/// operation that needs one.
fn losses<D: Machine, M: Modem>(backend: &Backend<D, M>, sample: &Sample) {
    use Verb::{BringUp, Connect, Disconnect};
    each_operation(backend, |ready, operation| {
        let mut rig = ready();
        let from = rig.wire.len();
        rig.run(operation).unwrap();
        let wire = &rig.wire[from..];
        let end = said(wire).len();
        for place in (backend.places)(wire) {
            for (bytes, heard) in backend.losses {
                assert!(sample.takes());
                let mut rig = ready();
                if place < end {
                    rig.trouble(false, place, Kind::Insert(bytes.to_vec()));
                } else {
                    rig.trouble(false, place - 1, Kind::Append(bytes.to_vec()));
                }
                let result = rig.run(operation);
                rig.idle(10_000);
                let events = rig.events();
                let context = format!(
                    "{} {operation:?} {place} {} {result:?} {events:?}",
                    backend.name,
                    bytes.escape_ascii(),
                );
                // Nothing is lost by a connection that is not there yet.
                let needs = !matches!(operation.verb(), BringUp | Connect | Disconnect);
                let times = events
                    .iter()
                    .filter(|event| matches!(event, Heard::Other(text) if text == heard))
                    .count();
                let all = events.len();
                // A connect repairs a bearer by detaching, which is heard too.
                let once = if needs { times == 1 && all == 1 } else { times <= 1 };
                assert!(once, "{context}\n{}", rig.transcript());
                if let Err(error) = result {
                    let fits = matches!(
                        error,
                        Error::Lost(_) | Error::Restarted | Error::NoResult(_) | Error::Protocol(_)
                    );
                    assert!(fits, "{context}\n{}", rig.transcript());
                }
                rig.mend();
                rig.reopen();
                assert_eq!(rig.connect(), Ok(()), "{context}\n{}", rig.transcript());
                let next = rig.publish(backend.topic, b"next", QoS::AtLeastOnce);
                assert_eq!(next, Ok(()), "{context}\n{}", rig.transcript());
                assert_eq!(count(backend, &rig, b"next"), 1, "{context}");
            }
        }
    });
    sample.report(backend.name, "losses");
}

/// What is known of the modem, but what it may tell unasked.
fn known<D: Machine, M>(rig: &Rig<D, M>) -> String {
    let status =
        Status { signal_dbm: None, registration: Registration::default(), ..rig.driver.status() };
    format!("{status:?} {:?} {:?}", rig.driver.limits(), rig.driver.capabilities())
}

#[test]
fn one_byte_of_trouble_is_found_out_in_time_and_survived() {
    trouble(&simcoms(), &Sample::one_in(20));
}

#[test]
fn one_byte_of_trouble_is_survived_by_luat_too() {
    trouble(&luats(), &Sample::one_in(15));
}

#[test]
fn a_connection_cut_at_any_byte_is_found_out_in_time_and_survived() {
    trouble(&rockremotes(), &Sample::one_in(1));
}

#[test]
fn one_byte_of_trouble_is_survived_by_a_9704() {
    trouble(&jsprs(), &Sample::one_in(20));
}

#[test]
#[ignore = "all places"]
fn one_byte_of_trouble_is_survived_by_a_9704_anywhere() {
    trouble(&jsprs(), &Sample::one_in(1));
}

#[test]
#[ignore = "all places"]
fn one_byte_of_trouble_is_survived_anywhere() {
    trouble(&simcoms(), &Sample::one_in(1));
}

#[test]
#[ignore = "all places"]
fn one_byte_of_trouble_is_survived_by_luat_anywhere() {
    trouble(&luats(), &Sample::one_in(1));
}

/// Whether the bytes themselves are changed.
fn garbles(kind: &Kind) -> bool {
    matches!(kind, Kind::Drop | Kind::Garble | Kind::Repeat)
}

/// Errors that may follow from such trouble. What was sound when the operation
/// was accepted is not refused as unsound, and a modem that was heard before is
/// not a wrong one.
fn fits(kind: &Kind, error: Error) -> bool {
    match error {
        Error::NoResult(_) | Error::Unresponsive => true,
        error if is_modems_timeout(error) => true,
        Error::Restarted => matches!(kind, Kind::Reboot) || garbles(kind),
        Error::Lost(_) => !matches!(kind, Kind::Unplug | Kind::Mute),
        Error::Refused(_) => garbles(kind) || matches!(kind, Kind::Lose | Kind::Reboot),
        Error::Protocol(_) | Error::Pin(_) | Error::NotRegistered(_) | Error::WrongModem(_) => {
            garbles(kind)
        }
        _ => false,
    }
}

fn trouble<D: Machine, M: Modem>(backend: &Backend<D, M>, sample: &Sample) {
    let longest = Cell::new(0);
    each_operation(backend, |ready, operation| {
        let mut rig = ready();
        rig.trouble(true, usize::MAX, Kind::Drop);
        rig.run(operation).unwrap();
        let lengths = [rig.passed(false), rig.passed(true)];
        for to_modem in [false, true] {
            for at in 0..lengths[usize::from(to_modem)] {
                for kind in [
                    Kind::Drop,
                    Kind::Garble,
                    Kind::Repeat,
                    Kind::Unplug,
                    Kind::Mute,
                    Kind::Reboot,
                    Kind::Lose,
                ] {
                    // TCP does not change what a host says.
                    if backend.stream && to_modem && garbles(&kind) || !sample.takes() {
                        continue;
                    }
                    let mut rig = ready();
                    rig.trouble(to_modem, at, kind.clone());
                    let before = rig.now;
                    let result = rig.run(operation);
                    let took = rig.now - before;
                    longest.set(longest.get().max(took));
                    let context = || {
                        format!(
                            "{} {operation:?} {to_modem} {at} {kind:?} {result:?}",
                            backend.name
                        )
                    };
                    assert!(took <= backend.patience_ms, "{}: {took} ms", context());
                    if let Err(error) = result {
                        assert!(fits(&kind, error), "{}\n{}", context(), rig.transcript());
                    }
                    let garbled = to_modem && garbles(&kind);
                    survive(backend, rig, operation, result, &kind, garbled, &context);
                }
            }
        }
    });
    println!("{}: at most {} ms", backend.name, longest.get());
    sample.report(backend.name, "places of trouble");
}

#[test]
fn a_received_message_is_whole_or_announced() {
    receive(&simcoms(), &Sample::one_in(6));
    receive(&luats(), &Sample::one_in(3));
    receive(&rockremotes(), &Sample::one_in(1));
    receive(&jsprs(), &Sample::one_in(6));
}

#[test]
#[ignore = "all places"]
fn a_received_message_is_whole_or_announced_anywhere() {
    receive(&simcoms(), &Sample::one_in(1));
    receive(&luats(), &Sample::one_in(1));
    receive(&jsprs(), &Sample::one_in(1));
}

/// The same trouble at each byte of a message that comes in, and another
/// message after it.
fn receive<D: Machine, M: Modem>(backend: &Backend<D, M>, sample: &Sample) {
    const CONTENT: &[u8] = b"\r\nOK\r\n21.5 is long enough for any boot text to fit in\r\n>";
    for fresh in &backend.fresh {
        let ready = || {
            let mut rig = fresh();
            rig.bring_up().unwrap();
            rig.connect().unwrap();
            rig.subscribe("#").unwrap();
            rig.idle(60_000);
            rig
        };
        let deliver = |rig: &mut Rig<D, M>, payload: &[u8]| {
            rig.broker.publish(backend.downlink.as_bytes(), payload, false);
            rig.idle(60_000);
        };
        let messages = |rig: &mut Rig<D, M>| -> (Vec<Vec<u8>>, usize) {
            let events = rig.events();
            let all = events.len();
            let payloads = events.into_iter().filter_map(|event| match event {
                Heard::Message(_, _, payload) => Some(payload),
                Heard::Other(_) => None,
            });
            let payloads: Vec<_> = payloads.collect();
            let others = all - payloads.len();
            (payloads, others)
        };
        let mut rig = ready();
        rig.trouble(true, usize::MAX, Kind::Drop);
        deliver(&mut rig, CONTENT);
        assert_eq!(messages(&mut rig), (vec![CONTENT.to_vec()], 0));
        for at in 0..rig.passed(false) {
            for kind in [
                Kind::Drop,
                Kind::Garble,
                Kind::Repeat,
                Kind::Unplug,
                Kind::Mute,
                Kind::Reboot,
                Kind::Lose,
            ] {
                if !sample.takes() {
                    continue;
                }
                let mut rig = ready();
                rig.trouble(false, at, kind.clone());
                deliver(&mut rig, CONTENT);
                let (mut heard, others) = messages(&mut rig);
                let context = || format!("{} {at} {kind:?} {heard:?}", backend.name);
                if !garbles(&kind) {
                    let whole = heard.iter().all(|payload| payload == CONTENT);
                    assert!(whole && heard.len() <= 1, "{}\n{}", context(), rig.transcript());
                }
                // Where nothing of it came, nobody knows of it.
                let known = matches!(kind, Kind::Reboot | Kind::Lose);
                if known && heard.is_empty() {
                    assert!(others > 0, "{}\n{}", context(), rig.transcript());
                }
                rig.mend();
                rig.reopen();
                assert_eq!(rig.bring_up(), Ok(()), "{}\n{}", context(), rig.transcript());
                assert_eq!(rig.connect(), Ok(()), "{}\n{}", context(), rig.transcript());
                assert_eq!(rig.subscribe("#"), Ok(()), "{}\n{}", context(), rig.transcript());
                rig.idle(60_000);
                rig.events();
                deliver(&mut rig, b"another");
                heard = messages(&mut rig).0;
                assert_eq!(heard, [b"another"], "{at} {kind:?}\n{}", rig.transcript());
            }
        }
    }
    sample.report(backend.name, "places of trouble while receiving");
}

/// After the trouble: what was said is true, and everything works again.
fn survive<D: Machine, M: Modem>(
    backend: &Backend<D, M>,
    mut rig: Rig<D, M>,
    operation: &Operation<'_>,
    result: Result<(), Error>,
    kind: &Kind,
    garbled: bool,
    context: &dyn Fn() -> String,
) {
    let count = |rig: &Rig<D, M>, payload| count(backend, rig, payload);
    let publishes = operation.verb() == Verb::Publish;
    if publishes && result.is_ok() && qos(operation) > QoS::AtMostOnce && !garbled {
        assert_eq!(count(&rig, PAYLOAD), 1, "{}\n{}", context(), rig.transcript());
    }
    assert!(count(&rig, PAYLOAD) <= 1 || garbled, "{}\n{}", context(), rig.transcript());
    if !backend.stream {
        rig.mend();
    }
    // Nobody connects again: it works, or the driver says that it does not.
    let direct = rig.publish(backend.topic, b"direct", QoS::AtLeastOnce);
    let arrived = count(&rig, b"direct");
    assert!(
        arrived <= 1 && (direct.is_err() || arrived == 1),
        "{}\n{direct:?}\n{}",
        context(),
        rig.transcript()
    );
    rig.mend();
    rig.reopen();
    if matches!(kind, Kind::Reboot) {
        let up = rig.bring_up();
        assert_eq!(up, Ok(()), "{}\n{}", context(), rig.transcript());
    }
    let again = rig.connect();
    assert_eq!(again, Ok(()), "{}\n{}", context(), rig.transcript());
    let next = rig.publish(backend.topic, b"next", QoS::AtLeastOnce);
    assert_eq!(next, Ok(()), "{}\n{}", context(), rig.transcript());
    assert_eq!(count(&rig, b"next"), 1, "{}\n{}", context(), rig.transcript());
    for message in rig.broker.published() {
        let known: [&[u8]; 3] = [PAYLOAD, b"direct", b"next"];
        let filled = backend.is_filled(&message.payload);
        assert!(
            garbled || filled || known.contains(&message.payload.as_slice()),
            "{}: {}\n{}",
            context(),
            message.payload.escape_ascii(),
            rig.transcript(),
        );
        assert!(
            !message.payload.windows(3).any(|w| w == b"AT+"),
            "{}\n{}",
            context(),
            rig.transcript()
        );
    }
}
