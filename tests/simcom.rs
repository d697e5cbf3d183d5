//! The SIMCom driver against the emulated modem, under virtual time.

mod common;

use common::{Heard, Simcom, answered, config, dialogue, framed, message, transmitted};
use hayes::{
    File, FileKind, Instant, Machine, Operation,
    mqtt::{
        Assurance, AuthType, Cause, Code, ConnectOptions, Credential, Error, Feature, Field,
        FieldError, LinkState, Loss, Network, Problem, Publish, QoS, Refusal, Registration,
        Subscription, Tls, TopicFilter, Will,
    },
};
use hayes_emulator::Quirk;
use hayes_emulator::simcom::{self as emulated, BootState, Family, Sim};
use hayes_simcom::{AuthOrder, Settings};

const FAMILIES: [Family; 3] = [Family::Sim7600, Family::A76xx, Family::Sim767xx];

fn connected(family: Family) -> Simcom {
    let mut rig = Simcom::new(config(family));
    rig.bring_up().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    rig
}

/// An empty message is one without CMQTTPAYLOAD (M18 3.5), so what an earlier
/// publish entered and did not publish would be its payload.
#[test]
fn an_empty_message_never_carries_the_payload_of_one_that_was_dropped() {
    for turns in 0..60 {
        let mut rig = Simcom::new(config(Family::A76xx));
        rig.bring_up().unwrap();
        rig.connect().unwrap();
        let publish = Publish::new("a", b"dropped").unwrap().qos(QoS::AtLeastOnce);
        let mut left: u32 = turns;
        rig.run_and_drop(&Operation::Publish(&publish), |_| {
            let stop = left == 0;
            left = left.saturating_sub(1);
            stop
        });
        let before = rig.broker.published().len();
        if rig.publish("b", b"", QoS::AtLeastOnce).is_ok() {
            let ours = rig.broker.published()[before..].iter().filter(|it| it.topic == b"b");
            assert!(ours.clone().all(|it| it.payload.is_empty()), "{turns}\n{}", rig.transcript());
        }
        rig.publish("b", b"x", QoS::AtLeastOnce).unwrap();
        rig.publish("b", b"", QoS::AtLeastOnce).unwrap();
        assert!(rig.broker.published().last().unwrap().payload.is_empty());
    }
}

#[test]
fn a_session_from_power_up_to_disconnect_with_each_family() {
    for family in FAMILIES {
        let mut rig = connected(family);
        rig.subscribe("device-7/cmd").unwrap();
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            rig.publish("device-7/temp", b"21.5", qos).unwrap();
        }
        rig.publish("device-7/empty", b"", QoS::AtMostOnce).unwrap();
        let payload = b"a\r\nOK\r\n> \"x\"\r\n+CMQTTRXEND: 0\r\n\0";
        rig.deliver("device-7/cmd", payload);
        assert_eq!(rig.events(), [message("device-7/cmd", payload)], "{}", rig.transcript());
        rig.unsubscribe("device-7/cmd").unwrap();
        rig.run(&hayes::Operation::Disconnect).unwrap();
        assert_eq!(rig.publish("a", b"b", QoS::AtMostOnce), Err(Error::NotConnected));
        let sent: Vec<_> = rig.broker.published().iter().map(|m| m.payload.clone()).collect();
        assert_eq!(sent, [b"21.5".as_slice(), b"21.5", b"21.5", b"", payload]);
    }
}

/// Publishes that may reach the broker from `payloads`, nothing else may.
fn assert_only(rig: &Simcom, payloads: &[&[u8]]) {
    for message in rig.broker.published() {
        assert!(
            payloads.contains(&message.payload.as_slice()),
            "published {}\n{}",
            message.payload.escape_ascii(),
            rig.transcript()
        );
    }
}

#[test]
fn a_publish_dropped_anywhere_is_never_a_wrong_message_and_the_next_one_succeeds() {
    for family in FAMILIES {
        for steps in 0.. {
            let mut rig = connected(family);
            let before = rig.wire.len();
            let first = hayes::mqtt::Publish::new("a/topic", b"first message").unwrap();
            let first = first.qos(QoS::AtLeastOnce);
            let mut count = 0;
            let mut finished = true;
            rig.start(&Operation::Publish(&first)).unwrap();
            'pump: loop {
                // One piece at a time, so that every place to drop is met.
                let now = hayes::Instant::from_millis(rig.now);
                while let Some(bytes) = rig.driver.transmit(Some(&Operation::Publish(&first)), now)
                {
                    if count == steps {
                        finished = false;
                        break 'pump;
                    }
                    count += 1;
                    let byte = bytes[..1].to_vec();
                    rig.driver.sent(1);
                    rig.host.extend_from_slice(&byte);
                    rig.wire.push((true, byte.clone()));
                    rig.modem.receive(rig.now, &byte);
                }
                if rig.driver.outcome().is_some() {
                    break;
                }
                if !rig.exchange(None) {
                    rig.advance();
                }
            }
            rig.driver.abandon(0);
            rig.publish("a/topic", b"second", QoS::AtLeastOnce)
                .unwrap_or_else(|e| panic!("{family:?} {steps}: {e}\n{}", rig.transcript()));
            assert_only(&rig, &[b"first message", b"second"]);
            let events = rig.events();
            let unknown = events.contains(&Heard::Other("Unknown(\"publish\")".into()));
            assert_eq!(unknown, !finished && count > 0, "{family:?} {steps} {events:?}");
            assert!(rig.wire.len() > before);
            if finished {
                break;
            }
        }
    }
}

#[test]
fn the_size_of_the_reads_changes_nothing() {
    let run = |chunk| {
        let mut rig = Simcom::new(config(Family::Sim7600));
        rig.chunk = chunk;
        rig.bring_up().unwrap();
        rig.connect().unwrap();
        rig.subscribe("#").unwrap();
        for payload in [b"\r\nOK\r\n".as_slice(), b"> ", b"\0\x1a\x1b", &[b'x'; 3000]] {
            rig.deliver("t/\u{fc}", payload);
        }
        rig.modem.lose(rig.now, 0, 1);
        rig.idle(10_000);
        (rig.events(), rig.host)
    };
    let whole = run(usize::MAX);
    assert_eq!(whole.0.len(), 5);
    for chunk in [1, 2, 3, 7, 16, 64] {
        assert_eq!(run(chunk), whole, "{chunk}");
    }
}

#[test]
fn an_answer_that_comes_after_its_time_is_not_credited_to_the_next_command() {
    let mut rig = connected(Family::A76xx);
    rig.broker.hold();
    let result = rig.publish("t", b"late", QoS::AtLeastOnce);
    assert!(matches!(result, Err(Error::Refused(_) | Error::NoResult(_))), "{result:?}");
    rig.broker.resume();
    let result = rig.publish("t", b"next", QoS::AtLeastOnce);
    let reached = rig.broker.published().iter().any(|m| m.payload == b"next");
    assert_eq!(result.is_ok(), reached, "{result:?}\n{}", rig.transcript());
}

#[test]
fn a_pulled_cable_is_found_out_in_time_and_survived() {
    let mut rig = connected(Family::Sim7600);
    rig.plugged = false;
    let before = rig.now;
    let result = rig.publish("t", b"nobody hears", QoS::AtLeastOnce);
    assert_eq!(result, Err(Error::Unresponsive));
    assert!(rig.now - before <= 45_000, "{}", rig.now - before);
    rig.plugged = true;
    rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    rig.publish("t", b"heard", QoS::AtLeastOnce).unwrap();
    assert_only(&rig, &[b"heard"]);
}

#[test]
fn a_modem_that_restarts_fails_the_operation_at_once_and_a_connect_repairs_it() {
    let mut rig = connected(Family::A76xx);
    rig.broker.hold();
    let publish = hayes::mqtt::Publish::new("t", b"x").unwrap().qos(QoS::AtLeastOnce);
    rig.start(&Operation::Publish(&publish)).unwrap();
    while rig.exchange(Some(&Operation::Publish(&publish))) {}
    rig.modem.reboot(rig.now);
    let mut outcome = None;
    while outcome.is_none() {
        while rig.exchange(Some(&Operation::Publish(&publish))) {}
        outcome = rig.driver.outcome();
        rig.advance();
    }
    assert_eq!(outcome, Some(Err(Error::Restarted)));
    assert!(rig.events().contains(&Heard::Other("Restarted".into())));
    rig.broker.resume();
    rig.bring_up().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    rig.publish("t", b"again", QoS::AtLeastOnce).unwrap();
}

#[test]
fn a_host_that_restarts_finds_the_service_running_and_connects_anew() {
    for family in FAMILIES {
        let old = connected(family);
        let mut rig = Simcom::new(config(family));
        rig.modem = old.modem;
        rig.broker = old.broker;
        rig.now = old.now;
        rig.connect().unwrap_or_else(|e| panic!("{family:?} {e}\n{}", rig.transcript()));
        rig.publish("t", b"x", QoS::AtLeastOnce).unwrap();
    }
}

#[test]
fn a_host_that_restarts_inside_a_data_phase_fills_it_up() {
    let mut rig = connected(Family::Sim7600);
    rig.modem.receive(rig.now, b"AT+CMQTTTOPIC=0,1000\r");
    rig.modem.transmit(rig.now);
    rig.driver = hayes_simcom::machine(hayes_simcom::Settings::new());
    rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    rig.publish("t", b"x", QoS::AtLeastOnce).unwrap();
    assert_only(&rig, &[b"x"]);
}

#[test]
fn each_loss_is_one_event_with_its_cause() {
    let lost = |loss: &str| Heard::Other(format!("Lost {{ session: 0, loss: {loss} }}"));
    let mut rig = connected(Family::Sim7600);
    rig.modem.lose(rig.now, 0, 2);
    rig.idle(10);
    assert_eq!(rig.events(), [lost("Closed(Some(2))")]);
    let loss = Loss::Closed(Some(2));
    assert_eq!(rig.publish("t", b"x", QoS::AtMostOnce), Err(Error::Lost(loss)));
    let before = rig.wire.len();
    rig.connect().unwrap();
    let starts = rig.wire[before..].iter().filter(|w| w.1.starts_with(b"AT+CMQTTSTART")).count();
    assert_eq!(starts, 0, "after CONNLOST only CONNECT is needed again");

    rig.modem.ping_failed(rig.now, 0, 17);
    rig.idle(10);
    assert_eq!(rig.events(), [lost("KeepAlive(Some(17))")]);

    rig.connect().unwrap();
    rig.modem.urc(rig.now, "+CMQTTNONET");
    rig.idle(10);
    assert_eq!(rig.events(), [lost("Network")]);

    rig.modem.urc(rig.now, "+CGEV: ME PDN DEACT 1");
    rig.modem.urc(rig.now, "+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY");
    rig.idle(10);
    let network = Heard::Other("NetworkLost".into());
    assert_eq!(rig.events(), [network.clone(), network]);
}

#[test]
fn a_refusal_keeps_the_code_and_its_name() {
    for (code, name, cause) in [
        (3, "socket connect failed", Cause::Unreachable),
        (25, "DNS error", Cause::Dns),
        (30, "refused: user name or password", Cause::Credentials),
        (34, "TLS session failed to open", Cause::Tls),
        (99, "not in the manual", Cause::Unknown),
    ] {
        for family in FAMILIES {
            let mut rig = Simcom::new(config(family));
            rig.bring_up().unwrap();
            rig.broker.fail_next(code);
            let code = Code::Vendor(code.into());
            let refusal = Refusal { command: "+CMQTTCONNECT", code, name, cause };
            assert_eq!(rig.connect(), Err(Error::Refused(refusal)), "{}", rig.transcript());
            rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
        }
    }
}

#[test]
fn what_the_modem_cannot_take_is_refused_before_a_byte_goes_out() {
    let mut rig = connected(Family::Sim767xx);
    let sent = rig.host.len();
    let too_long = |field, max, actual| {
        Err(Error::Field(FieldError { field, problem: Problem::TooLong { max, actual } }))
    };
    let payload = rig.publish("t", &[0; 4097], QoS::AtMostOnce);
    assert_eq!(payload, too_long(Field::Payload, 4096, 4097));
    let topic = rig.publish(&"t".repeat(1025), b"", QoS::AtMostOnce);
    assert_eq!(topic, too_long(Field::Topic, 1024, 1025));
    let filter = rig.subscribe(&"f".repeat(1025));
    assert_eq!(filter, too_long(Field::TopicFilter, 1024, 1025));

    let options = |id| ConnectOptions::new("broker.example", 1883, id).unwrap();
    let mut connect = |options: &ConnectOptions<'_>| rig.run(&Operation::Connect(options));
    let id = "i".repeat(129);
    assert_eq!(connect(&options(&id)), too_long(Field::ClientId, 128, 129));
    let empty = Err(Error::Field(FieldError { field: Field::ClientId, problem: Problem::Empty }));
    assert_eq!(connect(&options("")), empty);
    let long = "u".repeat(257);
    let user = options("i").credentials(&long, None).unwrap();
    assert_eq!(connect(&user), too_long(Field::User, 256, 257));
    let retained = options("i").last_will(Will::new("w", b"x").unwrap().retain(true));
    assert_eq!(connect(&retained), Err(Error::Unsupported(Feature::WillRetain)));
    let keep_alive = options("i").keep_alive(65_000);
    assert_eq!(connect(&keep_alive), too_long(Field::KeepAlive, 64_800, 65_000));
    let will = options("i").last_will(Will::new("w", &[0; 1025]).unwrap());
    assert_eq!(connect(&will), too_long(Field::WillPayload, 1024, 1025));
    assert_eq!(
        rig.run(&Operation::Subscribe(&[])).map_err(|e| e.to_string()),
        Err("number of filters is empty".into())
    );
    assert_eq!(rig.host.len(), sent);
}

#[test]
fn a_command_line_longer_than_the_modems_buffer_is_refused_before_a_byte_goes_out() {
    let mut rig = connected(Family::Sim7600);
    let sent = rig.host.len();
    let (user, password) = ("u".repeat(256), "p".repeat(256));
    let host = "h".repeat(100);
    let options = ConnectOptions::new(&host, 1883, "i").unwrap();
    let options = options.credentials(&user, Some(&password)).unwrap();
    let result = rig.run(&Operation::Connect(&options));
    let Err(Error::Field(FieldError { field: Field::CommandLine, .. })) = result else {
        panic!("{result:?}")
    };
    assert_eq!(rig.host.len(), sent);
}

#[test]
fn several_filters_go_out_in_one_subscribe_where_the_modem_can() {
    for family in FAMILIES {
        let mut rig = connected(family);
        let filters = ["a/#", "b/+", "c"].map(|f| Subscription::new(f, QoS::AtMostOnce).unwrap());
        rig.run(&Operation::Subscribe(&filters)).unwrap();
        for topic in ["a/1", "b/2", "c", "d"] {
            rig.deliver(topic, b"x");
        }
        let expected = ["a/1", "b/2", "c"].map(|topic| message(topic, b"x"));
        assert_eq!(rig.events(), expected, "{family:?}\n{}", rig.transcript());
        let two_steps = rig.host.windows(9).filter(|w| w == b"SUBTOPIC=").count();
        // The last one is the question whether it exists.
        assert_eq!(two_steps, if family == Family::Sim767xx { 1 } else { 4 });
        let filters = ["a/#", "b/+"].map(|f| TopicFilter::new(f).unwrap());
        rig.run(&Operation::Unsubscribe(&filters)).unwrap();
        rig.deliver("a/1", b"y");
        rig.deliver("c", b"y");
        assert_eq!(rig.events(), [message("c", b"y")]);
    }
}

#[test]
fn both_sessions_work_side_by_side() {
    let mut rig = connected(Family::A76xx);
    rig.subscribe("first").unwrap();
    rig.driver.select(1).unwrap();
    assert_eq!(rig.publish("t", b"x", QoS::AtMostOnce), Err(Error::NotConnected));
    assert_eq!(rig.driver.status().link, LinkState::Idle);
    let options = ConnectOptions::new("other.example", 1883, "device-8").unwrap();
    rig.run(&Operation::Connect(&options)).unwrap();
    assert_eq!(rig.driver.status().link, LinkState::Connected);
    rig.subscribe("second").unwrap();
    rig.publish("first", b"from 1", QoS::AtLeastOnce).unwrap();
    rig.driver.select(0).unwrap();
    rig.publish("second", b"from 0", QoS::AtLeastOnce).unwrap();
    rig.idle(1000);
    let heard = |session, topic: &str, payload: &[u8]| {
        Heard::Message(session, topic.into(), payload.to_vec())
    };
    assert_eq!(rig.events(), [heard(0, "first", b"from 1"), heard(1, "second", b"from 0")]);
    let stops = |rig: &Simcom| rig.host.windows(12).filter(|w| w == b"AT+CMQTTSTOP").count();
    rig.run(&Operation::Disconnect).unwrap();
    assert_eq!(stops(&rig), 0, "the other session needs the service");
    rig.driver.select(1).unwrap();
    rig.publish("t", b"still", QoS::AtLeastOnce).unwrap();
    rig.run(&Operation::Disconnect).unwrap();
    assert_eq!(stops(&rig), 1, "{}", rig.transcript());
}

/// Answers of an A7670E that is up and free (tests/captures/simcom).
const UP: [(&str, &str); 11] = [
    ("AT+CMEE?", "+CMEE: 1|OK"),
    ("AT+CGMM", "A7670E-FASE|OK"),
    ("AT+CPIN?", "+CPIN: READY|OK"),
    ("AT+CREG?", "+CREG: 0,1|OK"),
    ("AT+CGACT?", "+CGACT: 1,1|OK"),
    ("AT+CMQTTDISC?", "+CMQTTDISC: 0,1|+CMQTTDISC: 1,1|OK"),
    ("AT+CMQTTDISC=", "OK|+CMQTTDISC: 0,0"),
    ("AT+CMQTTREL", "+CMQTTREL: 0,0|OK"),
    ("AT+CMQTTSTART", "OK|+CMQTTSTART: 0"),
    ("AT+CMQTTSTOP", "OK|+CMQTTSTOP: 0"),
    ("AT+CMQTTCONNECT=0", "OK|+CMQTTCONNECT: 0,0"),
];

/// The rows first, then those of [`UP`].
fn table(rows: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [rows, &UP].concat()
}

fn count(lines: &[String], start: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(start)).count()
}

#[test]
fn bring_up_sets_only_what_is_asked_for_and_missing() {
    let network = Network::new();
    let with_apn = network.apn("iot").unwrap();
    let with_pin = network.pin("4711").unwrap();
    let user = with_apn.credentials(AuthType::Pap, "u", "p").unwrap();
    let written: [(&str, &'static str, &'static str); 2] = [
        ("AT+CGDCONT=", "AT+CGDCONT?", "+CGDCONT: 1,\"IP\",\"iot\",\"0.0.0.0\",0,0|OK"),
        ("AT+CGACT=1,1", "AT+CGACT?", "+CGACT: 1,0|OK"),
    ];
    for order in [None, Some(AuthOrder::UserFirst), Some(AuthOrder::PasswordFirst)] {
        let settings = order.map_or(Settings::new(), |order| Settings::new().auth_order(order));
        let run = |network: &Network<'_>, rows: &[(&'static str, &'static str)]| {
            let mut driver = hayes_simcom::machine::<128, 512>(settings);
            answered(&mut driver, &Operation::BringUp(network), &table(rows))
        };
        let (lines, outcome) = run(&network, &[]);
        assert_eq!(outcome, Ok(()));
        for start in ["AT+CGDCONT=", "AT+CGAUTH", "AT+CFUN", "AT+CPIN=", "AT+CGACT=1,1"] {
            assert_eq!(count(&lines, start), 0, "{start} {lines:?}");
        }
        let [(set, asked, answer), (activate, state, inactive)] = written;
        assert_eq!(count(&run(&network, &[(state, inactive)]).0, activate), 1);
        assert_eq!(count(&run(&with_apn, &[]).0, set), 1);
        assert_eq!(count(&run(&with_apn, &[(asked, answer)]).0, set), 0);
        if order.is_some() {
            assert_ne!(count(&run(&user, &[]).0, "AT+CGAUTH=1,1,"), 0);
        }
        // Three wrong PINs lock a SIM, so none goes out that nobody gave.
        let locked = ("AT+CPIN?", "+CPIN: SIM PIN|OK");
        let (lines, outcome) = run(&network, &[locked]);
        assert_eq!((count(&lines, "AT+CPIN="), outcome), (0, Err(Error::Pin("its PIN"))));
        let (lines, outcome) = run(&with_pin, &[locked, ("AT+CPIN=", "+CME ERROR: 16")]);
        assert_eq!((count(&lines, "AT+CPIN="), outcome), (1, Err(Error::Pin("its PIN"))));
    }
}

/// What an earlier life of the host left (A300 and A109: CMQTTDISC?, 0 is
/// connected) is torn down, and what is known is not asked again.
#[test]
fn a_connect_tears_down_what_is_left_and_nothing_else() {
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let connect = Operation::Connect(&options);
    for (state, disconnects, releases) in [
        ("+CMQTTDISC: 0,1|+CMQTTDISC: 1,1|OK", 0, 1),
        ("+CMQTTDISC: 0,0|+CMQTTDISC: 1,1|OK", 1, 1),
        ("+CMQTTDISC: 0,1|+CMQTTDISC: 1,0|OK", 0, 1),
        ("ERROR", 0, 0),
    ] {
        let table = table(&[("AT+CMQTTDISC?", state)]);
        let mut driver = hayes_simcom::machine::<128, 512>(Settings::new());
        let (lines, outcome) = answered(&mut driver, &connect, &table);
        assert_eq!(outcome, Ok(()), "{lines:?}");
        let counts = (count(&lines, "AT+CMQTTDISC=0"), count(&lines, "AT+CMQTTREL=0"));
        assert_eq!(counts, (disconnects, releases), "{state}");
        let firsts = ["AT+CGMM", "AT+CMQTTDISC?", "AT+CMQTTSTART", "AT+CMQTTACCQ=?"];
        assert_eq!(firsts.map(|start| count(&lines, start)), [1; 4], "{lines:?}");
        assert_eq!((count(&lines, "AT+CMQTTSTOP"), count(&lines, "AT+CSSLCFG")), (0, 0));
        let (lines, _) = answered(&mut driver, &Operation::Disconnect, &table);
        let ends = ["AT+CMQTTDISC=0", "AT+CMQTTREL=0", "AT+CMQTTSTOP"];
        assert_eq!(ends.map(|start| count(&lines, start)), [1; 3], "{lines:?}");
        let (lines, outcome) = answered(&mut driver, &connect, &table);
        assert_eq!(outcome, Ok(()), "{lines:?}");
        assert_eq!(firsts.map(|start| count(&lines, start)), [0, 0, 1, 0], "{lines:?}");
        assert_eq!((count(&lines, ends[0]), count(&lines, ends[1])), (0, 0), "{lines:?}");
    }
}

/// 19: client is used (A300 16.3). It is released once; a service that is not
/// as was thought is looked at again, once.
#[test]
fn a_client_that_cannot_be_acquired_is_tried_once_more_and_never_again() {
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    for (answer, releases, asks, code, cause) in [
        ("+CMQTTACCQ: 0,19|ERROR", 2, 1, Code::Vendor(19), Cause::Busy),
        ("+CMQTTACCQ: 0,7|ERROR", 2, 2, Code::Vendor(7), Cause::ServiceDown),
        ("ERROR", 2, 2, Code::None, Cause::ServiceDown),
    ] {
        let mut driver = hayes_simcom::machine::<128, 512>(Settings::new());
        let table = table(&[("AT+CMQTTACCQ=0", answer)]);
        let (lines, outcome) = answered(&mut driver, &Operation::Connect(&options), &table);
        let Err(Error::Refused(refusal)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((refusal.command, refusal.code, refusal.cause), ("+CMQTTACCQ", code, cause));
        let starts = ["AT+CMQTTACCQ=0", "AT+CMQTTREL=0", "AT+CMQTTDISC?"];
        assert_eq!(starts.map(|start| count(&lines, start)), [2, releases, asks], "{lines:?}");
    }
}

#[test]
fn each_of_several_filters_is_unsubscribed_from() {
    let mut rig = connected(Family::Sim7600);
    rig.subscribe("a").unwrap();
    rig.subscribe("b").unwrap();
    let gone = ["a", "b"].map(|filter| TopicFilter::new(filter).unwrap());
    rig.run(&Operation::Unsubscribe(&gone)).unwrap();
    rig.deliver("a", b"x");
    rig.deliver("b", b"x");
    assert_eq!(rig.events(), [], "{}", rig.transcript());
}

#[test]
fn a_message_larger_than_the_inbox_is_announced_and_the_stream_stays_in_step() {
    let mut rig = connected(Family::Sim7600);
    rig.subscribe("#").unwrap();
    for _ in 0..3 {
        rig.deliver("big", &[b'\r'; 10_240]);
    }
    rig.deliver("small", b"x");
    let events = rig.events();
    let total: usize =
        events.iter().filter(|e| matches!(e, Heard::Message(_, t, _) if t == "big")).count();
    assert_eq!(total, 1);
    assert!(
        events.iter().any(|e| matches!(e, Heard::Other(o) if o.contains("count: 2, bytes: 20480"))),
        "{events:?}"
    );
    assert!(events.contains(&message("small", b"x")), "{events:?}");
}

#[test]
fn bring_up_waits_for_the_sim_and_unlocks_it() {
    let mut config = config(Family::A76xx);
    config.boot = BootState::ColdBoot;
    config.sim_busy_asks = 4;
    config.sim = Sim::Pin("4711".into());
    let mut rig = Simcom::new(config.clone());
    assert_eq!(rig.bring_up(), Err(Error::Pin("its PIN")));
    let network = Network::new().pin("4711").unwrap();
    rig.run(&Operation::BringUp(&network)).unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    rig.connect().unwrap();

    let mut rig = Simcom::new(config);
    let network = Network::new().pin("0000").unwrap();
    let result = rig.run(&Operation::BringUp(&network));
    assert!(matches!(result, Err(Error::Pin(_) | Error::Refused(_))), "{result:?}");
    let tries = rig.host.windows(9).filter(|w| w == b"AT+CPIN=\"").count();
    assert_eq!(tries, 1, "three wrong tries lock a SIM");
}

#[test]
fn bring_up_says_why_there_is_no_network() {
    let mut config = config(Family::Sim7600);
    config.registration = emulated::Registration::Denied;
    let mut rig = Simcom::with(config, Settings::new().bring_up_timeout(60));
    assert_eq!(rig.bring_up(), Err(Error::NotRegistered(Registration::Denied)));
    assert!((55_000..65_000).contains(&rig.now), "{}", rig.now);
}

#[test]
fn an_access_point_is_written_only_if_it_differs() {
    let mut rig = Simcom::new(config(Family::A76xx));
    let network = Network::new().apn("iot.example").unwrap();
    rig.run(&Operation::BringUp(&network)).unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    let written = |rig: &Simcom| rig.host.windows(12).filter(|w| w == b"AT+CGDCONT=1").count();
    assert_eq!(written(&rig), 1);
    rig.run(&Operation::BringUp(&network)).unwrap();
    assert_eq!(written(&rig), 1);
}

#[test]
fn the_order_of_an_access_points_credentials_must_be_chosen() {
    let network = Network::new().apn("iot.example").unwrap();
    let network = network.credentials(AuthType::Pap, "user", "secret").unwrap();
    let operation = Operation::BringUp(&network);
    let mut rig = Simcom::new(config(Family::A76xx));
    assert_eq!(rig.run(&operation), Err(Error::Unsupported(Feature::Setting("AuthOrder"))));
    assert!(rig.host.is_empty());
    for (order, line) in [
        (AuthOrder::UserFirst, "AT+CGAUTH=1,1,\"user\",\"secret\"\r"),
        (AuthOrder::PasswordFirst, "AT+CGAUTH=1,1,\"secret\",\"user\"\r"),
    ] {
        let mut config = config(Family::A76xx);
        config.delays.registration = 5_000;
        let mut rig = Simcom::with(config, Settings::new().auth_order(order));
        rig.run(&operation).unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
        let host = String::from_utf8_lossy(&rig.host);
        assert!(host.contains(line));
        assert_eq!(host.matches("AT+CGAUTH").count(), 1, "{host}");
        assert!(host.matches("AT+CREG?").count() > 1, "it has to wait for the network: {host}");
    }
}

/// The modem does not tell them, and a new access point needs them before the
/// next attachment.
#[test]
fn an_access_points_credentials_are_written_though_it_is_the_same_and_before_the_attachment() {
    let network = Network::new().apn("iot.example").unwrap();
    let network = network.credentials(AuthType::Pap, "user", "secret").unwrap();
    let there = [("AT+CGDCONT?", "+CGDCONT: 1,\"IP\",\"iot.example\"|OK")];
    let expected = [
        (&[][..], &["AT+CGDCONT=", "AT+CGAUTH=", "AT+CFUN=4", "AT+CFUN=1"][..]),
        (&there, &["AT+CGAUTH="]),
    ];
    for (rows, written) in expected {
        let mut driver =
            hayes_simcom::machine::<128, 512>(Settings::new().auth_order(AuthOrder::UserFirst));
        let (mut lines, outcome) =
            answered(&mut driver, &Operation::BringUp(&network), &table(rows));
        assert_eq!(outcome, Ok(()), "{lines:?}");
        let sets = ["AT+CGDCONT=", "AT+CGAUTH=", "AT+CFUN="];
        lines.retain(|line| sets.iter().any(|set| line.starts_with(set)));
        assert_eq!(lines.len(), written.len(), "{lines:?}");
        assert!(lines.iter().zip(written).all(|(line, set)| line.starts_with(set)), "{lines:?}");
    }
}

#[test]
fn nothing_answers_and_bring_up_says_so_within_its_time() {
    let mut rig = Simcom::with(config(Family::A76xx), Settings::new().bring_up_timeout(30));
    rig.plugged = false;
    assert_eq!(rig.bring_up(), Err(Error::Unresponsive));
    assert!(rig.now <= 32_000, "{}", rig.now);
}

#[test]
fn an_operation_dropped_while_it_waits_leaves_the_modem_usable() {
    let publish = Publish::new("a/topic", b"first message").unwrap().qos(QoS::AtLeastOnce);
    let filters = [Subscription::new("x/#", QoS::AtLeastOnce).unwrap()];
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let operations = [
        Operation::Publish(&publish),
        Operation::Subscribe(&filters),
        Operation::Connect(&options),
        Operation::Disconnect,
        Operation::Status,
    ];
    for (family, operation) in FAMILIES.into_iter().flat_map(|f| operations.map(|o| (f, o))) {
        for turns in 0..120 {
            let mut rig = connected(family);
            let mut left: u32 = turns;
            rig.run_and_drop(&operation, |_| {
                let stop = left == 0;
                left = left.saturating_sub(1);
                stop
            });
            rig.connect().unwrap_or_else(|e| {
                panic!("{family:?} {:?} {turns}: {e}\n{}", operation.verb(), rig.transcript())
            });
            rig.publish("a/topic", b"second", QoS::AtLeastOnce).unwrap();
            assert_only(&rig, &[b"first message", b"second"]);
        }
    }
}

#[test]
fn certificates_are_stored_once_and_every_setting_is_checked() {
    let pem = [&b"-----BEGIN CERTIFICATE-----\n"[..], &[b'A'; 4_000], b"\n"].concat();
    let tls = Tls::with_ca(Credential::Pem(&pem)).client(
        Credential::Pem(b"-----BEGIN CERTIFICATE-----\nB\n"),
        Credential::Pem(b"-----BEGIN PRIVATE KEY-----\nC\n"),
    );
    let options = ConnectOptions::new("broker.example", 8883, "device-7").unwrap().tls(tls);
    for family in FAMILIES {
        let mut rig = Simcom::new(config(family));
        for _ in 0..2 {
            for (kind, content) in
                [(FileKind::Ca, &pem[..]), (FileKind::Cert, b"B"), (FileKind::Key, b"C")]
            {
                let file = File { kind, content: Credential::Pem(content) };
                rig.run(&Operation::Store(&file))
                    .unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
            }
        }
        let host = String::from_utf8_lossy(&rig.host).into_owned();
        assert_eq!(host.matches("AT+CCERTDOWN=").count(), 3);
        for (kind, content) in [
            (FileKind::Cert, &b"-----BEGIN CERTIFICATE-----\nB\n"[..]),
            (FileKind::Key, b"-----BEGIN PRIVATE KEY-----\nC\n"),
        ] {
            rig.run(&Operation::Store(&File { kind, content: Credential::Pem(content) })).unwrap();
        }
        rig.run(&Operation::Connect(&options))
            .unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
        let host = String::from_utf8_lossy(&rig.host).into_owned();
        for line in [
            "AT+CSSLCFG=\"sslversion\",0,3\r",
            "AT+CSSLCFG=\"authmode\",0,2\r",
            "AT+CSSLCFG=\"ignorelocaltime\",0,1\r",
            "AT+CSSLCFG=\"enableSNI\",0,1\r",
            "AT+CMQTTSSLCFG=0,0\r",
        ] {
            assert!(host.contains(line), "{line}");
        }
        assert!(host.contains("\"tcp://broker.example:8883\""));
    }
}

#[test]
fn an_old_firmware_that_refuses_a_tls_setting_is_named_and_never_downgraded() {
    let mut config = config(Family::Sim7600);
    config.quirks.insert(Quirk::NoSslversion);
    let mut rig = Simcom::new(config);
    let options = ConnectOptions::new("broker.example", 8883, "device-7").unwrap();
    let options = options.tls(Tls::insecure());
    let result = rig.run(&Operation::Connect(&options));
    assert_eq!(result, Err(Error::Unsupported(Feature::Setting("sslversion"))));
    assert!(rig.broker.connects().is_empty());
}

#[test]
fn a_restart_that_nobody_heard_is_found_out() {
    for family in FAMILIES {
        let mut rig = connected(family);
        rig.plugged = false;
        rig.modem.reboot(rig.now);
        rig.idle(60_000);
        rig.plugged = true;
        let first = rig.publish("t", b"x", QoS::AtLeastOnce);
        assert!(first.is_err());
        let second = rig.publish("t", b"y", QoS::AtLeastOnce);
        let lost = Err(Error::Lost(Loss::Restart));
        assert!(first == lost || second == lost, "{first:?} {second:?}\n{}", rig.transcript());
        assert!(rig.events().contains(&Heard::Other("Restarted".into())));
        rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
        rig.publish("t", b"z", QoS::AtLeastOnce).unwrap();
    }
}

#[test]
fn secrets_are_in_no_debug_and_are_never_asked_back() {
    let options = ConnectOptions::new("broker.example", 8883, "device-7").unwrap();
    let options = options.credentials("user", Some("s3cret")).unwrap();
    let key = Credential::Pem(b"-----BEGIN PRIVATE KEY-----\ns3cret\n");
    let options = options.tls(Tls::insecure().client(Credential::Stored("cert.pem"), key));
    let network = Network::new().pin("4711").unwrap();
    let mut rig = Simcom::new(config(Family::A76xx));
    let mut shown = String::new();
    for operation in [Operation::BringUp(&network), Operation::Connect(&options)] {
        let result = rig.run(&operation);
        shown += &format!("{operation:?} {result:?} {:?}", rig.driver);
    }
    assert!(!shown.contains("s3cret") && !shown.contains("4711"), "{shown}");
    // Its read form prints the password in clear.
    let host = String::from_utf8_lossy(&rig.host);
    assert!(!host.contains("AT+CMQTTCONNECT?"));
}

#[test]
fn a_certificate_whose_upload_was_cut_short_is_stored_again() {
    let pem = [b'A'; 500];
    let file = File { kind: FileKind::Ca, content: Credential::Pem(&pem) };
    let uploads =
        |rig: &Simcom| String::from_utf8_lossy(&rig.host).matches("AT+CCERTDOWN=").count();
    // The future is dropped inside the upload.
    let mut rig = connected(Family::A76xx);
    rig.run_and_drop(&Operation::Store(&file), |rig| rig.host.ends_with(b",500\r"));
    rig.run(&Operation::Store(&file)).unwrap();
    rig.run(&Operation::Store(&file)).unwrap();
    assert_eq!(uploads(&rig), 2, "{}", rig.transcript());

    // The host restarts inside the upload.
    let host = String::from_utf8_lossy(&rig.host).into_owned();
    let name = host.split("AT+CCERTDOWN=\"").nth(1).and_then(|rest| rest.split('"').next());
    let name = name.expect("a name");
    let mut rig = connected(Family::A76xx);
    rig.modem.receive(rig.now, format!("AT+CCERTDOWN=\"{name}\",500\r").as_bytes());
    rig.modem.transmit(rig.now);
    rig.driver = hayes_simcom::machine(Settings::new());
    rig.run(&Operation::Store(&file)).unwrap();
    rig.run(&Operation::Store(&file)).unwrap();
    assert_eq!(uploads(&rig), 1);
}

#[test]
fn an_ok_too_many_after_a_failure_is_not_the_next_commands() {
    let mut rig = connected(Family::Sim7600);
    rig.broker.fail_next(6);
    let failed = rig.subscribe("forbidden");
    assert!(failed.is_err());
    rig.modem.urc(rig.now, "OK");
    let sent = rig.host.len();
    let _ = rig.publish("t", b"x", QoS::AtLeastOnce);
    rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    let next = String::from_utf8_lossy(&rig.host[sent..]).into_owned();
    assert!(next.starts_with("AT+CMEE?\r"), "{next}");
}

#[test]
fn a_line_too_long_to_be_read_is_announced_once_and_the_stream_stays_in_step() {
    for chunk in [1, 7, 64, usize::MAX] {
        let mut rig = connected(Family::A76xx);
        rig.chunk = chunk;
        rig.subscribe("#").unwrap();
        assert_eq!(rig.driver.overflows(), 0);
        rig.modem.urc(rig.now, &format!("+MSTK: 11,\"{}\"", "D0".repeat(400)));
        rig.deliver("t", b"next");
        let missed = Heard::Other("Missed(1)".into());
        assert_eq!(rig.events(), [missed, message("t", b"next")], "{chunk}");
        assert_eq!(rig.driver.overflows(), 1);
    }
}

#[test]
fn a_question_without_an_answer_is_told_as_such() {
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let (up, connect) = (Operation::BringUp(&Network::new()), Operation::Connect(&options));
    for (operation, line, name) in
        [(&up, "AT+CEREG?", "+CEREG"), (&connect, "AT+CMQTTDISC?", "+CMQTTDISC")]
    {
        let mut driver = hayes_simcom::machine::<128, 512>(Settings::new());
        let (lines, outcome) = answered(&mut driver, operation, &table(&[(line, "")]));
        assert_eq!(outcome, Err(Error::NoResult(name)), "{lines:?}");
    }
}

/// Both orders of `OK` and the result line were seen, and `ERROR` with the code
/// behind it or without one (A300 16.2, per command).
#[test]
fn an_answer_of_two_halves_is_read_in_either_order() {
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let refused = |code| {
        let (name, cause) = match code {
            Code::Vendor(_) => ("refused: user name or password", Cause::Credentials),
            Code::Cme(_) => ("see 3GPP TS 27.007, 9.2", Cause::Unknown),
            _ => ("no reason given", Cause::Unknown),
        };
        Err(Error::Refused(Refusal { command: "+CMQTTCONNECT", code, name, cause }))
    };
    let silence = Err(Error::NoResult("+CMQTTCONNECT"));
    for (answer, outcome, within_ms) in [
        ("OK|+CMQTTCONNECT: 0,0", Ok(()), 0),
        ("+CMQTTCONNECT: 0,0|OK", Ok(()), 0),
        ("OK|+CMQTTCONNECT: 0,30", refused(Code::Vendor(30)), 0),
        ("+CMQTTCONNECT: 0,30|ERROR", refused(Code::Vendor(30)), 300),
        ("ERROR|+CMQTTCONNECT: 0,30", refused(Code::Vendor(30)), 300),
        ("+CMQTTCONNECT: 0,30", refused(Code::Vendor(30)), 300),
        ("ERROR", refused(Code::None), 300),
        ("+CME ERROR: 3", refused(Code::Cme(3)), 0),
        ("OK", silence, 131_000),
        ("+CMQTTCONNECT: 0,0", silence, 131_000),
    ] {
        let mut driver = hayes_simcom::machine::<128, 512>(Settings::new());
        let (operation, mut now) = (Operation::Connect(&options), 0);
        driver.start(&operation, hayes::Instant::from_millis(now)).unwrap();
        let table = table(&[("AT+CMQTTCONNECT=0", answer)]);
        let (lines, found) = dialogue(&mut driver, &operation, &table, &mut now);
        assert_eq!(found, Some(outcome), "{answer} {lines:?}");
        assert!(now <= within_ms, "{answer} {now}");
    }
}

/// A109, CCERTDOWN: at most 3,072 bytes at once.
#[test]
fn a_file_goes_out_in_slices_with_a_pause_between_them() {
    let content = vec![b'x'; 7_000];
    let file = File { kind: FileKind::Ca, content: Credential::Pem(&content) };
    let (operation, mut now) = (Operation::Store(&file), 0);
    let mut driver = hayes_simcom::machine::<128, 512>(Settings::new());
    driver.start(&operation, hayes::Instant::from_millis(now)).unwrap();
    let table = table(&[("AT+CCERTDOWN", ">")]);
    let (_, outcome) = dialogue(&mut driver, &operation, &table, &mut now);
    assert_eq!(outcome, None);
    let mut slices = Vec::new();
    while slices.len() < 3 {
        let time = hayes::Instant::from_millis(now);
        let mut slice = 0;
        // The transport takes what it likes.
        while let Some(bytes) = driver.transmit(Some(&operation), time) {
            let count = bytes.len().min(1_000);
            slice += count;
            driver.sent(count);
        }
        slices.push((now, slice));
        if slices.len() < 3 {
            now = driver.deadline().unwrap().as_millis();
            driver.tick(hayes::Instant::from_millis(now));
        }
    }
    assert_eq!(slices, [(0, 3_072), (100, 3_072), (200, 856)]);
    let late = hayes::Instant::from_millis(201);
    driver.receive(&framed("OK"), late);
    assert_eq!(driver.transmit(Some(&operation), late), None);
    assert_eq!(driver.outcome(), Some(Ok(())));
}

/// A modem whose echo is on sends back what it was sent, data too (seen on
/// A7670E).
#[test]
fn what_is_echoed_is_no_answer_and_nobody_hears_of_it() {
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let payload = b"\r\nERROR\r\n+CMQTTPUB: 0,11\r\n";
    let publish = Publish::new("t", payload).unwrap().qos(QoS::AtLeastOnce);
    let (connect, publish) = (Operation::Connect(&options), Operation::Publish(&publish));
    for chunk in [1, 5, 100] {
        let mut driver = hayes_simcom::machine::<128, 1024>(Settings::new()).report_urcs(true);
        let (_, outcome) = answered(&mut driver, &connect, &UP);
        assert_eq!(outcome, Ok(()));
        let time = hayes::Instant::from_millis(200_000);
        driver.start(&publish, time).unwrap();
        let (mut line, mut data) = (Vec::new(), 0);
        while let Some(bytes) = driver.transmit(Some(&publish), time).map(<[u8]>::to_vec) {
            driver.sent(bytes.len());
            bytes.chunks(chunk).for_each(|part| driver.receive(part, time));
            let answer = if data > 0 {
                data -= bytes.len();
                if data > 0 { String::new() } else { "\r\nOK\r\n".into() }
            } else {
                line.extend(bytes);
                if !line.ends_with(b"\r") {
                    continue;
                }
                let text = String::from_utf8(std::mem::take(&mut line)).unwrap();
                let size = text.trim().rsplit(',').next().unwrap().parse().unwrap();
                if text.starts_with("AT+CMQTTPUB=") {
                    "\r\nOK\r\n\r\n+CMQTTPUB: 0,0\r\n".into()
                } else {
                    data = size;
                    "\r\n>".into()
                }
            };
            answer.as_bytes().chunks(chunk).for_each(|part| driver.receive(part, time));
        }
        assert_eq!((driver.outcome(), driver.event()), (Some(Ok(())), None), "{chunk}");
    }
}

/// Announced bytes that do not come must not swallow what comes after them; the
/// rest of a line belongs to it however late it is.
#[test]
fn data_that_stand_still_are_given_up_and_a_line_is_not() {
    let lost = [Heard::Other("Lost { session: 0, loss: Closed(Some(1)) }".into())];
    for (first, rest) in [
        ("\r\n+CMQTTRXPAYLOAD: 0,100\r\nabc", "\r\n+CMQTTCONNLOST: 0,1\r\n"),
        ("\r\n+CMQTTCONN", "LOST: 0,1\r\n"),
    ] {
        let mut rig = connected(Family::Sim7600);
        rig.driver.receive(first.as_bytes(), hayes::Instant::from_millis(rig.now));
        rig.idle(60_000);
        rig.driver.tick(hayes::Instant::from_millis(rig.now));
        rig.driver.receive(rest.as_bytes(), hayes::Instant::from_millis(rig.now));
        assert_eq!(rig.events(), lost, "{first:?}");
    }
}

#[test]
fn a_transport_that_takes_a_line_slowly_is_waited_for() {
    let mut driver = hayes_simcom::machine::<128, 512>(Settings::new());
    let time = |now| hayes::Instant::from_millis(now);
    driver.start(&Operation::Status, time(0)).unwrap();
    for (now, byte) in [(0, b"A"), (400, b"T"), (800, b"\r")] {
        let bytes = driver.transmit(Some(&Operation::Status), time(now)).unwrap();
        assert!(bytes.starts_with(byte), "{now}");
        driver.sent(1);
        driver.tick(time(now + 300));
        assert_eq!(driver.outcome(), None, "{now}");
    }
}

/// Also one as long as the command itself, and one that begins as a prompt does.
#[test]
fn any_text_may_be_the_answer_to_a_question_for_it() {
    for answer in ["SIM7600|OK", ">|SIM7600|OK", "AT+CGMM|SIM7600|OK"] {
        let mut driver = hayes_simcom::machine::<128, 512>(Settings::new());
        let up = Operation::BringUp(&Network::new());
        let (lines, outcome) = answered(&mut driver, &up, &table(&[("AT+CGMM", answer)]));
        assert_eq!(outcome, Ok(()), "{lines:?}");
        assert_eq!(driver.status().model.as_str(), "SIM7600", "{answer}");
        assert_eq!(count(&lines, "AT+CMEE?"), 1, "{answer} {lines:?}");
    }
}

fn up() -> hayes_simcom::Machine<128, 1024> {
    let mut driver = hayes_simcom::machine(Settings::new());
    let options = ConnectOptions::new("broker.example", 1883, "id").unwrap();
    answered(&mut driver, &Operation::Connect(&options), &UP).1.unwrap();
    driver
}

/// Has the driver send all of a publish, whose OK comes but not its result.
fn accepted(driver: &mut impl Machine, operation: &Operation<'_>) {
    driver.start(operation, START).unwrap();
    loop {
        let sent = transmitted(driver, Some(operation), START);
        let is = |begin: &[u8]| sent.starts_with(begin);
        let prompt = is(b"AT+CMQTTTOPIC") || is(b"AT+CMQTTPAYLOAD");
        driver.receive(if prompt { b"\r\n>" } else { b"\r\nOK\r\n" }, START);
        if is(b"AT+CMQTTPUB") {
            return;
        }
    }
}

const START: Instant = Instant::from_millis(0);

#[test]
fn an_ok_where_the_prompt_is_due_answers_something_earlier() {
    let mut driver = up();
    let publish = Publish::new("t", b"p").unwrap();
    let operation = Operation::Publish(&publish);
    driver.start(&operation, START).unwrap();
    transmitted(&mut driver, Some(&operation), START);
    driver.receive(b"\r\nOK\r\n", START);
    assert_eq!(driver.transmit(Some(&operation), START), None);
    driver.receive(b"\r\n>", START);
    assert_eq!(driver.transmit(Some(&operation), START), Some(b"t".as_slice()));
}

#[test]
fn where_no_data_are_due_the_prompts_byte_is_text() {
    let mut driver = up();
    let table = [&[("AT+CGMR", "> A7670E|OK")], UP.as_slice()].concat();
    let (lines, outcome) = answered(&mut driver, &Operation::Status, &table);
    assert_eq!(outcome, Ok(()), "{lines:?}");
    assert_eq!(driver.status().firmware.as_str(), "> A7670E");
}

#[test]
fn the_loss_of_one_session_does_not_shorten_the_wait_of_the_other() {
    let mut driver = up();
    let publish = Publish::new("t", b"p").unwrap().qos(QoS::AtLeastOnce);
    let operation = Operation::Publish(&publish);
    accepted(&mut driver, &operation);
    driver.receive(b"\r\n+CMQTTCONNLOST: 1,1\r\n", START);
    let late = Instant::from_millis(60_000);
    driver.tick(late);
    assert_eq!(driver.outcome(), None);
    driver.receive(b"\r\n+CMQTTPUB: 0,0\r\n", late);
    assert_eq!(driver.transmit(Some(&operation), late), None);
    assert_eq!(driver.outcome(), Some(Ok(())));
}

/// Else the result that comes at last would be taken for that of the next.
#[test]
fn after_a_result_that_did_not_come_the_driver_gets_in_step_again() {
    let mut driver = up();
    let publish = Publish::new("t", b"p").unwrap().qos(QoS::AtLeastOnce);
    accepted(&mut driver, &Operation::Publish(&publish));
    let late = driver.deadline().unwrap();
    driver.tick(late);
    assert!(matches!(driver.outcome(), Some(Err(Error::NoResult(_)))));
    driver.start(&Operation::Status, late).unwrap();
    // The question whose answer is known by its name.
    let first = driver.transmit(Some(&Operation::Status), late);
    assert_eq!(first, Some(b"AT+CMEE?".as_slice()));
}

/// What ends a data phase is not known then.
#[test]
fn an_ok_in_the_middle_of_the_data_is_owed_to_something_else() {
    let mut driver = up();
    let publish = Publish::new("topic", b"p").unwrap();
    let operation = Operation::Publish(&publish);
    driver.start(&operation, START).unwrap();
    transmitted(&mut driver, Some(&operation), START);
    driver.receive(b"\r\n>", START);
    assert_eq!(driver.transmit(Some(&operation), START), Some(b"topic".as_slice()));
    driver.sent(2);
    driver.abandon(0);
    driver.receive(b"\r\nOK\r\n", START);
    driver.start(&operation, START).unwrap();
    let first = driver.transmit(Some(&operation), START);
    assert_eq!(first, Some(b"AT+CMEE?".as_slice()));
}

#[test]
fn of_an_operation_dropped_before_its_first_byte_nothing_goes_out() {
    let mut driver = up();
    let publish = Publish::new("t", b"p").unwrap();
    let operation = Operation::Publish(&publish);
    driver.start(&operation, START).unwrap();
    assert!(driver.transmit(Some(&operation), START).is_some());
    driver.abandon(0);
    assert_eq!(driver.transmit(None, START), None);
    assert!(driver.is_idle() && !driver.has_event());
}

/// Half a kilobyte (a number of ours), so that the end of a data phase is heard
/// before the modem's buffer holds much more than it asked for.
#[test]
fn what_fills_up_a_data_phase_that_may_be_open_goes_out_in_slices() {
    let mut driver = hayes_simcom::machine::<128, 512>(Settings::new());
    let operation = Operation::Status;
    driver.start(&operation, START).unwrap();
    let mut slices = Vec::new();
    let mut due = Some(START);
    while let Some(now) = due {
        driver.tick(now);
        let sent = transmitted(&mut driver, Some(&operation), now);
        driver.tick(now);
        assert_eq!(driver.transmit(Some(&operation), now), None, "before it is time");
        if sent.ends_with(b"\r\r") {
            slices.push((now.as_millis(), sent.len()));
        }
        due = driver.deadline();
    }
    let filled: usize = slices.iter().map(|slice| slice.1).sum();
    assert!((10_240..10_300).contains(&filled), "{filled}");
    let (last, all) = slices.split_last().unwrap();
    assert!(all.iter().all(|slice| slice.1 == 512) && last.1 <= 512, "{slices:?}");
    assert!(slices.windows(2).all(|pair| pair[1].0 - pair[0].0 == 60), "{slices:?}");
}

/// After an error of a modem that boots there is a pause, which its sign of
/// life ends.
#[test]
fn a_driver_that_gets_in_step_goes_on_as_soon_as_the_modem_has_booted() {
    let mut driver = hayes_simcom::machine::<128, 512>(Settings::new());
    let operation = Operation::Status;
    driver.start(&operation, START).unwrap();
    for (command, answer) in [("AT", "OK"), ("ATE0", "ERROR")] {
        let line = transmitted(&mut driver, Some(&operation), START);
        assert_eq!(String::from_utf8(line).unwrap(), format!("{command}\r"));
        driver.receive(&framed(answer), START);
    }
    assert_eq!(driver.transmit(Some(&operation), START), None);
    driver.receive(&framed("RDY"), START);
    assert_eq!(transmitted(&mut driver, Some(&operation), START), b"ATE0\r");
}

/// A data phase cannot be open then, and what fills one up takes seconds.
#[test]
fn after_a_question_that_got_no_answer_nothing_is_filled_up() {
    let mut driver = up();
    let operation = Operation::Status;
    driver.start(&operation, START).unwrap();
    transmitted(&mut driver, Some(&operation), START);
    let late = driver.deadline().unwrap();
    driver.tick(late);
    let next = transmitted(&mut driver, Some(&operation), late);
    assert_eq!(String::from_utf8(next).unwrap(), "AT+CMEE?\r");
}

/// `DOWNLOAD`, of modems that share boards with these (seen on a SIM7000E).
#[test]
fn a_prompt_in_words_is_one_only_where_data_are_due() {
    let mut driver = up();
    driver.receive(&framed("DOWNLOAD"), START);
    assert!(driver.is_idle());
    let publish = Publish::new("topic", b"p").unwrap();
    let operation = Operation::Publish(&publish);
    driver.start(&operation, START).unwrap();
    transmitted(&mut driver, Some(&operation), START);
    driver.receive(&framed("DOWNLOAD"), START);
    assert_eq!(driver.transmit(Some(&operation), START), Some(b"topic".as_slice()));
}

/// A300: the result of a publish of QoS 0 says that the socket has it.
#[test]
fn what_a_publish_is_worth_depends_on_its_quality_of_service() {
    let driver = up();
    assert_eq!(driver.assurance(QoS::AtMostOnce), Assurance::HandedOver);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        assert_eq!(driver.assurance(qos), Assurance::BrokerAck);
    }
}
