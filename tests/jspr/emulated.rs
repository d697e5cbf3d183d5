//! The driver and the emulated 9704, with an in-memory broker behind its
//! gateway. The two share no code.

use hayes::{
    Machine, Operation,
    mqtt::{Error, LinkState, Loss, Publish, QoS},
};
use hayes_emulator::jspr::{
    BootState, Config, Delays, Fate, FinalMo, Modem, Order, Originate, Outcome, Quirk, Quirks,
    Segments, Sky, State, Terminate,
};
use hayes_iridium::jspr::{self, Settings};

use crate::common::{Heard, Kind, Rig, message};

type Pair = Rig<jspr::Machine<4096, 16384>, Modem>;

fn pair(config: Config) -> Pair {
    // A message takes 8 s there.
    Rig::of(jspr::machine(Settings::new().publish_timeout(Some(60))), Modem::new(config))
}

fn connected(config: Config) -> Pair {
    let mut pair = pair(config);
    pair.connect().unwrap();
    pair
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

#[test]
fn messages_go_both_ways_through_any_modem_in_any_pieces() {
    use Quirk::{CancelBare, CompactJsonAccepted, Early403, FirstMalformed, NoNoise, NulNoise};
    let kinds = [
        vec![],
        vec![FirstMalformed],
        vec![Early403, NulNoise],
        vec![NoNoise, Quirk::VersionsReversed],
        vec![Quirk::SilentSignal, Quirk::GetAbortsMo],
        vec![CompactJsonAccepted, CancelBare],
    ];
    for quirks in kinds {
        for boot in [BootState::AlreadyOn, BootState::ColdBoot] {
            for (configured, chunk) in [(false, 64), (true, 1), (true, 7)] {
                let quirks = quirks.iter().fold(Quirks::NONE, |all, one| all.with(*one));
                let context = format!("{quirks:?} {boot:?} {configured} {chunk}");
                let mut pair = pair(Config { quirks, boot, configured, ..Config::default() });
                pair.chunk = chunk;
                assert_eq!(pair.connect(), Ok(()), "{context}\n{}", pair.transcript());
                pair.subscribe("#").unwrap();
                for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                    let sent = payload(2_000);
                    assert_eq!(pair.publish("RAW", &sent, qos), Ok(()), "{context}");
                    pair.idle(60_000);
                    assert_eq!(pair.modem.received().last(), Some(&(244, sent)), "{context}");
                }
                pair.deliver("imt/247", b"down");
                pair.idle(60_000);
                let restarted = Heard::Other("Restarted".into());
                let events = pair.events();
                assert!(!events.contains(&restarted), "{context}");
                assert_eq!(events, [message("PEBBLE", b"down")], "{context}");
            }
        }
    }
}

#[test]
fn parts_are_supplied_and_taken_in_any_order_and_twice() {
    for order in [Order::Ascending, Order::Descending, Order::Shuffled] {
        for twice in [None, Some(1), Some(3)] {
            for seed in 1..4 {
                let segments = Segments { size: 300, order, twice };
                let mo = Originate { segments, ..Originate::default() };
                let mt = Terminate { segments, slack: 500, at_once: 2, ..Terminate::default() };
                let mut pair = connected(Config { mo, mt, seed, ..Config::default() });
                pair.subscribe("#").unwrap();
                let context = format!("{order:?} {twice:?} {seed}");
                for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                    assert_eq!(pair.publish("RAW", &payload(1_500), qos), Ok(()), "{context}");
                }
                let sent = (244, payload(1_500));
                assert_eq!(pair.modem.received(), [sent.clone(), sent], "{context}");
                pair.broker.publish(b"imt/244", &payload(1_000), false);
                pair.deliver("imt/247", &payload(700));
                pair.idle(60_000);
                let events = pair.events();
                assert!(events.contains(&message("RAW", &payload(1_000))), "{context} {events:?}");
                assert!(events.contains(&message("PEBBLE", &payload(700))), "{context}");
                assert_eq!(events.len(), 2, "{context}");
            }
        }
    }
}

#[test]
fn a_part_asked_for_late_does_not_go_wrong() {
    for again in [1, 50, 90, 150, 5_000] {
        let mo = Originate { again: Some(again), ..Originate::default() };
        let mut pair = connected(Config { mo, ..Config::default() });
        assert_eq!(pair.publish("RAW", b"QoS 1", QoS::AtLeastOnce), Ok(()), "{again}");
        assert_eq!(pair.publish("RAW", b"QoS 0", QoS::AtMostOnce), Ok(()), "{again}");
        pair.idle(60_000);
        let events = pair.events();
        assert!(events.len() == usize::from(again > 100), "{again} {events:?}");
        assert_eq!(pair.publish("RAW", b"next", QoS::AtLeastOnce), Ok(()), "{again}");
        assert_eq!(pair.modem.received().last(), Some(&(244, b"next".to_vec())));
    }
}

#[test]
fn what_becomes_of_a_message_is_what_the_modem_says_of_it() {
    let mut pair = connected(Config::default());
    pair.modem.end_next(Outcome::failed(FinalMo::MessageExpired));
    let Err(Error::Refused(refusal)) = pair.publish("RAW", b"x", QoS::AtLeastOnce) else {
        panic!()
    };
    assert_eq!(refusal.name, "message_expired");
    pair.modem.end_next(Outcome::SILENT);
    let before = pair.now;
    let outcome = pair.publish("RAW", b"x", QoS::AtLeastOnce);
    assert!(outcome.is_err() && pair.now - before < 66_000, "{outcome:?}");
    assert_eq!(pair.publish("RAW", b"y", QoS::AtLeastOnce), Ok(()));
    // Nothing is seen: it waits in the modem, and is cancelled there.
    let now = pair.now;
    pair.modem.set_sky(now, Sky::HIDDEN);
    let Err(Error::Refused(refusal)) = pair.publish("RAW", b"x", QoS::AtLeastOnce) else {
        panic!()
    };
    assert_eq!(refusal.name, "message_cancelled_pre_transit");
}

#[test]
fn a_cancel_that_comes_too_late_is_a_success() {
    let quirks = Quirks::NONE.with(Quirk::CancelTooLate);
    let delays = Delays { transit: 62_000, acquisition: 0, ..Delays::default() };
    let mut pair = connected(Config { quirks, delays, ..Config::default() });
    assert_eq!(pair.publish("RAW", b"x", QoS::AtLeastOnce), Ok(()));
    assert_eq!(pair.modem.received(), [(244, b"x".to_vec())]);
}

#[test]
fn broken_messages_are_announced_and_the_next_ones_come() {
    for fate in [Fate::BrokenCrc, Fate::CrcErrorInTransfer, Fate::TimedOut, Fate::Cancelled] {
        let mut pair = connected(Config::default());
        pair.subscribe("#").unwrap();
        let now = pair.now;
        pair.modem.start_mt(now, 244, &payload(2_000), fate);
        pair.idle(10_000);
        let dropped = "Dropped(Dropped { count: 1, bytes: 2002, topic: Some([82, 65, 87]) })";
        assert_eq!(pair.events(), [Heard::Other(dropped.into())]);
        pair.deliver("imt/244", b"good");
        pair.idle(10_000);
        assert_eq!(pair.events(), [message("RAW", b"good")]);
    }
}

#[test]
fn a_restart_is_heard_and_survived() {
    let mut pair = connected(Config::default());
    let now = pair.now;
    pair.modem.reboot(now);
    pair.idle(2_000);
    assert_eq!(pair.events(), [Heard::Other("Restarted".into())]);
    assert_eq!(pair.driver.link(), LinkState::Lost(Loss::Restart));
    pair.connect().unwrap();
    assert_eq!(pair.publish("RAW", b"x", QoS::AtLeastOnce), Ok(()));
    let now = pair.now;
    pair.modem.set_state(now, State::Fault, 2);
    pair.idle(10);
    assert_eq!(pair.driver.link(), LinkState::Lost(Loss::Closed(Some(2))));
}

#[test]
fn a_restart_within_any_line_is_heard() {
    let mut struck = 0;
    for at in 0.. {
        let mut pair = connected(Config::default());
        pair.subscribe("#").unwrap();
        pair.idle(10_000);
        pair.events();
        pair.trouble(false, at, Kind::Reboot);
        pair.deliver("imt/244", b"down");
        pair.idle(10_000);
        let events = pair.events();
        if events == [message("RAW", b"down")] {
            break;
        }
        let restarted = Heard::Other("Restarted".into());
        assert!(events.contains(&restarted), "{at} {events:?}\n{}", pair.transcript());
        struck += 1;
    }
    assert!(struck > 200);
}

#[test]
fn a_publish_may_be_dropped_anywhere_and_nothing_wrong_is_sent() {
    let delays = Delays { transit: 500, ..Delays::default() };
    let segments = Segments { size: 200, ..Segments::default() };
    let mo = Originate { segments, ..Originate::default() };
    let config = || Config { delays, mo: mo.clone(), ..Config::default() };
    let dropped = payload(500);
    for steps in 0_usize.. {
        let mut pair = connected(config());
        let publish = Publish::new("RAW", &dropped).unwrap().qos(QoS::AtLeastOnce);
        let mut left = steps;
        let mut over = true;
        pair.run_and_drop(&Operation::Publish(&publish), |_| {
            over = left > 0;
            left = left.saturating_sub(1);
            !over
        });
        pair.idle([0, 80, 8_000][steps % 3]);
        let next = pair.publish("PEBBLE", b"next", QoS::AtLeastOnce);
        assert_eq!(next, Ok(()), "{steps}\n{}", pair.transcript());
        pair.idle(5_000);
        for sent in pair.modem.received() {
            assert!([(244, dropped.clone()), (247, b"next".to_vec())].contains(sent), "{steps}");
        }
        let unknown = Heard::Other("Unknown(\"publish\")".into());
        assert!(pair.events().iter().all(|event| *event == unknown), "{steps}");
        if over {
            assert!(steps > 10);
            break;
        }
    }
}

/// Whether `place` of what the modem said lies between two lines.
fn boundaries(pair: &Pair, from: usize) -> Vec<usize> {
    let said = pair.wire[from..].iter().filter(|(host, _)| !host).flat_map(|(_, bytes)| bytes);
    let said: Vec<u8> = said.copied().collect();
    (0..said.len()).filter(|at| *at == 0 || said[at - 1] == b'\r').collect()
}

#[test]
fn what_comes_in_between_changes_nothing_and_is_heard_once() {
    let received = crate::fake::incoming(244, 200, b"down\r\0", 5).join("\r") + "\r";
    let kinds: [(&str, Vec<Heard>); 4] = [
        (&received, vec![message("RAW", b"down\r\0")]),
        ("299 constellationState {\"constellation_visible\":false,\"signal_bars\":0}\r", vec![]),
        ("299 neverSeen {\"state\":\"fault\"}\r", vec![]),
        (
            "299 messageOriginateStatus {\"topic_id\":244,\"message_id\":99,\"final_mo_status\":\"protocol_error\"}\r",
            vec![],
        ),
    ];
    let sent = payload(700);
    let publish = Publish::new("RAW", &sent).unwrap().qos(QoS::AtLeastOnce);
    let operations = [Operation::Publish(&publish), Operation::Status, Operation::Disconnect];
    for operation in operations {
        let ready = || {
            let mut pair = connected(Config::default());
            pair.subscribe("#").unwrap();
            pair.events();
            pair
        };
        let mut first = ready();
        let from = first.wire.len();
        first.run(&operation).unwrap();
        for place in boundaries(&first, from) {
            for (bytes, heard) in &kinds {
                let mut pair = ready();
                pair.trouble(false, place, Kind::Insert(bytes.as_bytes().to_vec()));
                let context = format!("{:?} {place} {bytes}", operation.verb());
                assert_eq!(pair.run(&operation), Ok(()), "{context}\n{}", pair.transcript());
                assert_eq!(pair.events(), *heard, "{context}");
            }
        }
    }
}

#[test]
fn one_byte_of_trouble_is_found_out_in_time_and_survived() {
    let config = || Config {
        delays: Delays { transit: 500, first_report: 0, ..Delays::default() },
        ..Config::default()
    };
    let sent = payload(60);
    let publish = Publish::new("RAW", &sent).unwrap().qos(QoS::AtLeastOnce);
    let options = hayes::mqtt::ConnectOptions::new("any", 1, "any").unwrap();
    let cases: [(bool, Operation<'_>); 2] =
        [(false, Operation::Connect(&options)), (true, Operation::Publish(&publish))];
    for (ready, operation) in cases {
        let fresh = || if ready { connected(config()) } else { pair(config()) };
        let mut first = fresh();
        first.trouble(true, usize::MAX, Kind::Drop);
        first.run(&operation).unwrap();
        for to_modem in [false, true] {
            for at in 0..first.passed(to_modem) {
                // One kind at each place; all of them at each take half a minute.
                let kind = [Kind::Drop, Kind::Garble, Kind::Repeat, Kind::Unplug][at % 4].clone();
                let mut pair = fresh();
                pair.trouble(to_modem, at, kind.clone());
                let before = pair.now;
                let result = pair.run(&operation);
                let context =
                    || format!("{:?} {to_modem} {at} {kind:?} {result:?}", operation.verb());
                assert!(pair.now - before < 70_000, "{}", context());
                pair.trouble = None;
                pair.plugged = true;
                assert_eq!(pair.connect(), Ok(()), "{}\n{}", context(), pair.transcript());
                let next = pair.publish("PEBBLE", b"next", QoS::AtLeastOnce);
                assert_eq!(next, Ok(()), "{}\n{}", context(), pair.transcript());
                for (_, received) in pair.modem.received() {
                    assert!([sent.as_slice(), b"next"].contains(&received.as_slice()));
                }
            }
        }
    }
}
