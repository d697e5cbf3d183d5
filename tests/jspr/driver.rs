//! What the driver does, in virtual time.

use hayes::{
    Machine, Operation,
    mqtt::{
        Cause, Code, ConnectOptions, Error, Event, Feature, Field, FieldError, LinkState, Loss,
        Network, Problem, Publish, QoS, SimState, Subscription, TopicFilter, Will,
    },
};
use hayes_iridium::jspr::{self, Constellation, Settings};

use crate::fake::{Plan, Reply, Rig, incoming};

impl Rig {
    fn bring_up(&mut self) -> Result<(), Error> {
        self.run(&Operation::BringUp(&Network::new()))
    }

    fn connect(&mut self) -> Result<(), Error> {
        let options = ConnectOptions::new("any", 1, "any").unwrap();
        self.run(&Operation::Connect(&options))
    }

    fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) -> Result<(), Error> {
        self.run(&Operation::Publish(&Publish::new(topic, payload).unwrap().qos(qos)))
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Error> {
        let filter = Subscription::new(filter, QoS::AtLeastOnce).unwrap();
        self.run(&Operation::Subscribe(&[filter]))
    }

    fn script(&mut self, script: impl FnMut(&mut crate::fake::Modem, &str) -> Reply + 'static) {
        self.script = Box::new(script);
    }

    fn events(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        while self.driver.has_event() {
            events.push(match self.driver.event().expect("it has one") {
                Event::Message(m) => {
                    format!("{}={}", m.topic_str().unwrap(), m.payload.escape_ascii())
                }
                Event::Dropped(d) => {
                    let topic = String::from_utf8_lossy(d.topic.unwrap_or(b"?")).into_owned();
                    format!("dropped {} of {} on {topic}", d.count, d.bytes)
                }
                Event::Undelivered(reason) => format!("undelivered {}", reason.escape_ascii()),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(self.driver.event(), None);
        events
    }
}

fn connected() -> Rig {
    let mut rig = Rig::new();
    rig.connect().unwrap();
    rig
}

fn subscribed() -> Rig {
    let mut rig = connected();
    rig.subscribe("#").unwrap();
    rig
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

const ONCE: QoS = QoS::AtMostOnce;
const ACK: QoS = QoS::AtLeastOnce;

// ---- bring-up ----------------------------------------------------------

#[test]
fn a_cold_modem_is_brought_up_and_told_of() {
    let mut rig = Rig::new();
    rig.bring_up().unwrap();
    // The refusal of the empty line is not waited for any longer.
    assert!(rig.now < 100, "{}", rig.now);
    let status = rig.driver.status();
    assert_eq!((status.model.as_str(), status.firmware.as_str()), ("0x0601", "1.5.5"));
    assert_eq!((status.sim, status.link), (SimState::Ready, LinkState::Idle));
    assert_eq!(rig.driver.imei(), "300000000000000");
    let topics: Vec<_> = rig.driver.topics().map(|topic| (topic.id, topic.name)).collect();
    assert_eq!(topics, [(244, "RAW"), (247, "PEBBLE")]);
    assert_eq!((rig.modem.selected, rig.modem.state), (true, "active"));
    assert_eq!(rig.publish("RAW", b"x", ACK), Err(Error::NotConnected));
    rig.connect().unwrap();
    assert_eq!(rig.driver.link(), LinkState::Connected);
    assert_eq!(rig.driver.status().link, LinkState::Connected);
    assert_eq!(rig.driver.select(0), Ok(()));
    assert_eq!(rig.driver.select(1), Err(Error::Unsupported(Feature::SecondSession)));
    assert_eq!(rig.modem.count("PUT operationalState"), 1);
    assert_eq!(rig.events(), [""; 0]);
}

/// 405 to the first command (the vendor's library asks twice); 403 while it boots
/// (told by users).
#[test]
fn a_modem_that_does_not_understand_at_first_is_asked_again() {
    for refusal in ["405 MALFORMED {}", "403 MALFORMED {}"] {
        for times in 1..=6 {
            let mut rig = Rig::new();
            let mut left = times;
            rig.script(move |_, line| {
                if line.is_empty() || left == 0 {
                    return Reply::Usual;
                }
                left -= 1;
                Reply::Lines(vec![refusal.into()])
            });
            assert_eq!(rig.connect(), Ok(()), "{refusal} {times}");
        }
    }
}

#[test]
fn an_empty_line_need_not_be_answered_and_a_request_may_go_unheard() {
    for nth in 0..14 {
        let mut rig = Rig::new();
        let mut count = 0;
        rig.script(move |_, line| {
            count += 1;
            if line.is_empty() || count == nth { Reply::Lines(vec![]) } else { Reply::Usual }
        });
        assert_eq!(rig.connect(), Ok(()), "{nth}");
        assert!(rig.now < 3_000, "{nth}: {}", rig.now);
    }
}

#[test]
fn a_modem_that_says_nothing_is_unresponsive_and_one_without_sense_is_named() {
    let mut rig = Rig::new();
    rig.script(|_, _| Reply::Lines(vec![]));
    assert_eq!(rig.bring_up(), Err(Error::Unresponsive));
    assert!(rig.now < 15_000, "{}", rig.now);
    rig.script(|_, _| Reply::Lines(vec!["405 MALFORMED {}".into()]));
    let Err(Error::Refused(refusal)) = rig.bring_up() else { panic!() };
    assert_eq!((refusal.command, refusal.code), ("apiVersion", Code::Vendor(405)));
    rig.script(|_, _| Reply::Usual);
    assert_eq!(rig.bring_up(), Ok(()));
}

#[test]
fn lines_that_nobody_asked_for_may_come_between_request_and_answer() {
    let mut rig = Rig::new();
    let signal = "299 constellationState {\"constellation_visible\":true,\"signal_bars\":2,\"signal_level\":-114}";
    rig.script(move |modem, _| {
        modem.say(signal);
        modem.say("299 neverSeenBefore {\"list\":[1,{\"a\":null}]}");
        modem.say(",\"patch\":0},200 {}");
        Reply::Usual
    });
    rig.connect().unwrap();
    rig.publish("RAW", &payload(3_000), ACK).unwrap();
    let seen = Constellation { visible: true, bars: 2, level_dbm: Some(-114) };
    assert_eq!(rig.driver.constellation(), Some(seen));
    assert_eq!(rig.driver.status().signal_dbm, Some(-114));
    assert_eq!(rig.modem.published(), [(244, payload(3_000))]);
}

/// 402 is success, 406 if the state is right (the vendor's library).
#[test]
fn what_is_set_already_is_fine_and_another_state_is_left_through_inactive() {
    let mut rig = Rig::new();
    rig.modem.state = "rf_scan";
    rig.script(|_, line| match line.starts_with("PUT simConfig") {
        true => Reply::Lines(vec!["402 simConfig {}".into()]),
        false => Reply::Usual,
    });
    rig.bring_up().unwrap();
    let states = [
        "GET operationalState {}",
        "PUT operationalState {\"state\": \"inactive\"}",
        "PUT operationalState {\"state\": \"active\"}",
    ];
    let asked: Vec<_> =
        rig.modem.lines.iter().filter(|line| line.contains("operationalState")).collect();
    assert_eq!(asked, states);

    let mut rig = Rig::new();
    rig.script(|modem, line| {
        // It became active by itself meanwhile.
        if line.starts_with("PUT operationalState") {
            modem.state = "active";
            return Reply::Lines(vec!["406 operationalState {}".into()]);
        }
        Reply::Usual
    });
    assert_eq!(rig.bring_up(), Ok(()));

    let mut rig = Rig::new();
    rig.modem.state = "fault";
    rig.script(|_, line| match line.starts_with("PUT operationalState") {
        true => Reply::Lines(vec!["406 operationalState {}".into()]),
        false => Reply::Usual,
    });
    let Err(Error::Refused(refusal)) = rig.bring_up() else { panic!() };
    assert_eq!((refusal.command, refusal.code), ("operationalState", Code::Vendor(406)));
}

#[test]
fn a_restart_in_the_middle_begins_the_bring_up_anew() {
    for nth in 1..=10 {
        let mut rig = Rig::new();
        let mut count = 0;
        rig.script(move |modem, _| {
            count += 1;
            if count == nth {
                modem.restart();
                return Reply::Lines(vec![]);
            }
            Reply::Usual
        });
        assert_eq!(rig.connect(), Ok(()), "{nth}");
        assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()), "{nth}");
    }
}

#[test]
fn a_restart_takes_away_what_was_selected_and_the_refusals_before_it() {
    // While a modem that was up is looked at.
    let mut rig = connected();
    let mut restarts = true;
    rig.script(move |modem, line| {
        if line == "GET operationalState {}" && std::mem::take(&mut restarts) {
            modem.restart();
            return Reply::Lines(vec![]);
        }
        Reply::Usual
    });
    assert_eq!(rig.connect(), Ok(()));
    assert_eq!(rig.modem.count("PUT apiVersion"), 2);
    // Two refusals are lived through, before a restart and after it.
    let mut rig = Rig::new();
    let mut answers = "-rrbrr".chars();
    rig.script(move |modem, line| {
        let asked = line.starts_with("PUT apiVersion") || line.starts_with("PUT simConfig");
        match asked.then(|| answers.next()).flatten() {
            Some('r') => Reply::Lines(vec!["405 MALFORMED {}".into()]),
            Some('b') => {
                modem.restart();
                Reply::Lines(vec![])
            }
            _ => Reply::Usual,
        }
    });
    assert_eq!(rig.connect(), Ok(()));
    assert_eq!((rig.modem.count("PUT apiVersion"), rig.modem.count("PUT simConfig")), (4, 4));
}

#[test]
fn a_modem_that_restarts_for_ever_is_given_up() {
    let mut rig = Rig::new();
    rig.script(|modem, line| {
        if line.starts_with("PUT simConfig") {
            modem.restart();
            return Reply::Lines(vec![]);
        }
        Reply::Usual
    });
    assert_eq!(rig.connect(), Err(Error::Restarted));
    assert_eq!(rig.driver.link(), LinkState::Idle);
}

#[test]
fn three_restarts_are_lived_through_and_a_fourth_is_told() {
    for (times, expected) in [(3, Ok(())), (4, Err(Error::Restarted))] {
        let mut rig = Rig::new();
        let mut left = times;
        rig.script(move |modem, line| {
            if left > 0 && line.starts_with("PUT simConfig") {
                left -= 1;
                modem.restart();
                return Reply::Lines(vec![]);
            }
            Reply::Usual
        });
        assert_eq!(rig.connect(), expected, "{times}");
    }
}

/// What was selected before is not selected again: the answer to GET apiVersion
/// has `active_version` then (the vendor's library).
#[test]
fn the_version_is_selected_unless_it_is() {
    for (active, puts) in [(None, 1), (Some(6), 1), (Some(7), 0)] {
        let mut rig = Rig::new();
        rig.script(move |modem, line| match (line, active) {
            ("GET apiVersion {}", Some(minor)) => {
                modem.selected = true;
                let patch = 7 - minor;
                Reply::Lines(vec![format!("200 apiVersion {{\"supported_versions\":{},\"active_version\":{{\"major\":1,\"minor\":{minor},\"patch\":{patch}}}}}", modem.versions)])
            }
            _ => Reply::Usual,
        });
        rig.bring_up().unwrap();
        assert_eq!(rig.modem.count("PUT apiVersion"), puts, "{active:?}");
    }
}

#[test]
fn a_sim_is_ready_if_it_is_there_and_connected() {
    for (present, connected) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut rig = self::connected();
        rig.modem.say(&format!("299 simStatus {{\"card_present\":{present},\"sim_connected\":{connected},\"iccid\":\"8988\"}}"));
        rig.idle(10);
        let expected = if present && connected { SimState::Ready } else { SimState::Absent };
        assert_eq!(rig.driver.status().sim, expected, "{present} {connected}");
    }
}

#[test]
fn an_active_modem_that_says_so_again_takes_messages_at_once() {
    let mut rig = connected();
    rig.idle(1_000);
    rig.modem.status = Some(("mo_ack_received", 10));
    rig.modem.say("299 operationalState {\"state\":\"active\",\"reason\":0}");
    rig.idle(1);
    let before = rig.now;
    assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()));
    assert!(rig.now - before < 100, "{}", rig.now - before);
}

/// 402 is what is set already, 406 a state that is there already (the vendor's
/// library); neither is an answer to a question.
#[test]
fn only_what_is_set_may_be_set_already() {
    for code in [402, 406] {
        let mut rig = Rig::new();
        rig.script(move |_, line| match line.starts_with("GET messageProvisioning") {
            true => Reply::Lines(vec![format!("{code} messageProvisioning {{}}")]),
            false => Reply::Usual,
        });
        let Err(Error::Refused(refusal)) = rig.bring_up() else { panic!("{code}") };
        assert_eq!(refusal.code, Code::Vendor(code));
    }
}

#[test]
fn an_empty_line_is_given_a_tenth_of_a_second_to_be_refused() {
    for (ms, asks) in [(50, false), (99, false), (100, true), (150, true)] {
        let mut rig = Rig::new();
        rig.script(|_, _| Reply::Lines(vec![]));
        let network = Network::new();
        let operation = Operation::BringUp(&network);
        rig.driver.start(&operation, rig.time()).unwrap();
        while rig.exchange(Some(&operation)) {}
        rig.now += ms;
        rig.driver.tick(rig.time());
        while rig.exchange(Some(&operation)) {}
        let lines: &[&str] = if asks { &["", "GET apiVersion {}"] } else { &[""] };
        assert_eq!(rig.modem.lines, lines, "{ms}");
    }
}

#[test]
fn versions_that_were_refused_are_asked_for_before_anything_else() {
    let mut rig = connected();
    rig.driver.opened();
    rig.script(|_, line| match line.starts_with("GET apiVersion") {
        true => Reply::Lines(vec!["408 apiVersion {}".into()]),
        false => Reply::Usual,
    });
    let Err(Error::Refused(refusal)) = rig.publish("RAW", b"x", ACK) else { panic!() };
    assert_eq!((refusal.command, refusal.code), ("apiVersion", Code::Vendor(408)));
    rig.script(|_, _| Reply::Usual);
    let asked = rig.modem.count("GET apiVersion");
    assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()));
    assert_eq!(rig.modem.count("GET apiVersion"), asked + 1);
}

#[test]
fn what_is_no_line_is_missed_once_the_modem_is_known() {
    let mut rig = Rig::new();
    for (known, events) in [(false, vec![]), (true, vec!["Missed(1)"])] {
        if known {
            rig.bring_up().unwrap();
        }
        rig.driver.receive(b"boot loader v1\r", rig.time());
        assert_eq!(rig.events(), events);
    }
}

#[test]
fn a_line_that_stands_still_for_a_second_is_given_up() {
    for (ms, event) in [(999, "Missed(1)"), (1_000, "RAW=x")] {
        let mut rig = subscribed();
        assert_eq!(rig.driver.deadline(), None);
        rig.driver.receive(b"299 messageTerm", rig.time());
        assert!(rig.driver.deadline().is_some());
        rig.now += ms;
        rig.driver.tick(rig.time());
        rig.modem.deliver(244, 1, b"x", 10);
        rig.idle(10);
        assert_eq!(rig.events(), [event]);
        assert_eq!(rig.driver.deadline(), None);
    }
}

#[test]
fn a_refused_sim_is_named_and_what_is_not_needed_may_be_missing() {
    let mut rig = Rig::new();
    rig.script(|_, line| match line.starts_with("PUT operationalState") {
        true => Reply::Lines(vec!["410 operationalState {}".into()]),
        false => Reply::Usual,
    });
    let Err(Error::Refused(refusal)) = rig.bring_up() else { panic!() };
    assert_eq!((refusal.code, refusal.cause), (Code::Vendor(410), Cause::Sim));
    let mut rig = Rig::new();
    rig.script(|_, line| match line.split(' ').nth(1) {
        Some(target @ ("firmware" | "hwInfo" | "simStatus")) => {
            Reply::Lines(vec![format!("404 {target} {{}}")])
        }
        _ => Reply::Usual,
    });
    assert_eq!(rig.bring_up(), Ok(()));
}

#[test]
fn a_modem_of_another_major_version_is_not_for_this_driver() {
    let mut rig = Rig::new();
    rig.modem.versions = "[{\"major\":2,\"minor\":0,\"patch\":0}]";
    assert!(matches!(rig.bring_up(), Err(Error::WrongModem(_))));
}

#[test]
fn a_modem_that_was_not_brought_up_is_asked_for_its_status_and_left_as_it_is() {
    let mut rig = Rig::new();
    let state = rig.modem.state.to_owned();
    assert_eq!(rig.run(&Operation::Status), Ok(()));
    let status = rig.driver.status();
    assert_eq!((status.model.as_str(), status.sim), ("0x0601", SimState::Ready));
    assert_eq!(rig.modem.state, state);
    let puts = |line: &&String| line.starts_with("PUT") && !line.starts_with("PUT apiVersion");
    assert_eq!(rig.modem.lines.iter().filter(puts).count(), 0, "{:?}", rig.modem.lines);
    let mut deaf = Rig::new();
    deaf.script(|_, _| Reply::Lines(vec![]));
    assert_eq!(deaf.run(&Operation::Status), Err(Error::Unresponsive));
}

#[test]
fn a_table_that_does_not_fit_the_line_buffer_says_so() {
    let mut rig = Rig::new();
    rig.modem.topics = (0..25)
        .map(|at| (64 + at, "A name that is fifty-seven bytes long, as long as may be."))
        .collect();
    assert_eq!(rig.bring_up(), Ok(()));
    assert_eq!(rig.driver.topics().count(), 25);
    rig.modem.topics = (0..26).map(|at| (64 + at, "one too many")).collect();
    rig.bring_up().unwrap();
    assert_eq!((rig.driver.topics().count(), rig.events()), (25, vec!["Missed(1)".into()]));
    rig.script(|_, line| match line.contains("messageProvisioning") {
        true => Reply::Lines(vec![format!(
            "200 messageProvisioning {{\"provisioning\":[{}]}}",
            " ".repeat(4_096)
        )]),
        false => Reply::Usual,
    });
    let Err(Error::WrongModem(advice)) = rig.bring_up() else { panic!() };
    assert!(advice.contains("LINE"));
    assert_eq!(rig.events(), ["Missed(1)"]);
    // Only if it is the answer.
    rig.modem.topics.truncate(25);
    rig.script(|modem, line| {
        if line.contains("messageProvisioning") {
            modem.say(&format!("299 messageProvisioning {}", " ".repeat(4_096)));
            modem.say(&format!("200 constellationState {}", " ".repeat(4_096)));
        }
        Reply::Usual
    });
    assert_eq!(rig.bring_up(), Ok(()));
    assert_eq!(rig.events(), ["Missed(2)"]);
}

// ---- publishing --------------------------------------------------------

#[test]
fn a_message_goes_out_in_the_parts_that_the_modem_asks_for() {
    let plans: [Plan; 5] = [
        |n| (0..n).step_by(1446).map(|at| (at, (n - at).min(1446))).collect(),
        |n| (0..n).step_by(500).map(|at| (at, (n - at).min(500))).rev().collect(),
        |n| (0..n).step_by(500).flat_map(|at| [(at, (n - at).min(500)); 2]).collect(),
        |n| vec![(n - 1, 1), (0, n - 2), (n - 2, 1), (0, n)],
        |n| vec![(0, n)],
    ];
    for (which, plan) in plans.into_iter().enumerate() {
        for length in [1, 2, 100, 2_999, 3_000, 4_001] {
            for qos in [ONCE, ACK] {
                let mut rig = connected();
                rig.modem.plan = plan;
                let sent = payload(length);
                assert_eq!(rig.publish("PEBBLE", &sent, qos), Ok(()), "{which} {length}");
                assert_eq!(rig.modem.published(), [(247, sent)], "{which} {length}");
                rig.idle(10_000);
                assert_eq!(rig.events(), [""; 0]);
                assert!(rig.driver.is_idle());
            }
        }
    }
}

#[test]
fn the_largest_message_goes_out_and_one_byte_more_does_not() {
    let mut rig = connected();
    rig.slice = 256;
    rig.publish("RAW", &payload(100_000), ACK).unwrap();
    assert_eq!(rig.modem.published(), [(244, payload(100_000))]);
    let longest = rig.modem.lines.iter().map(String::len).max();
    // 2,055 with a CR, a topic of five digits and an id of three.
    assert_eq!(longest, Some(2_050));
    let too_large = Problem::TooLong { max: 100_000, actual: 100_001 };
    let error = FieldError { field: Field::Payload, problem: too_large };
    assert_eq!(rig.publish("RAW", &payload(100_001), ACK), Err(Error::Field(error)));
}

/// Payloads whose CRC is zero are legal, though the vendor's library refuses them.
#[test]
fn a_crc_of_zero_is_legal() {
    let mut rig = connected();
    for sent in [b"\0".as_slice(), b"ABV{"] {
        rig.publish("RAW", sent, ACK).unwrap();
    }
    assert_eq!(rig.modem.published(), [(244, b"\0".to_vec()), (244, b"ABV{".to_vec())]);
}

#[test]
fn qos_0_returns_when_the_modem_has_it_and_qos_1_when_the_network_has() {
    let mut rig = connected();
    rig.modem.status = Some(("mo_ack_received", 60_000));
    rig.publish("RAW", b"first", ONCE).unwrap();
    assert!(rig.now < 1_000, "{}", rig.now);
    // One at a time.
    rig.publish("RAW", b"second", ACK).unwrap();
    assert!(rig.now > 120_000, "{}", rig.now);
    assert_eq!(rig.events(), [""; 0]);
    assert_eq!(rig.modem.count("PUT messageOriginate "), 2);
    assert_eq!(
        rig.modem.count("GET"),
        rig.modem
            .lines
            .iter()
            .position(|l| l.starts_with("PUT messageOriginate "))
            .map_or(0, |at| rig.modem.lines[..at].iter().filter(|l| l.starts_with("GET")).count())
    );
}

#[test]
fn a_modem_that_asks_for_the_next_part_late_has_not_all_of_the_message() {
    let mut rig = connected();
    rig.modem.pause = 250;
    rig.publish("RAW", &payload(3_000), ONCE).unwrap();
    assert_eq!(rig.modem.published(), [(244, payload(3_000))]);
}

/// The final statuses are those of the vendor's library.
#[test]
fn how_a_message_ended_is_what_the_modem_said() {
    for (status, cause) in [
        ("message_discarded_on_overflow", Some(Cause::Busy)),
        ("message_expired", Some(Cause::Timeout)),
        ("segment_not_supplied", Some(Cause::Timeout)),
        ("crc_error_in_transfer", Some(Cause::Network)),
        ("subscription_invalid", Some(Cause::NotAuthorized)),
        ("protocol_error", Some(Cause::Unknown)),
        ("message_transfer_timeout", None),
        ("network_error", None),
        ("message_cancelled_in_transit", None),
        ("never_heard_of", None),
    ] {
        let mut rig = connected();
        rig.modem.status = Some((status, 10));
        match (rig.publish("RAW", b"x", ACK), cause) {
            (Err(Error::Refused(refusal)), Some(cause)) => {
                assert_eq!((refusal.name, refusal.cause), (status, cause));
                assert_eq!((refusal.command, refusal.code), ("messageOriginate", Code::None));
            }
            (Err(Error::NoResult(_)), None) => {}
            other => panic!("{status}: {other:?}"),
        }
        rig.modem.status = Some((status, 500));
        assert_eq!(rig.publish("RAW", b"x", ONCE), Ok(()), "{status}");
        rig.idle(1_000);
        let told = match cause {
            Some(_) => format!("undelivered {status}"),
            None => "Unknown(\"publish\")".into(),
        };
        assert_eq!(rig.events(), [told]);
    }
}

#[test]
fn a_message_that_is_not_accepted_says_why() {
    for (response, id, cause) in [
        ("subscription_invalid", ",\"message_id\":30", Cause::NotAuthorized),
        ("message_discarded_on_overflow", "", Cause::Busy),
        ("never_heard_of", "", Cause::Unknown),
    ] {
        let mut rig = connected();
        rig.script(move |_, line| match line.starts_with("PUT messageOriginate ") {
            true => {
                let reference = crate::fake::number(line, "request_reference");
                Reply::Lines(vec![format!("200 messageOriginate {{\"topic_id\":244,\"request_reference\":{reference}{id},\"message_response\":\"{response}\"}}")])
            }
            false => Reply::Usual,
        });
        let Err(Error::Refused(refusal)) = rig.publish("RAW", b"x", ONCE) else { panic!() };
        assert_eq!(refusal.cause, cause, "{response}");
        rig.script(|_, _| Reply::Usual);
        assert_eq!(rig.publish("RAW", b"y", ACK), Ok(()));
    }
}

#[test]
fn a_refusal_with_a_code_keeps_it() {
    let mut rig = connected();
    rig.script(|_, line| match line.starts_with("PUT messageOriginate ") {
        true => Reply::Lines(vec!["407 messageOriginate {}".into()]),
        false => Reply::Usual,
    });
    let Err(Error::Refused(refusal)) = rig.publish("RAW", b"x", ONCE) else { panic!() };
    assert_eq!((refusal.code, refusal.name), (Code::Vendor(407), "bad JSON"));
}

/// 418 within 100 ms of the activation (the vendor).
#[test]
fn what_is_too_early_waits_and_tries_again() {
    let mut rig = connected();
    assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()));
    assert_eq!(rig.modem.count("PUT messageOriginate "), 1, "settled before");
    for times in 1..=4 {
        let mut rig = connected();
        rig.idle(1_000);
        let (mut left, before) = (times, rig.now);
        rig.script(move |_, line| {
            if left > 0 && line.starts_with("PUT messageOriginate ") {
                left -= 1;
                return Reply::Lines(vec!["418 messageOriginate {}".into()]);
            }
            Reply::Usual
        });
        let expected = if times < 3 { Ok(()) } else { Err(Error::NotProvisioned) };
        assert_eq!(rig.publish("RAW", b"x", ONCE), expected, "{times}");
        let waits = u64::from(times.min(2_u8));
        assert!(rig.now - before >= 100 * waits && rig.now - before < 500, "{}", rig.now - before);
    }
}

#[test]
fn a_line_that_was_garbled_on_its_way_is_sent_again() {
    for refusal in ["405 MALFORMED {}", "403 MALFORMED {}"] {
        for target in ["PUT messageOriginate ", "PUT messageOriginateSegment"] {
            let mut rig = connected();
            let mut left = 1;
            rig.script(move |_, line| {
                if left > 0 && line.starts_with(target) {
                    left -= 1;
                    return Reply::Lines(vec![refusal.into()]);
                }
                Reply::Usual
            });
            assert_eq!(rig.publish("RAW", b"once", ONCE), Ok(()), "{refusal} {target}");
            rig.idle(5_000);
            assert_eq!(rig.modem.published(), [(244, b"once".to_vec())]);
            assert_eq!(rig.events(), [""; 0]);
        }
    }
}

#[test]
fn a_message_whose_last_part_has_no_answer_yet_is_not_handed_over() {
    let mut rig = connected();
    rig.modem.status = None;
    rig.script(|modem, line| {
        if !line.starts_with("PUT messageOriginateSegment") {
            return Reply::Usual;
        }
        match modem.count("PUT messageOriginateSegment") {
            1 => {
                // It wants it twice, and does not understand the second.
                modem.say("299 messageOriginateSegment {\"topic_id\":244,\"message_id\":4,\"segment_length\":3,\"segment_start\":0}");
                return Reply::Usual;
            }
            2 => modem.say_after(150, "405 MALFORMED {}"),
            _ => modem.say("200 messageOriginateSegment {\"topic_id\":244,\"message_id\":4}"),
        }
        Reply::Lines(vec![])
    });
    assert_eq!(rig.publish("RAW", b"x", ONCE), Ok(()));
    assert_eq!(rig.modem.count("PUT messageOriginateSegment"), 3);
}

#[test]
fn a_part_that_is_refused_for_ever_is_not_sent_for_ever() {
    let mut rig = connected();
    rig.script(|modem, line| {
        if line.starts_with("PUT messageOriginateSegment") {
            if modem.count("PUT messageOriginateSegment") == 1 {
                modem.end(4, "segment_incorrect", 1_000);
            }
            return Reply::Lines(vec!["407 messageOriginateSegment {}".into()]);
        }
        Reply::Usual
    });
    let Err(Error::Refused(refusal)) = rig.publish("RAW", b"x", ONCE) else { panic!() };
    assert_eq!(refusal.name, "segment_incorrect");
    assert_eq!(rig.modem.count("PUT messageOriginateSegment"), 4);
}

#[test]
fn what_the_message_does_not_have_is_never_supplied() {
    for (start, length) in [(0, 6), (5, 1), (4, 2), (u32::MAX, 2), (0, 0), (u32::MAX, u32::MAX)] {
        let mut rig = connected();
        rig.script(move |modem, line| {
            if line.starts_with("PUT messageOriginate ") {
                for (topic, id) in [(244, 4), (247, 4), (244, 5)] {
                    let (start, length) = if (topic, id) == (244, 4) { (start, length) } else { (0, 5) };
                    modem.say_after(4, &format!("299 messageOriginateSegment {{\"topic_id\":{topic},\"message_id\":{id},\"segment_length\":{length},\"segment_start\":{start}}}"));
                }
                let reference = crate::fake::number(line, "request_reference");
                modem.say_after(300, "299 messageOriginateStatus {\"topic_id\":244,\"message_id\":4,\"final_mo_status\":\"segment_not_supplied\"}");
                return Reply::Lines(vec![format!("200 messageOriginate {{\"topic_id\":244,\"request_reference\":{reference},\"message_id\":4,\"message_response\":\"message_accepted\"}}")]);
            }
            Reply::Usual
        });
        let Err(Error::Refused(refusal)) = rig.publish("RAW", b"abc", ONCE) else { panic!() };
        assert_eq!(refusal.name, "segment_not_supplied");
        assert_eq!(rig.modem.count("PUT messageOriginateSegment"), 0, "{start} {length}");
    }
}

#[test]
fn a_part_asked_for_before_the_acceptance_is_read_is_supplied() {
    let mut rig = connected();
    rig.modem.delay = 10;
    rig.script(|modem, line| {
        if line.starts_with("PUT messageOriginate ") {
            modem.pause = 0;
            modem.delay = 0;
        }
        Reply::Usual
    });
    rig.publish("RAW", b"x", ONCE).unwrap();
    assert_eq!(rig.modem.published().len(), 1);
}

/// The deadline cancels, and the modem has the last word: what was cancelled may
/// have been too late (capture 11, which is put together from notes).
#[test]
fn a_message_that_takes_too_long_is_cancelled() {
    for (status, expected) in [
        (Some("mo_ack_received"), Ok(())),
        (
            Some("message_cancelled_in_transit"),
            Err(Error::NoResult("message_cancelled_in_transit")),
        ),
        (None, Err(Error::NoResult("messageOriginate"))),
    ] {
        let mut rig = connected();
        rig.modem.status = None;
        rig.modem.cancelled = status;
        rig.script(|modem, line| {
            if line.starts_with("PUT messageOriginateStatus") {
                modem.say("299 messageOriginateSegment {\"topic_id\":244,\"message_id\":4,\"segment_length\":3,\"segment_start\":0}");
            }
            Reply::Usual
        });
        let before = rig.now;
        assert_eq!(rig.publish("RAW", b"x", ACK), expected);
        let took = rig.now - before;
        assert!((600_000..=605_200).contains(&took), "{took}");
        assert_eq!(rig.modem.count("PUT messageOriginateStatus"), 1);
        assert_eq!(rig.modem.count("PUT messageOriginateSegment"), 1, "none once it is cancelled");
    }
    let mut rig = Rig::with(Settings::new().publish_timeout(Some(60)));
    rig.connect().unwrap();
    rig.modem.status = None;
    let Err(Error::Refused(refusal)) = rig.publish("RAW", b"x", ACK) else { panic!() };
    assert_eq!((refusal.name, refusal.cause), ("message_cancelled_pre_transit", Cause::Timeout));
    assert_eq!(rig.publish("RAW", b"x", ONCE), Ok(()));
    rig.idle(70_000);
    assert_eq!(rig.events(), ["undelivered message_cancelled_pre_transit"]);
    // Of what was never accepted there is nothing to cancel.
    let mut rig = Rig::with(Settings::new().publish_timeout(Some(1)));
    rig.connect().unwrap();
    rig.script(|_, line| match line.starts_with("PUT messageOriginate ") {
        true => Reply::Lines(vec![]),
        false => Reply::Usual,
    });
    let before = rig.now;
    assert_eq!(rig.publish("RAW", b"x", ACK), Err(Error::NoResult("messageOriginate")));
    assert!(rig.now - before < 1_200, "{}", rig.now - before);
    let mut rig = Rig::with(Settings::new().publish_timeout(None));
    rig.connect().unwrap();
    rig.modem.status = Some(("mo_ack_received", 5 * 3_600_000));
    assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()));
}

#[test]
fn a_part_wanted_after_the_payload_is_gone_cancels_the_message() {
    let mut rig = connected();
    rig.modem.status = None;
    rig.publish("RAW", b"abc", ONCE).unwrap();
    for ms in [50, 70] {
        rig.modem.say_after(ms, "299 messageOriginateSegment {\"topic_id\":244,\"message_id\":4,\"segment_length\":5,\"segment_start\":0}");
    }
    rig.idle(6_000);
    assert_eq!(rig.modem.count("PUT messageOriginateSegment"), 1);
    assert_eq!(rig.modem.count("PUT messageOriginateStatus"), 1);
    assert_eq!(rig.events(), ["undelivered message_cancelled_pre_transit"]);
    assert!(rig.driver.is_idle());
}

#[test]
fn an_acceptance_that_is_lost_leaves_no_result_and_the_next_publish_works() {
    let mut rig = connected();
    let mut lost = true;
    rig.script(move |modem, line| {
        if lost && line.starts_with("PUT messageOriginate ") {
            lost = false;
            let reference = crate::fake::number(line, "request_reference");
            // It comes when nobody waits for it any more.
            modem.say_after(2_100, &format!("200 messageOriginate {{\"topic_id\":244,\"request_reference\":{reference},\"message_id\":77,\"message_response\":\"message_accepted\"}}"));
            return Reply::Lines(vec![]);
        }
        if line.contains("\"message_id\": 77") {
            return Reply::Lines(vec!["200 messageOriginateStatus {\"message_id\": 77}".into(), "299 messageOriginateStatus {\"topic_id\":244,\"message_id\":77,\"final_mo_status\":\"message_cancelled_pre_transit\"}".into()]);
        }
        Reply::Usual
    });
    assert_eq!(rig.publish("RAW", b"lost", ACK), Err(Error::NoResult("messageOriginate")));
    rig.idle(1_000);
    assert_eq!(
        rig.modem.count("PUT messageOriginateStatus {\"topic_id\": 244, \"message_id\": 77"),
        1
    );
    assert_eq!(rig.publish("RAW", b"next", ACK), Ok(()));
    assert_eq!(rig.modem.published(), [(244, b"next".to_vec())]);
    assert_eq!(rig.events(), [""; 0]);
}

#[test]
fn a_part_of_another_message_asked_for_before_the_acceptance_is_not_supplied() {
    let mut rig = connected();
    rig.script(|modem, line| {
        if line.starts_with("PUT messageOriginate ") {
            modem.say("299 messageOriginateSegment {\"topic_id\":244,\"message_id\":3,\"segment_length\":5,\"segment_start\":0}");
        }
        Reply::Usual
    });
    rig.publish("RAW", b"abc", ACK).unwrap();
    assert_eq!(rig.modem.count("PUT messageOriginateSegment"), 1);
}

#[test]
fn an_acceptance_with_another_reference_is_not_that_of_this_message() {
    let mut rig = connected();
    rig.script(|modem, line| {
        if line.starts_with("PUT messageOriginate ") {
            modem.say("200 messageOriginate {\"topic_id\":244,\"request_reference\":99,\"message_id\":77,\"message_response\":\"message_accepted\"}");
            modem.say("200 messageOriginate {\"topic_id\":247,\"request_reference\":1,\"message_id\":78,\"message_response\":\"message_accepted\"}");
        }
        Reply::Usual
    });
    assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()));
}

/// Runs a publish of 3,000 bytes to the middle of the line with its second
/// part.
fn half_a_part_sent(rig: &mut Rig, operation: &Operation<'_>) {
    rig.slice = 1_000;
    rig.driver.start(operation, rig.time()).unwrap();
    while rig.modem.count("PUT messageOriginateSegment") == 0 {
        if !rig.exchange(Some(operation)) {
            rig.advance(u64::MAX);
        }
    }
    rig.advance(u64::MAX);
    while !rig.exchange(Some(operation))
        || rig.driver.transmit(Some(operation), rig.time()).is_none()
    {
        rig.advance(u64::MAX);
    }
    rig.exchange(Some(operation));
    rig.exchange(Some(operation));
}

#[test]
fn a_message_that_ends_while_a_part_goes_out_leaves_no_half_line() {
    for lines in [
        vec![
            "299 messageOriginateStatus {\"topic_id\":244,\"message_id\":4,\"final_mo_status\":\"mo_ack_received\"}",
        ],
        vec![
            "299 operationalState {\"state\":\"inactive\",\"reason\":0}",
            "299 messageOriginateStatus {\"topic_id\":244,\"message_id\":4,\"final_mo_status\":\"message_expired\"}",
        ],
    ] {
        let mut rig = connected();
        let sent = payload(3_000);
        let publish = Publish::new("RAW", &sent).unwrap().qos(ACK);
        let operation = Operation::Publish(&publish);
        half_a_part_sent(&mut rig, &operation);
        rig.modem.messages.values_mut().for_each(|message| message.ended = true);
        for line in lines {
            rig.driver.receive(format!("{line}\r").as_bytes(), rig.time());
        }
        assert!(rig.driver.outcome().is_some());
        rig.connect().unwrap();
        assert_eq!(rig.publish("RAW", b"next", ACK), Ok(()), "{:#?}", rig.modem.lines);
        assert_eq!(rig.modem.published(), [(244, b"next".to_vec())]);
    }
}

#[test]
fn a_part_wanted_again_is_sent_to_its_end_before_the_message_counts_as_handed_over() {
    let mut rig = connected();
    rig.modem.status = None;
    let publish = Publish::new("RAW", b"abc").unwrap();
    let operation = Operation::Publish(&publish);
    rig.driver.start(&operation, rig.time()).unwrap();
    while rig.modem.count("PUT messageOriginateSegment") == 0 {
        if !rig.exchange(Some(&operation)) {
            rig.advance(u64::MAX);
        }
    }
    rig.advance(u64::MAX);
    while rig.exchange(Some(&operation)) {}
    let acknowledged = rig.now;
    rig.now += 95;
    rig.driver.receive(b"299 messageOriginateSegment {\"topic_id\":244,\"message_id\":4,\"segment_length\":5,\"segment_start\":0}\r", rig.time());
    assert!(rig.driver.transmit(Some(&operation), rig.time()).is_some());
    rig.driver.sent(10);
    rig.now = acknowledged + 200;
    rig.driver.tick(rig.time());
    assert_eq!(rig.driver.outcome(), None);
}

#[test]
fn a_dropped_message_of_which_nothing_more_is_heard_holds_up_the_next_one_for_5_s() {
    let mut rig = connected();
    rig.modem.status = None;
    rig.modem.cancelled = None;
    let publish = Publish::new("RAW", b"x").unwrap().qos(ACK);
    rig.run_and_drop(&Operation::Publish(&publish), 12, false);
    rig.script(|modem, line| {
        if line.starts_with("PUT messageOriginateStatus") {
            modem.messages.values_mut().for_each(|message| message.ended = true);
            modem.status = Some(("mo_ack_received", 10));
        }
        Reply::Usual
    });
    let before = rig.now;
    assert_eq!(rig.publish("RAW", b"y", ACK), Ok(()));
    assert!((5_000..6_000).contains(&(rig.now - before)), "{}", rig.now - before);
}

#[test]
fn references_go_round_from_1_to_100() {
    let mut rig = connected();
    for round in 1..=205_u32 {
        rig.publish("RAW", b"x", ACK).unwrap();
        let line =
            rig.modem.lines.iter().rfind(|l| l.starts_with("PUT messageOriginate ")).unwrap();
        assert_eq!(crate::fake::number(line, "request_reference"), (round - 1) % 100 + 1);
    }
}

// ---- topics ------------------------------------------------------------

#[test]
fn topics_are_names_or_numbers_that_are_provisioned() {
    let mut rig = connected();
    rig.modem.topics = vec![(244, "RAW"), (300, "TWICE"), (301, "TWICE"), (302, "imt/244")];
    rig.connect().unwrap();
    let lines = rig.modem.lines.len();
    let problem = |problem| Err(Error::Field(FieldError { field: Field::Topic, problem }));
    for topic in
        ["raw", "imt/99", "imt/0300", "imt/+300".trim_end_matches("+300"), "imt/70000", "imt/63"]
    {
        assert_eq!(rig.publish(topic, b"x", ONCE), problem(Problem::NotProvisioned), "{topic}");
    }
    assert_eq!(rig.publish("TWICE", b"x", ONCE), problem(Problem::Ambiguous));
    let empty = rig.publish("RAW", b"", ONCE);
    assert_eq!(empty, Err(Error::Unsupported(Feature::EmptyPayload)));
    let two = rig.publish("RAW", b"x", QoS::ExactlyOnce);
    assert_eq!(two, Err(Error::Unsupported(Feature::ExactlyOnce)));
    let retained = Publish::new("RAW", b"x").unwrap().retain(true);
    assert_eq!(rig.run(&Operation::Publish(&retained)), Err(Error::Unsupported(Feature::Retain)));
    assert_eq!(rig.modem.lines.len(), lines, "before any byte is sent");
    for (topic, id) in [("RAW", 244), ("imt/301", 301), ("imt/244", 302)] {
        rig.publish(topic, b"x", ACK).unwrap();
        assert_eq!(rig.modem.published().last().unwrap().0, id);
    }
}

#[test]
fn a_topic_whose_name_is_escaped_has_its_number_only() {
    let mut rig = Rig::new();
    rig.modem.topics = vec![(300, "A\\/B"), (301, "C")];
    rig.bring_up().unwrap();
    let topics: Vec<_> = rig.driver.topics().map(|topic| (topic.id, topic.name)).collect();
    assert_eq!(topics, [(300, ""), (301, "C")]);
    rig.connect().unwrap();
    assert_eq!(rig.publish("imt/300", b"x", ACK), Ok(()));
}

#[test]
fn without_any_topic_the_modem_connects_and_says_why_it_cannot_publish() {
    let mut rig = Rig::new();
    rig.modem.topics.clear();
    rig.connect().unwrap();
    assert_eq!(rig.publish("RAW", b"x", ONCE), Err(Error::NotProvisioned));
    rig.subscribe("RAW").unwrap();
    // They come by themselves later.
    rig.modem.topics = vec![(244, "RAW")];
    rig.modem.say("299 messageProvisioning {\"provisioning\":[{\"topic_id\":244,\"topic_name\":\"RAW\",\"priority\":\"High\",\"discard_time_seconds\":604800,\"max_queue_depth\":99}]}");
    rig.idle(10);
    assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()));
}

#[test]
fn a_table_of_topics_that_cannot_be_read_changes_nothing() {
    let mut rig = connected();
    for bad in
        ["[{\"topic_id\":64,\"topic_name\":\"A\"},{}]", "[{\"topic_id\":64,\"topic_na", "[]]"]
    {
        rig.modem.say(&format!("299 messageProvisioning {{\"provisioning\":{bad}}}"));
        rig.idle(10);
        assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()), "{bad}");
    }
}

#[test]
fn a_connect_refuses_what_the_link_does_not_have() {
    let options = || ConnectOptions::new("any", 1, "any").unwrap();
    let mut rig = Rig::new();
    for (options, feature) in [
        (options().credentials("u", Some("p")).unwrap(), Feature::Credentials),
        (options().last_will(Will::new("t", b"x").unwrap()), Feature::Will),
        (options().clean_session(false), Feature::KeptSession),
        (options().tls(hayes::mqtt::Tls::insecure()), Feature::Tls),
    ] {
        let refused = rig.run(&Operation::Connect(&options));
        assert_eq!(refused, Err(Error::Unsupported(feature)));
    }
    assert_eq!(rig.modem.lines.len(), 0);
}

// ---- receiving ---------------------------------------------------------

#[test]
fn filters_decide_what_is_delivered_and_the_rest_is_announced() {
    let mut rig = connected();
    rig.modem.deliver(244, 1, b"nobody", 100);
    rig.idle(10);
    assert_eq!(rig.events(), ["dropped 1 of 6 on RAW"]);
    rig.subscribe("RAW").unwrap();
    assert_eq!(rig.driver.granted().qos(0), Some(ONCE));
    rig.subscribe("imt/+").unwrap();
    rig.modem.deliver(244, 2, b"by name", 3);
    rig.modem.deliver(247, 3, b"by number", 5);
    rig.modem.deliver(313, 4, b"no name", 100);
    rig.idle(10);
    assert_eq!(rig.events(), ["RAW=by name", "PEBBLE=by number", "imt/313=no name"]);
    let filters = ["imt/+", "PEBBLE"].map(|filter| TopicFilter::new(filter).unwrap());
    rig.run(&Operation::Unsubscribe(&filters)).unwrap();
    rig.modem.deliver(247, 5, b"12345", 100);
    rig.modem.deliver(244, 6, b"still", 100);
    rig.idle(10);
    assert_eq!(rig.events(), ["dropped 1 of 5 on PEBBLE", "RAW=still"]);
    rig.run(&Operation::Disconnect).unwrap();
    rig.modem.deliver(244, 7, b"late", 100);
    rig.idle(10);
    assert_eq!(rig.events(), ["dropped 1 of 4 on RAW"]);
    assert_eq!(rig.modem.state, "active");
}

#[test]
fn filters_are_checked_and_counted_before_any_is_kept() {
    let mut rig = connected();
    let missing = FieldError { field: Field::TopicFilter, problem: Problem::NotProvisioned };
    assert_eq!(rig.subscribe("NONE"), Err(Error::Field(missing)));
    let problem = Problem::TooLong { max: 64, actual: 65 };
    let long = FieldError { field: Field::TopicFilter, problem };
    assert_eq!(rig.subscribe(&"x".repeat(65)), Err(Error::Field(long)));
    for at in 0..7 {
        rig.subscribe(&format!("{at}/#")).unwrap();
        rig.subscribe("0/#").unwrap();
    }
    let problem = Problem::TooLong { max: 8, actual: 9 };
    let many = FieldError { field: Field::Filters, problem };
    let both = ["#", "7/#"].map(|filter| Subscription::new(filter, ONCE).unwrap());
    assert_eq!(rig.run(&Operation::Subscribe(&both)), Err(Error::Field(many)));
    assert_eq!(rig.subscribe("7/#"), Ok(()), "neither was kept");
    assert_eq!(rig.subscribe("#"), Err(Error::Field(many)));
    let empty = FieldError { field: Field::Filters, problem: Problem::Empty };
    assert_eq!(rig.run(&Operation::Subscribe(&[])), Err(Error::Field(empty)));
    rig.modem.deliver(244, 1, b"x", 10);
    rig.idle(10);
    assert_eq!(rig.events(), ["dropped 1 of 1 on RAW"]);
}

#[test]
fn names_that_several_topics_have_are_told_apart_by_number() {
    let mut rig = Rig::new();
    rig.modem.topics = vec![(300, "TWICE"), (301, "TWICE")];
    rig.connect().unwrap();
    rig.subscribe("TWICE").unwrap();
    rig.modem.deliver(300, 1, b"a", 10);
    rig.modem.deliver(301, 2, b"b", 10);
    rig.idle(10);
    assert_eq!(rig.events(), ["imt/300=a", "imt/301=b"]);
}

#[test]
fn a_message_comes_in_while_another_goes_out() {
    let mut rig = subscribed();
    rig.modem.plan = |n| (0..n).step_by(300).map(|at| (at, (n - at).min(300))).collect();
    let mut parts = 0;
    rig.script(move |modem, line| {
        if line.starts_with("PUT messageOriginateSegment") {
            let lines = incoming(247, 9, &payload(2_000), 700);
            if let Some(line) = lines.get(parts) {
                modem.say(line);
            }
            parts += 1;
        }
        Reply::Usual
    });
    rig.publish("RAW", &payload(3_000), ACK).unwrap();
    assert_eq!(rig.modem.published(), [(244, payload(3_000))]);
    assert_eq!(rig.events(), [format!("PEBBLE={}", payload(2_000).escape_ascii())]);
}

#[test]
fn a_restart_in_the_middle_is_told_and_nothing_is_taken_for_delivered() {
    for qos in [ONCE, ACK] {
        let mut rig = subscribed();
        rig.script(|modem, line| {
            if line.starts_with("PUT messageOriginateSegment") {
                for line in &incoming(247, 9, &payload(50), 20)[..2] {
                    modem.say(line);
                }
                modem.idle_restart();
                return Reply::Lines(vec![]);
            }
            Reply::Usual
        });
        let outcome = rig.publish("RAW", b"x", qos);
        assert_eq!(outcome, Err(Error::NoResult("messageOriginate")));
        assert_eq!(rig.events(), ["dropped 1 of 52 on PEBBLE", "Restarted"]);
        assert_eq!(rig.driver.link(), LinkState::Lost(Loss::Restart));
        assert_eq!(rig.publish("RAW", b"x", qos), Err(Error::Lost(Loss::Restart)));
        rig.script(|_, _| Reply::Usual);
        rig.connect().unwrap();
        assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()));
    }
    let mut rig = subscribed();
    rig.modem.status = None;
    rig.publish("RAW", b"x", ONCE).unwrap();
    rig.modem.say("299 constellationState {\"constellation_visible\":true,\"signal_bars\":2,\"signal_level\":-114}");
    rig.idle(10);
    assert_eq!(rig.driver.status().signal_dbm, Some(-114));
    rig.modem.restart();
    rig.idle(10);
    assert_eq!(rig.events(), ["Restarted", "Unknown(\"publish\")"]);
    // How it was says nothing of how it is.
    assert_eq!((rig.driver.constellation(), rig.driver.reason()), (None, None));
}

#[test]
fn a_restart_that_nobody_heard_is_found_out() {
    let mut rig = connected();
    rig.modem.selected = false;
    rig.modem.state = "inactive";
    assert_eq!(rig.publish("RAW", b"x", ACK), Err(Error::Restarted));
    assert_eq!(rig.events(), ["Restarted"]);
    assert_eq!(rig.driver.link(), LinkState::Lost(Loss::Restart));
    rig.connect().unwrap();
    assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()));
    rig.modem.selected = false;
    assert_eq!(rig.run(&Operation::Status), Err(Error::Restarted));
    assert_eq!(rig.connect(), Ok(()));
}

#[test]
fn a_modem_that_stops_being_active_has_lost_the_connection() {
    let mut rig = connected();
    rig.modem.status = None;
    rig.publish("RAW", b"x", ONCE).unwrap();
    rig.modem.state = "fault";
    rig.modem.say("299 operationalState {\"state\":\"fault\",\"reason\":6}");
    rig.idle(6_000);
    let lost = "Lost { session: 0, loss: Closed(Some(6)) }";
    assert_eq!(rig.events(), [lost, "undelivered message_cancelled_pre_transit"]);
    assert_eq!(rig.driver.reason(), Some(6));
    assert_eq!(rig.driver.link(), LinkState::Lost(Loss::Closed(Some(6))));
    rig.modem.state = "inactive";
    rig.connect().unwrap();
    rig.modem.state = "inactive";
    rig.run(&Operation::Status).unwrap();
    assert_eq!(rig.events(), ["Lost { session: 0, loss: Closed(Some(0)) }"]);
}

#[test]
fn a_disconnect_may_leave_the_modem_inactive() {
    let mut rig = Rig::with(Settings::new().deactivate(true));
    rig.connect().unwrap();
    rig.modem.status = None;
    rig.publish("RAW", b"x", ONCE).unwrap();
    rig.run(&Operation::Disconnect).unwrap();
    assert_eq!((rig.modem.state, rig.driver.link()), ("inactive", LinkState::Idle));
    assert_eq!(rig.events(), ["undelivered message_cancelled_pre_transit"]);
    rig.connect().unwrap();
    rig.modem.status = Some(("mo_ack_received", 10));
    assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()));
}

#[test]
fn status_asks_unless_a_message_is_on_its_way() {
    let mut rig = connected();
    let asked = rig.modem.lines.len();
    rig.run(&Operation::Status).unwrap();
    assert_eq!(rig.modem.lines.len(), asked + 2);
    rig.modem.status = Some(("mo_ack_received", 10_000));
    rig.publish("RAW", b"x", ONCE).unwrap();
    let asked = rig.modem.lines.len();
    rig.run(&Operation::Status).unwrap();
    rig.connect().unwrap();
    rig.bring_up().unwrap();
    assert_eq!(rig.modem.lines.len(), asked);
    let mut rig = Rig::new();
    rig.run(&Operation::Status).unwrap();
}

#[test]
fn a_modem_that_falls_silent_has_lost_the_connection() {
    let mut rig = connected();
    rig.script(|_, _| Reply::Lines(vec![]));
    assert_eq!(rig.run(&Operation::Status), Err(Error::Unresponsive));
    assert!(rig.now < 30_000, "{}", rig.now);
    assert_eq!(rig.events(), ["Lost { session: 0, loss: NoResult }"]);
}

#[test]
fn a_hundred_thousand_bytes_without_a_line_end_cost_no_more_than_that() {
    let mut rig = subscribed();
    for size in [1, 7, 100_000] {
        for piece in [b'x'; 100_000].chunks(size) {
            rig.driver.receive(piece, rig.time());
        }
        rig.driver.receive(b"\r", rig.time());
        assert_eq!(rig.events(), ["Missed(1)"]);
    }
    rig.modem.deliver(244, 1, b"on", 100);
    rig.idle(10);
    assert_eq!(rig.events(), ["RAW=on"]);
}

// ---- dropped futures ---------------------------------------------------

#[test]
fn a_publish_may_be_dropped_anywhere_and_the_next_one_works() {
    let dropped = payload(700);
    for qos in [ONCE, ACK] {
        for unsure in [false, true] {
            for slice in [5, 64] {
                let mut exchanges = 0;
                loop {
                    let mut rig = connected();
                    rig.slice = slice;
                    rig.modem.plan =
                        |n| (0..n).step_by(500).map(|at| (at, (n - at).min(500))).collect();
                    let publish = Publish::new("RAW", &dropped).unwrap().qos(qos);
                    let over = rig.run_and_drop(&Operation::Publish(&publish), exchanges, unsure);
                    let context = format!("{qos:?} {unsure} {slice} {exchanges}");
                    let idle = exchanges % 3;
                    rig.idle([0, 60, 10_000][idle]);
                    let next = rig.publish("PEBBLE", b"next", ACK);
                    assert_eq!(next, Ok(()), "{context}\n{:#?}", rig.modem.lines);
                    for (topic, published) in rig.modem.published() {
                        let whole = match topic {
                            244 => published == dropped,
                            _ => published == b"next",
                        };
                        assert!(whole, "{context}");
                    }
                    let events = rig.events();
                    let begun =
                        rig.modem.lines.iter().any(|l| l.starts_with("PUT messageOriginate "));
                    let unknown = events.iter().filter(|e| *e == "Unknown(\"publish\")").count();
                    assert!(events.len() == unknown && unknown <= 1, "{context}: {events:?}");
                    let originated = rig.modem.messages.values().filter(|m| m.topic == 244).count();
                    assert!(begun && (over || originated == 0 || unknown == 1), "{context}");
                    assert!(rig.driver.is_idle(), "{context}");
                    if over {
                        assert!(exchanges > 10, "{context}");
                        break;
                    }
                    exchanges += 1;
                }
            }
        }
    }
}

#[test]
fn what_was_dropped_is_cancelled_also_while_nobody_publishes() {
    let mut rig = connected();
    rig.modem.status = None;
    let publish = Publish::new("RAW", b"x").unwrap().qos(ACK);
    rig.run_and_drop(&Operation::Publish(&publish), 12, false);
    rig.idle(10_000);
    assert_eq!(rig.modem.count("PUT messageOriginateStatus"), 1);
    assert_eq!(rig.events(), ["Unknown(\"publish\")"]);
    assert!(rig.driver.is_idle());
}

#[test]
fn a_line_that_was_left_is_refused_before_the_cancel_goes_out() {
    let mut rig = connected();
    let sent = payload(3_000);
    let publish = Publish::new("RAW", &sent).unwrap().qos(ACK);
    half_a_part_sent(&mut rig, &Operation::Publish(&publish));
    let lines = rig.modem.lines.len();
    rig.driver.abandon(0);
    assert!(!rig.driver.is_idle());
    let left = rig.now;
    // The half line and the end of it are no request.
    rig.script(move |modem, line| {
        let cancels = line.starts_with("PUT messageOriginateStatus");
        assert!(!cancels || modem.now >= left + 100, "{}", modem.now - left);
        if cancels { Reply::Usual } else { Reply::Lines(vec![]) }
    });
    rig.idle(1_000);
    assert_eq!(rig.modem.lines.len(), lines + 2);
    assert!(rig.driver.is_idle());
    // What answers the next request is not known before the versions are.
    rig.script(|_, _| Reply::Usual);
    let asked = rig.modem.count("GET apiVersion");
    assert_eq!(rig.publish("RAW", b"next", ACK), Ok(()));
    assert_eq!(rig.modem.count("GET apiVersion"), asked + 1);
}

#[test]
fn a_connect_after_a_dropped_publish_looks_whether_the_modem_is_active() {
    let mut rig = connected();
    rig.modem.status = None;
    let publish = Publish::new("RAW", b"x").unwrap().qos(ACK);
    rig.run_and_drop(&Operation::Publish(&publish), 12, false);
    let asked = rig.modem.count("GET operationalState");
    assert_eq!(rig.connect(), Ok(()));
    assert_eq!(rig.modem.count("GET operationalState"), asked + 1);
}

#[test]
fn a_deactivation_of_which_something_was_sent_is_unknown_when_it_is_dropped() {
    for (count, events) in [(0, vec![]), (1, vec!["Unknown(\"disconnect\")"])] {
        let mut rig = Rig::with(Settings::new().deactivate(true));
        rig.connect().unwrap();
        rig.driver.start(&Operation::Disconnect, rig.time()).unwrap();
        let due = rig.driver.transmit(Some(&Operation::Disconnect), rig.time()).unwrap();
        assert!(due.starts_with(b"PUT operationalState"));
        rig.driver.sent(count);
        rig.driver.abandon(0);
        assert_eq!(rig.events(), events);
    }
}

/// A disconnect that asks nothing of the modem is known.
#[test]
fn a_deactivation_dropped_before_its_result_is_taken_is_unknown() {
    for (yes, events) in [(false, vec![]), (true, vec!["Unknown(\"disconnect\")"])] {
        let mut rig = Rig::with(Settings::new().deactivate(yes));
        rig.connect().unwrap();
        rig.driver.start(&Operation::Disconnect, rig.time()).unwrap();
        while rig.exchange(Some(&Operation::Disconnect)) || rig.advance(60_000) {}
        rig.driver.abandon(0);
        assert_eq!(rig.events(), events);
    }
}

#[test]
fn a_request_of_which_nothing_was_sent_leaves_nothing_behind() {
    let mut rig = connected();
    let publish = Publish::new("RAW", b"x").unwrap().qos(ACK);
    let operation = Operation::Publish(&publish);
    rig.idle(1_000);
    rig.driver.start(&operation, rig.time()).unwrap();
    let due = rig.driver.transmit(Some(&operation), rig.time()).unwrap();
    assert!(due.starts_with(b"PUT messageOriginate "));
    rig.driver.sent(0);
    rig.driver.abandon(0);
    assert_eq!(rig.events(), [""; 0]);
    assert!(rig.driver.is_idle());
    let lines = rig.modem.lines.len();
    assert_eq!(rig.publish("RAW", b"y", ACK), Ok(()));
    assert!(rig.modem.lines[lines].starts_with("PUT messageOriginate "));
}

#[test]
fn a_cancel_that_was_left_half_way_is_sent_again() {
    let mut rig = connected();
    rig.modem.status = None;
    let publish = Publish::new("RAW", b"x").unwrap().qos(ACK);
    let operation = Operation::Publish(&publish);
    rig.run_and_drop(&operation, 12, false);
    rig.driver.start(&operation, rig.time()).unwrap();
    let due = rig.driver.transmit(Some(&operation), rig.time()).unwrap();
    assert!(due.starts_with(b"PUT messageOriginateStatus "));
    rig.slice = 5;
    rig.exchange(Some(&operation));
    rig.driver.abandon(0);
    rig.idle(1_000);
    assert_eq!(rig.modem.count("PUT messageOriginateStatus {"), 1);
    assert!(rig.driver.is_idle());
}

#[test]
fn the_machine_is_idle_unless_something_is_to_be_cleared_up() {
    let mut rig = connected();
    rig.modem.status = Some(("mo_ack_received", 60_000));
    let publish = Publish::new("RAW", b"x").unwrap().qos(ACK);
    let operation = Operation::Publish(&publish);
    rig.driver.start(&operation, rig.time()).unwrap();
    let end = rig.now + 50_000;
    while rig.driver.outcome().is_none() {
        if !rig.exchange(Some(&operation)) && !rig.advance(end) {
            break;
        }
        assert!(!rig.driver.is_idle());
    }
    rig.idle(60_000);
    assert_eq!(rig.driver.outcome(), Some(Ok(())));
    // What is handed over is the modem's.
    rig.publish("RAW", b"x", ONCE).unwrap();
    assert!(rig.driver.is_idle());
}

#[test]
fn a_bring_up_may_be_dropped_anywhere_and_the_next_one_works() {
    for unsure in [false, true] {
        for exchanges in 0..120 {
            let mut rig = Rig::new();
            rig.slice = 11;
            let options = ConnectOptions::new("any", 1, "any").unwrap();
            let over = rig.run_and_drop(&Operation::Connect(&options), exchanges, unsure);
            if over {
                assert!(exchanges > 40, "{exchanges}");
                break;
            }
            assert_eq!(rig.driver.link(), LinkState::Idle);
            assert_eq!(rig.connect(), Ok(()), "{unsure} {exchanges}\n{:#?}", rig.modem.lines);
            assert_eq!(rig.publish("RAW", b"x", ACK), Ok(()), "{unsure} {exchanges}");
            assert_eq!(rig.events(), [""; 0]);
        }
    }
}

#[test]
fn a_new_transport_leaves_nothing_owed() {
    let mut rig = subscribed();
    rig.modem.status = None;
    rig.publish("RAW", b"x", ONCE).unwrap();
    rig.driver.receive(b"299 messageTerminate {\"topic_id\":244,\"message_id\":1,\"message_length_max\":9}\r299 mess", rig.time());
    rig.driver.opened();
    rig.modem.messages.values_mut().for_each(|message| message.ended = true);
    rig.modem.status = Some(("mo_ack_received", 10));
    rig.modem.deliver(244, 2, b"new", 100);
    assert_eq!(rig.publish("RAW", b"y", ACK), Ok(()));
    let expected = ["dropped 1 of 9 on RAW", "Unknown(\"publish\")", "RAW=new"];
    assert_eq!(rig.events(), expected);
}

#[test]
fn the_client_is_one_call_away() {
    let machine = jspr::machine::<2304, 512>(Settings::default());
    assert!(machine.is_idle());
}
