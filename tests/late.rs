//! Answers that come just before their deadline, on it, after it, or while
//! something else is done; lines that come twice; a clock that jumps or stands
//! still. What was said to have happened has happened, an answer is never
//! another command's, and a connect repairs whatever it was.
//!
//! A sample of the places is tried; all of them with
//! `cargo test --release -p hayes --test late -- --ignored --nocapture`.

mod common;
#[path = "common/law.rs"]
mod law;

use common::{Kind, Rig};
use hayes::{
    Machine, Operation, Verb,
    mqtt::{Error, QoS},
};
use hayes_emulator::Modem;
use law::{
    Backend, PAYLOAD, Sample, count, each_operation, is_modems_timeout, jsprs, luats, qos,
    rockremotes, said, simcoms,
};

/// How long after the deadline, in milliseconds, and whether on the deadline
/// the answer comes before the driver is told the time.
const TIMES: [(i64, bool); 10] = [
    (-1, false),
    (0, true),
    (0, false),
    (1, false),
    (100, false),
    (1_000, false),
    (2_000, false),
    (5_500, false),
    (20_000, false),
    (130_000, false),
];

#[test]
fn late_simcom_answers_are_nobody_elses() {
    late(&simcoms(), &Sample::one_in(8));
}

#[test]
fn late_jspr_answers_are_nobody_elses() {
    late(&jsprs(), &Sample::one_in(1));
}

#[test]
fn late_luat_answers_are_nobody_elses() {
    late(&luats(), &Sample::one_in(8));
}

#[test]
fn late_rockremote_answers_are_nobody_elses() {
    late(&rockremotes(), &Sample::one_in(1));
}

#[test]
#[ignore = "all places"]
fn late_answers_are_nobody_elses() {
    late(&simcoms(), &Sample::one_in(1));
    late(&luats(), &Sample::one_in(1));
    twice(&simcoms(), &Sample::one_in(1));
    jump(&simcoms(), &Sample::one_in(1));
    jump(&luats(), &Sample::one_in(1));
}

/// Each line of each dialogue, with all that follows it, held back.
fn late<D: Machine, M: Modem>(backend: &Backend<D, M>, sample: &Sample) {
    each_operation(backend, |ready, operation| {
        let (places, _) = dialogue(backend, ready, operation);
        for at in places.iter().copied() {
            let times =
                TIMES.into_iter().flat_map(|(ms, tick)| [(ms, tick, false), (ms, tick, true)]);
            for (after_ms, before_tick, connects) in times {
                if !sample.takes() {
                    continue;
                }
                let mut rig = ready();
                rig.trouble(false, at, Kind::Hold { after_ms, before_tick });
                let result = rig.run(operation);
                let what = format!("{at} {after_ms} ms {before_tick} {connects}");
                let context = context(backend, operation, &what, result);
                // Of a packet on the deadline, the next one is beyond it.
                let complete = !backend.stream || Some(&at) == places.last();
                if after_ms < 0 || (before_tick && complete) {
                    let fine = result.is_ok() || result.is_err_and(is_modems_timeout);
                    assert!(fine, "{context}\n{}", rig.transcript());
                }
                is_repaired(backend, rig, operation, result, connects, &context);
            }
        }
    });
    sample.report(backend.name, "late answers");
}

#[test]
fn simcom_lines_that_come_twice_do_no_harm() {
    twice(&simcoms(), &Sample::one_in(3));
}

#[test]
fn jspr_lines_that_come_twice_do_no_harm() {
    twice(&jsprs(), &Sample::one_in(1));
}

#[test]
fn luat_lines_that_come_twice_do_no_harm() {
    twice(&luats(), &Sample::one_in(1));
}

#[test]
fn rockremote_packets_that_come_twice_do_no_harm() {
    twice(&rockremotes(), &Sample::one_in(1));
}

/// Each line once more, at once and when the operation is over.
fn twice<D: Machine, M: Modem>(backend: &Backend<D, M>, sample: &Sample) {
    each_operation(backend, |ready, operation| {
        let (places, stream) = dialogue(backend, ready, operation);
        let ends: Vec<_> = places.iter().skip(1).copied().chain([stream.len()]).collect();
        for (from, to) in places.into_iter().zip(ends) {
            for at in [to, stream.len()] {
                let again = stream[from..to].to_vec();
                if again.is_empty() || !sample.takes() {
                    continue;
                }
                let mut rig = ready();
                let what = format!("{} again at {at}", again.escape_ascii());
                rig.trouble(false, at - 1, Kind::Append(again));
                let result = rig.run(operation);
                let context = context(backend, operation, &what, result);
                is_repaired(backend, rig, operation, result, false, &context);
            }
        }
    });
    sample.report(backend.name, "lines twice");
}

#[test]
fn a_clock_that_jumps_ahead_ends_no_simcom_operation_wrongly() {
    jump(&simcoms(), &Sample::one_in(4));
}

#[test]
fn a_clock_that_jumps_ahead_ends_no_jspr_operation_wrongly() {
    jump(&jsprs(), &Sample::one_in(1));
}

#[test]
fn a_clock_that_jumps_ahead_ends_no_luat_operation_wrongly() {
    jump(&luats(), &Sample::one_in(4));
}

#[test]
fn a_clock_that_jumps_ahead_ends_no_rockremote_operation_wrongly() {
    jump(&rockremotes(), &Sample::one_in(1));
}

/// The host slept for hours or months at each turn of each dialogue, with and
/// without noticing it before it reads.
fn jump<D: Machine, M: Modem>(backend: &Backend<D, M>, sample: &Sample) {
    // Around the ends of 31 and 32 bits as well.
    const SLEEPS: [u64; 4] = [3 * 3_600_000, 1 << 31, (1 << 32) - 1, 100 << 32];
    each_operation(backend, |ready, operation| {
        for (sleep, noticed) in SLEEPS.into_iter().flat_map(|ms| [(ms, true), (ms, false)]) {
            for turn in 0.. {
                let mut rig = ready();
                let mut turns = 0;
                let result = rig.run_with(operation, |rig| {
                    if turns == turn {
                        rig.now += sleep;
                        if noticed {
                            rig.driver.tick(hayes::Instant::from_millis(rig.now));
                        }
                    }
                    turns += 1;
                });
                if turns <= turn {
                    break;
                }
                if !sample.takes() {
                    continue;
                }
                let context =
                    context(backend, operation, &format!("{turn} {sleep} {noticed}"), result);
                is_repaired(backend, rig, operation, result, false, &context);
            }
        }
    });
    sample.report(backend.name, "jumps of the clock");
}

/// Where the lines or packets of an operation begin, and what was said.
fn dialogue<D: Machine, M: Modem>(
    backend: &Backend<D, M>,
    ready: &dyn Fn() -> Rig<D, M>,
    operation: &Operation<'_>,
) -> (Vec<usize>, Vec<u8>) {
    let mut rig = ready();
    let from = rig.wire.len();
    rig.run(operation).unwrap();
    let stream = said(&rig.wire[from..]);
    let mut places = (backend.places)(&rig.wire[from..]);
    if backend.stream && !stream.is_empty() {
        places.insert(0, 0);
    }
    places.retain(|place| *place < stream.len());
    places.dedup();
    (places, stream)
}

fn context<D, M>(
    backend: &Backend<D, M>,
    operation: &Operation<'_>,
    what: &str,
    result: Result<(), Error>,
) -> String {
    format!("{} {operation:?} {what} {result:?}", backend.name)
}

/// What was said is true, and everything works again.
fn is_repaired<D: Machine, M: Modem>(
    backend: &Backend<D, M>,
    mut rig: Rig<D, M>,
    operation: &Operation<'_>,
    result: Result<(), Error>,
    connects: bool,
    context: &str,
) {
    let published = |rig: &Rig<D, M>, payload: &[u8]| count(backend, rig, payload);
    if let Err(error) = result {
        let fits = matches!(error, Error::NoResult(_) | Error::Unresponsive | Error::Lost(_))
            || is_modems_timeout(error);
        assert!(fits, "{context}\n{}", rig.transcript());
    }
    if operation.verb() == Verb::Publish {
        let arrived = published(&rig, PAYLOAD);
        let must = result.is_ok() && qos(operation) > QoS::AtMostOnce;
        assert!(arrived == 1 || arrived == 0 && !must, "{context}\n{}", rig.transcript());
    }
    let directly: &[&[u8]] = if connects { &[] } else { &[b"direct", b"later!"] };
    for payload in directly {
        // Nobody connects again: it works, or the driver says that it does not.
        let result = rig.publish(backend.topic, payload, QoS::AtLeastOnce);
        let arrived = published(&rig, payload);
        assert!(
            arrived == 1 || arrived == 0 && result.is_err(),
            "{context}\n{result:?}\n{}",
            rig.transcript()
        );
    }
    rig.mend();
    rig.reopen();
    // As long as nothing arrives, that is what it says.
    while rig.is_late() {
        match rig.connect() {
            Ok(()) => break,
            Err(Error::NoResult(_) | Error::Unresponsive) => {}
            Err(error) => panic!("{context}: {error}\n{}", rig.transcript()),
        }
    }
    assert_eq!(rig.connect(), Ok(()), "{context}\n{}", rig.transcript());
    let next = rig.publish(backend.topic, b"next", QoS::AtLeastOnce);
    assert_eq!(next, Ok(()), "{context}\n{}", rig.transcript());
    assert_eq!(published(&rig, b"next"), 1, "{context}\n{}", rig.transcript());
    for message in rig.broker.published() {
        let known: [&[u8]; 4] = [PAYLOAD, b"direct", b"later!", b"next"];
        let filled = backend.is_filled(&message.payload);
        let payload = message.payload.as_slice();
        let is_known = filled || known.contains(&payload);
        let at = payload.escape_ascii();
        assert!(is_known, "{context}: {at}\n{}", rig.transcript());
        assert!(!payload.windows(3).any(|w| w == b"AT+"), "{context}\n{}", rig.transcript());
    }
}
