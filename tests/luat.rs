//! The Luat driver against the emulated modem, under virtual time.

mod common;

use common::{
    Heard, Kind, Luat, answered, dialogue, framed, luat_config as config, message, transmitted,
};
use hayes::{
    File, FileKind, Instant, Machine, Operation,
    mqtt::{
        AuthType, Cause, Code, ConnectOptions, Credential, Error, Feature, Field, FieldError,
        LinkState, Network, Problem, Publish, QoS, Refusal, Registration, Subscription, Tls,
        TopicFilter, Will,
    },
};
use hayes_emulator::luat::{BootState, Config, Family, Quirk, Sim};
use hayes_luat::{CipherSuite, Publishing, Receiving, Settings};

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn up(mut rig: Luat) -> Luat {
    rig.bring_up().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    rig
}

fn connected(family: Family) -> Luat {
    up(Luat::new(config(family)))
}

fn odd(family: Family, quirks: &[Quirk]) -> Config {
    let mut config = config(family);
    quirks.iter().for_each(|quirk| config.quirks.insert(*quirk));
    config
}

fn lost(loss: &str) -> Heard {
    Heard::Other(format!("Lost {{ session: 0, loss: {loss} }}"))
}

fn sent(rig: &Luat) -> String {
    String::from_utf8_lossy(&rig.host).into_owned()
}

#[test]
fn a_session_from_power_up_to_disconnect_with_each_family() {
    for family in Family::ALL {
        let mut boot = config(family);
        boot.boot = BootState::ColdBoot;
        let mut rig = up(Luat::new(boot));
        rig.subscribe("device-7/cmd").unwrap();
        for qos in LEVELS {
            rig.publish("device-7/temp", b"21.5", qos).unwrap();
        }
        let json: &[u8] = b"{\"a\": \"b\\c\",\r\n \"d\": [1,2]}";
        rig.publish("device-7/json", json, QoS::AtLeastOnce).unwrap();
        rig.publish("device-7/empty", b"", QoS::AtMostOnce).unwrap();
        let payload = b"a\r\nOK\r\n> \"x\"\r\nCLOSED\r\nPUBACK\r\n\0";
        rig.deliver("device-7/cmd", payload);
        assert_eq!(rig.events(), [message("device-7/cmd", payload)], "{}", rig.transcript());
        rig.unsubscribe("device-7/cmd").unwrap();
        rig.run(&Operation::Disconnect).unwrap();
        assert_eq!(rig.publish("a", b"b", QoS::AtMostOnce), Err(Error::NotConnected));
        let published: Vec<_> = rig.broker.published().iter().map(|m| m.payload.clone()).collect();
        let expected = [b"21.5".as_slice(), b"21.5", b"21.5", json, b"", payload];
        assert_eq!(published, expected, "{family:?}");
    }
}

/// Limits by the change logs and the manual.
#[test]
fn the_largest_payload_of_each_family_goes_through_and_the_next_is_refused() {
    for (family, max) in [
        (Family::Air724, 2_384),
        (Family::Air780e, 4_100),
        (Family::Air700eaqV2019, 5_120),
        (Family::V2015plus, 5_120),
    ] {
        let mut rig = connected(family);
        let payload: Vec<u8> = (0..=255).cycle().take(max).collect();
        rig.publish("t", &payload, QoS::AtLeastOnce).unwrap();
        assert_eq!(rig.broker.published()[0].payload, payload);
        let limit = u32::try_from(max).unwrap();
        let problem = Problem::TooLong { max: limit, actual: limit + 1 };
        let error = Error::Field(FieldError { field: Field::Payload, problem });
        assert_eq!(rig.publish("t", &vec![0; max + 1], QoS::AtMostOnce), Err(error));
    }
}

#[test]
fn where_there_is_no_mpubex_text_goes_out_with_escapes_and_other_bytes_are_refused() {
    let old = || Luat::new(odd(Family::Air724, &[Quirk::NoMpubex]));
    let chosen = Settings::new().publishing(Publishing::Escaped);
    for mut rig in [up(old()), up(Luat::with(config(Family::V2015plus), chosen))] {
        let json: &[u8] = b"{\"a\": \"b\\c\",\r\n \"d\": [1,2]}";
        for qos in LEVELS {
            rig.publish("t", json, qos).unwrap();
        }
        assert!(rig.broker.published().iter().all(|m| m.payload == json), "{}", rig.transcript());
        let line =
            "AT+MPUB=\"t\",1,0,\"{\\22a\\22: \\22b\\5Cc\\22,\\0D\\0A \\22d\\22: [1,2]}\"\r\n";
        assert!(sent(&rig).contains(line), "{}", rig.transcript());
        assert!(!sent(&rig).contains("MPUBEX"));
        let binary = Err(Error::Unsupported(Feature::BinaryPayload));
        assert_eq!(rig.publish("t", b"\xff", QoS::AtMostOnce), binary);
        assert_eq!(rig.publish("t", b"\0", QoS::AtMostOnce), binary);
        assert_eq!(rig.publish("t", b"\t", QoS::AtMostOnce), binary);
    }
    // What counts is not documented: the smaller limit unless chosen.
    let quotes = [b'"'; 1_000];
    let problem = Problem::TooLong { max: 2_384, actual: 3_000 };
    let refused = Err(Error::Field(FieldError { field: Field::Payload, problem }));
    assert_eq!(up(old()).publish("t", &quotes, QoS::AtMostOnce), refused);
    let settings = Settings::new().escapes_count(false);
    let mut rig = up(Luat::with(odd(Family::Air724, &[Quirk::NoMpubex]), settings));
    rig.publish("t", &quotes, QoS::AtMostOnce).unwrap();
}

#[test]
fn the_size_of_the_reads_changes_nothing() {
    let run = |chunk| {
        let mut rig = Luat::new(config(Family::Air780e));
        rig.chunk = chunk;
        let mut rig = up(rig);
        rig.subscribe("#").unwrap();
        for payload in [b"\r\nOK\r\n".as_slice(), b"> ", b"\0\x1a\x1b", b"", &[b','; 3000]] {
            rig.deliver("t,1 byte,/\u{fc}", payload);
        }
        rig.modem.lose(rig.now, 0, 1);
        rig.idle(10_000);
        (rig.events(), rig.host)
    };
    let whole = run(usize::MAX);
    assert_eq!(whole.0.len(), 6, "{:?}", whole.0);
    for chunk in [1, 2, 3, 7, 16, 64] {
        assert_eq!(run(chunk), whole, "{chunk}");
    }
}

/// Without its length, MPUBEX takes what comes until 5 s of silence (manual).
#[test]
fn a_command_that_was_cut_is_not_ended_by_what_clears_up() {
    let line = "AT+MPUBEX=\"t\",1,0,7\r\n";
    for cut in 1..line.len() {
        let mut rig = connected(Family::Air724);
        rig.trouble(true, cut, Kind::Unplug);
        rig.publish("t", b"payload", QoS::AtLeastOnce).unwrap_err();
        rig.trouble = None;
        rig.plugged = true;
        rig.connect().unwrap();
        // The whole command may have arrived, and only its prompt be lost.
        let published = rig.broker.published();
        let whole = cut > line.find('\r').unwrap();
        assert!(whole || published.is_empty(), "{cut} {published:?}\n{}", rig.transcript());
    }
}

#[test]
fn a_link_of_an_earlier_life_is_torn_down_once() {
    let rig = connected(Family::Air780e);
    let modem = rig.modem;
    let mut rig = Luat::of(hayes_luat::machine(Settings::new()), modem);
    rig.now = 600_000;
    let mut rig = up(rig);
    rig.publish("t", b"x", QoS::AtLeastOnce).unwrap();
    assert_eq!(sent(&rig).matches("AT+MIPSTART").count(), 1, "{}", rig.transcript());

    // After a disconnect there is nothing to tear down.
    rig.run(&Operation::Disconnect).unwrap();
    let before = rig.host.len();
    rig.connect().unwrap();
    let host = String::from_utf8_lossy(&rig.host[before..]).into_owned();
    assert!(!host.contains("AT+MIPCLOSE"), "{host}");
}

/// Host restart: the link is still there (reported; T17 of the protocol
/// study).
#[test]
fn a_link_that_does_not_go_away_is_torn_down_once_more_and_never_again() {
    const ATI: (&str, &str) = ("ATI", "AirM2M_780E_V1169_LTE_AT|OK");
    const OTHERS: [(&str, &str); 4] =
        [ATI, ("AT+CSQ", "+CSQ: 20,0|OK"), ("AT+CGATT?", "+CGATT: 1|OK"), ("AT+MDISC", "ERROR")];
    for (command, answer) in [
        ("AT+MIPSTART", "OK|ALREADY CONNECT"),
        ("AT+MIPSTART", "+CME ERROR: 767"),
        ("AT+MCONNECT", "+CME ERROR: 767"),
    ] {
        let mut table = OTHERS.to_vec();
        table.push((command, answer));
        table.push(("AT+MIPSTART", "OK|CONNECT OK"));
        let mut driver = hayes_luat::machine::<128, 512>(Settings::new());
        let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
        let (lines, _) = answered(&mut driver, &Operation::Connect(&options), &table);
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("AT+MIPSTART"), 2, "{lines:?}");
        assert_eq!(count("AT+MIPCLOSE"), 3, "{lines:?}");
        assert_eq!(lines.last().unwrap(), "AT+MIPCLOSE");
    }
}

#[test]
fn a_refused_connect_says_that_this_modem_does_not_tell_why() {
    let refused = |name, cause| {
        let command = "+MCONNECT";
        Err(Error::Refused(Refusal { command, code: Code::None, name, cause }))
    };
    let error = refused("refused by the broker; this modem does not tell why", Cause::Unknown);
    let closed = refused("closed by the broker; this modem does not tell why", Cause::ClosedByPeer);
    for (quirks, expected) in
        [(&[][..], error), (&[Quirk::RefusedErrorCloses], error), (&[Quirk::RefusedCloses], closed)]
    {
        let mut rig = Luat::new(odd(Family::Air780e, quirks));
        rig.bring_up().unwrap();
        rig.broker.fail_next(0);
        rig.broker.fail_next(5);
        let result = rig.connect();
        if result.is_ok() {
            panic!("{}", rig.transcript());
        }
        if result != expected {
            // The loopback's first failure is that of the link.
            let name = "no link; this modem does not tell why";
            let (command, code) = ("+MIPSTART", Code::None);
            let cause = Cause::Unreachable;
            assert_eq!(result, Err(Error::Refused(Refusal { command, code, name, cause })));
            assert_eq!(rig.connect(), expected, "{}", rig.transcript());
        }
        assert_eq!(rig.events(), [], "what was never there is not lost");
        rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    }
}

#[test]
fn each_loss_is_told_once_with_its_cause_and_the_next_connect_repairs_it() {
    for (quirks, line, loss) in [
        (&[][..], "CLOSED", "Closed(None)"),
        (&[][..], "7,CLOSED", "Closed(None)"),
        (&[][..], "+CGEV: NW PDN DEACT 1", "Network"),
        (&[][..], "+CGEV: ME PDN DEACT 1,0", "Network"),
        (&[][..], "+CGEV: ME DETACH", "Network"),
        (&[][..], "+PDP: DEACT", "Network"),
        (&[][..], "+PDP:DEACT", "Network"),
        (&[Quirk::CipshutOk], "+PDP DEACT", "Network"),
    ] {
        let mut rig = up(Luat::new(odd(Family::Air780e, quirks)));
        rig.modem.urc(rig.now, line);
        rig.idle(10);
        assert_eq!(rig.events(), [lost(loss)], "{line}");
        assert!(matches!(rig.publish("t", b"x", QoS::AtMostOnce), Err(Error::Lost(_))));
        let before = rig.host.len();
        rig.connect().unwrap_or_else(|e| panic!("{line}: {e}\n{}", rig.transcript()));
        let host = String::from_utf8_lossy(&rig.host[before..]).into_owned();
        assert!(host.starts_with("AT+MDISCONNECT\r\nAT+MIPCLOSE\r\n"), "{host}");
        assert_eq!(host.contains("AT+CIPSHUT"), line.starts_with("+PDP"), "{host}");
        rig.publish("t", b"x", QoS::AtLeastOnce).unwrap();
    }
}

#[test]
fn a_boot_is_told_once_however_often_it_says_so() {
    for quirk in [None, Some(Quirk::RdyTwice)] {
        let quirks: Vec<_> = quirk.into_iter().collect();
        let mut rig = up(Luat::new(odd(Family::Air780e, &quirks)));
        rig.modem.reboot(rig.now);
        rig.idle(8_000);
        assert_eq!(rig.events(), [Heard::Other("Restarted".into())], "{}", rig.transcript());
        rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    }
}

#[test]
fn what_could_leave_its_field_is_refused_before_a_byte_goes_out() {
    let mut rig = connected(Family::Air780e);
    let before = rig.host.len();
    let forbidden =
        |field, byte| Err(Error::Field(FieldError { field, problem: Problem::Forbidden(byte) }));
    let back = b'\\';
    assert_eq!(rig.publish("a\\b", b"", QoS::AtMostOnce), forbidden(Field::Topic, back));
    assert_eq!(rig.subscribe("a\\b"), forbidden(Field::TopicFilter, back));
    assert_eq!(rig.unsubscribe("a\\b"), forbidden(Field::TopicFilter, back));
    let filters = ["a", "b\\"].map(|f| Subscription::new(f, QoS::AtMostOnce).unwrap());
    let several = rig.run(&Operation::Subscribe(&filters));
    assert_eq!(several, forbidden(Field::TopicFilter, back));
    let options = |id| ConnectOptions::new("broker.example", 1883, id).unwrap();
    let plain = options("id");
    let user = plain.credentials("u\\", Some("p")).unwrap();
    let password = plain.credentials("u", Some("p\\")).unwrap();
    let topic = plain.last_will(Will::new("w\\", b"x").unwrap());
    let quote = plain.last_will(Will::new("w", b"\"").unwrap());
    let end = plain.last_will(Will::new("w", b"a\n").unwrap());
    let file = plain.tls(Tls::with_ca(Credential::Stored("a\"b")));
    for (options, field, byte) in [
        (&options("i\\d"), Field::ClientId, back),
        (&user, Field::User, back),
        (&password, Field::Password, back),
        (&topic, Field::WillTopic, back),
        (&quote, Field::WillPayload, b'"'),
        (&end, Field::WillPayload, b'\n'),
        (&file, Field::FileName, b'"'),
    ] {
        assert_eq!(rig.run(&Operation::Connect(options)), forbidden(field, byte));
    }
    let network = Network::new().apn("a\\b").unwrap();
    assert_eq!(rig.run(&Operation::BringUp(&network)), forbidden(Field::Apn, back));
    assert_eq!(rig.run(&Operation::Delete("a\rb")), forbidden(Field::FileName, b'\r'));
    assert_eq!(rig.host.len(), before);
}

#[test]
fn a_will_and_credentials_take_the_form_of_the_manual() {
    let mut rig = Luat::new(config(Family::Air780e));
    rig.bring_up().unwrap();
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let options = options.credentials("user", Some("s3cret")).unwrap().keep_alive(600);
    let will = Will::new("device-7/state", b"offline").unwrap();
    let options = options.last_will(will.qos(QoS::AtLeastOnce).retain(true)).clean_session(false);
    rig.run(&Operation::Connect(&options)).unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    let line = "AT+MCONFIG=\"device-7\",\"user\",\"s3cret\",1,1,\"device-7/state\",\"offline\"\r\n";
    assert!(sent(&rig).contains(line), "{}", rig.transcript());
    assert!(sent(&rig).contains("AT+MCONNECT=0,600"), "{}", rig.transcript());

    // 765: some firmware refuses an empty user name.
    let mut rig = up(Luat::new(odd(Family::Air780e, &[Quirk::NoEmptyCredentials])));
    rig.publish("t", b"x", QoS::AtLeastOnce).unwrap();
    assert!(sent(&rig).contains("AT+MCONFIG=\"device-7\"\r\n"));
}

#[test]
fn certificates_are_stored_once_and_every_setting_is_checked() {
    let pem = [&b"-----BEGIN CERTIFICATE-----\n"[..], &[b'A'; 4_000], b"\n"].concat();
    let tls = Tls::with_ca(Credential::Pem(&pem))
        .client(Credential::Pem(b"B\n"), Credential::Pem(b"C\n"));
    let options = ConnectOptions::new("broker.example", 8883, "device-7").unwrap().tls(tls);
    let settings = Settings::new().cipher_suite(CipherSuite::All);
    for quirks in [&[][..], &[Quirk::MissingFile100]] {
        let mut rig = Luat::with(odd(Family::V2015plus, quirks), settings);
        for _ in 0..2 {
            for (kind, content) in
                [(FileKind::Ca, &pem[..]), (FileKind::Cert, b"B\n"), (FileKind::Key, b"C\n")]
            {
                let file = File { kind, content: Credential::Pem(content) };
                rig.run(&Operation::Store(&file))
                    .unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
            }
        }
        assert_eq!(sent(&rig).matches("AT+FSWRITE=").count(), 3);
        rig.run(&Operation::Connect(&options))
            .unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
        let host = sent(&rig);
        for line in [
            "AT+SSLCFG=\"sslversion\",88,3\r\n",
            "AT+SSLCFG=\"ciphersuite\",88,0XFFFF\r\n",
            "AT+SSLCFG=\"seclevel\",88,2\r\n",
            "AT+SSLCFG=\"hostname\",88,\"broker.example\"\r\n",
            "AT+SSLCFG=\"ignorelocaltime\",88,1\r\n",
            "AT+SSLCFG=\"negotiatetimeout\",88,60\r\n",
            "AT+SSLMIPSTART=\"broker.example\",8883\r\n",
        ] {
            assert!(host.contains(line), "{line}\n{host}");
        }
    }
    let mut rig = Luat::new(odd(Family::Air780e, &[Quirk::NoCacert]));
    let file = File { kind: FileKind::Ca, content: Credential::Pem(&pem) };
    rig.run(&Operation::Store(&file)).unwrap();
    let result = rig.run(&Operation::Connect(&options));
    assert_eq!(result, Err(Error::Unsupported(Feature::Setting("cacert"))));
    assert!(rig.broker.connects().is_empty());
}

#[test]
fn an_access_point_is_written_only_if_it_differs() {
    let mut rig = Luat::new(config(Family::Air780e));
    let network = Network::new().apn("iot.example").unwrap();
    let network = network.credentials(AuthType::Chap, "user", "s3cret").unwrap();
    let written = |rig: &Luat| sent(rig).matches("AT+CPNETAPN=2,").count();
    for _ in 0..3 {
        rig.run(&Operation::BringUp(&network))
            .unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
        assert_eq!(written(&rig), 1, "{}", rig.transcript());
    }
    let network = network.credentials(AuthType::Chap, "user", "other").unwrap();
    rig.run(&Operation::BringUp(&network)).unwrap();
    assert_eq!(written(&rig), 2);
}

#[test]
fn modems_that_only_look_alike_are_refused_by_name() {
    for (revision, part) in [
        ("LuatOS-SoC_V1103_EC618", "LuatOS"),
        ("DX-CT511-A V1.0", "DX-CT511"),
        ("AirM2M_780EL_LTE_AT_FS", "no MQTT"),
        ("SIMCOM_SIM7600E", "AirM2M"),
    ] {
        let mut config = config(Family::Air780e);
        config.revision = Some(revision.into());
        let mut rig = Luat::new(config);
        match rig.bring_up() {
            Err(Error::WrongModem(what)) => assert!(what.contains(part), "{what}"),
            other => panic!("{revision}: {other:?}"),
        }
    }
}

#[test]
fn cached_messages_are_fetched_by_themselves_and_overwritten_ones_announced() {
    for quirks in [&[][..], &[Quirk::CachedUnquoted], &[Quirk::CachedTight]] {
        let settings = Settings::new().receiving(Receiving::Cached);
        let mut rig = up(Luat::with(odd(Family::Air780e, quirks), settings));
        rig.subscribe("t").unwrap();
        rig.deliver("t", b"first");
        assert_eq!(rig.events(), [message("t", b"first")], "{}", rig.transcript());
        // Five at once: there are four slots.
        for number in 0..5_u8 {
            rig.broker.publish(b"t", &[b'0' + number], false);
        }
        rig.idle(2_000);
        let events = rig.events();
        let messages = events.iter().filter(|e| matches!(e, Heard::Message(..))).count();
        let dropped =
            events.iter().filter(|e| matches!(e, Heard::Other(o) if o.contains("Dropped"))).count();
        assert_eq!((messages, dropped), (4, 1), "{events:?}\n{}", rig.transcript());
        // An operation in between is not disturbed.
        rig.broker.publish(b"t", b"later", false);
        rig.publish("u", b"x", QoS::AtLeastOnce).unwrap();
        rig.idle(2_000);
        assert_eq!(rig.events(), [message("t", b"later")], "{}", rig.transcript());
        rig.run(&Operation::Status).unwrap();
    }
}

#[test]
fn a_message_that_an_old_setting_keeps_in_the_modem_is_fetched_too() {
    let mut rig = up(Luat::new(odd(Family::Air780e, &[Quirk::CachedByDefault])));
    rig.modem.urc(rig.now, "+MSUB: 0");
    rig.idle(1_000);
    assert!(sent(&rig).ends_with("AT+MQTTMSGGET\r\n"), "{}", rig.transcript());
    assert!(rig.driver.is_idle());
}

#[test]
fn documented_oddities_change_nothing() {
    use Quirk::{
        CeregSaysCgreg, EarlyCme4, EchoData, GluedConnectOk, HeldLines, LostEcho, NitzEmptyField,
        NoLeadingCrlf, PlainErrors, PromptLine, PromptSpace, QuietBoot, RdyTwice, SimBusy,
        SlowBoot, StateNoBlank, StatuError,
    };
    for quirk in [
        LostEcho,
        PromptSpace,
        PromptLine,
        HeldLines,
        GluedConnectOk,
        NoLeadingCrlf,
        StateNoBlank,
        StatuError,
        CeregSaysCgreg,
        RdyTwice,
        QuietBoot,
        EarlyCme4,
        SimBusy,
        SlowBoot,
        NitzEmptyField,
        PlainErrors,
        EchoData,
    ] {
        let mut config = odd(Family::Air780e, &[quirk]);
        config.boot = BootState::ColdBoot;
        let mut rig = Luat::new(config);
        rig.bring_up().unwrap_or_else(|e| panic!("{quirk:?}: {e}\n{}", rig.transcript()));
        rig.connect().unwrap_or_else(|e| panic!("{quirk:?}: {e}\n{}", rig.transcript()));
        rig.subscribe("t").unwrap_or_else(|e| panic!("{quirk:?}: {e}\n{}", rig.transcript()));
        rig.publish("t", b"x", QoS::AtLeastOnce)
            .unwrap_or_else(|e| panic!("{quirk:?}: {e}\n{}", rig.transcript()));
        rig.idle(1_000);
        assert_eq!(rig.events(), [message("t", b"x")], "{quirk:?}\n{}", rig.transcript());
        rig.run(&Operation::Status).unwrap();
        rig.run(&Operation::Disconnect).unwrap();
    }
}

#[test]
fn status_says_what_the_modem_says() {
    let mut rig = connected(Family::Air780e);
    rig.run(&Operation::Status).unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    let status = rig.driver.status();
    assert_eq!(status.firmware.as_str(), "AirM2M_780E_V1169_LTE_AT");
    assert_eq!(status.model.as_str(), "Air780E");
    assert_eq!(status.connected, Some(true), "{}", rig.transcript());
    assert!(status.signal_dbm.is_some() && status.address.is_some());
    assert_eq!(status.clock.as_str(), "26/11/20,12:00:00+32", "{}", rig.transcript());
}

#[test]
fn bring_up_unlocks_the_sim() {
    let mut config = config(Family::Air780e);
    config.sim = Sim::Pin("4711".into());
    let mut rig = Luat::new(config.clone());
    assert_eq!(rig.bring_up(), Err(Error::Pin("its PIN")));
    let network = Network::new().pin("4711").unwrap();
    rig.run(&Operation::BringUp(&network)).unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    config.sim = Sim::Absent;
    let mut rig = Luat::new(config);
    let absent = rig.bring_up();
    assert!(matches!(absent, Err(Error::Refused(Refusal { cause: Cause::Sim, .. }))), "{absent:?}");
}

#[test]
fn an_operation_dropped_while_it_waits_leaves_the_modem_usable() {
    let publish = Publish::new("a/topic", b"first message").unwrap().qos(QoS::AtLeastOnce);
    let filters = [Subscription::new("x/#", QoS::AtLeastOnce).unwrap()];
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let unsubscribed = [TopicFilter::new("x/#").unwrap()];
    let operations = [
        Operation::Publish(&publish),
        Operation::Subscribe(&filters),
        Operation::Unsubscribe(&unsubscribed),
        Operation::Connect(&options),
        Operation::Disconnect,
        Operation::Status,
    ];
    for (family, operation) in
        [Family::Air724, Family::V2015plus].into_iter().flat_map(|f| operations.map(|o| (f, o)))
    {
        for turns in 0..90 {
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
            assert_first_or_second(&rig);
        }
    }
}

/// Nothing else was published; the first, maybe, in part and filled up with
/// what spoils a command and line ends: no other way out of its data phase is
/// documented.
fn assert_first_or_second(rig: &Luat) {
    for message in rig.broker.published() {
        let end = message.payload.iter().rposition(|b| *b != b'\r').map_or(0, |at| at + 1);
        let part = &message.payload[..end];
        let part = part.strip_suffix(b"\"!").or(part.strip_suffix(b"\"")).unwrap_or(part);
        let first = b"first message".starts_with(part);
        assert!(first || message.payload == b"second", "{}", rig.transcript());
    }
}

#[test]
fn a_text_that_is_dropped_anywhere_is_published_whole_or_not_at_all() {
    for turns in 0..60 {
        let settings = Settings::new().publishing(Publishing::Escaped);
        let mut rig = up(Luat::with(config(Family::Air780e), settings));
        let publish = Publish::new("a/topic", b"first \"message\"").unwrap();
        let mut left: u32 = turns;
        rig.run_and_drop(&Operation::Publish(&publish), |_| {
            let stop = left == 0;
            left = left.saturating_sub(1);
            stop
        });
        rig.connect().unwrap();
        rig.publish("a/topic", b"second", QoS::AtLeastOnce).unwrap();
        for message in rig.broker.published() {
            let known: [&[u8]; 2] = [b"first \"message\"", b"second"];
            assert!(known.contains(&message.payload.as_slice()), "{}", rig.transcript());
        }
    }
}

/// A phase that is left in the middle is waited out; no command goes into it.
#[test]
fn a_data_phase_that_is_left_in_the_middle_never_takes_a_command_for_data() {
    for quirks in [&[][..], &[Quirk::DataGap]] {
        for sent_bytes in 0..13 {
            let mut rig = up(Luat::new(odd(Family::Air780e, quirks)));
            let publish = Publish::new("a/topic", b"first message").unwrap();
            let operation = Operation::Publish(&publish.qos(QoS::AtLeastOnce));
            rig.start(&operation).unwrap();
            'pump: loop {
                let now = hayes::Instant::from_millis(rig.now);
                while let Some(bytes) = rig.driver.transmit(Some(&operation), now) {
                    let data = bytes == b"first message";
                    let piece = if data { bytes[..sent_bytes].to_vec() } else { bytes.to_vec() };
                    rig.modem.receive(rig.now, &piece);
                    rig.driver.sent(piece.len());
                    if data {
                        break 'pump;
                    }
                }
                if !rig.exchange(None) {
                    rig.advance();
                }
            }
            rig.driver.abandon(0);
            rig.connect().unwrap_or_else(|e| panic!("{sent_bytes}: {e}\n{}", rig.transcript()));
            rig.publish("a/topic", b"second", QoS::AtLeastOnce).unwrap();
            assert_first_or_second(&rig);
            assert!(rig.events().contains(&Heard::Other("Unknown(\"publish\")".into())));
        }
    }
}

#[test]
fn a_file_longer_than_one_write_takes_is_appended_in_pieces() {
    let pem: Vec<u8> = (0..25_000_u32).map(|n| b'A' + (n % 23) as u8).collect();
    let file = File { kind: FileKind::Ca, content: Credential::Pem(&pem) };
    let mut rig = Luat::new(config(Family::Air780e));
    for _ in 0..2 {
        rig.run(&Operation::Store(&file)).unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    }
    let host = sent(&rig);
    let writes: Vec<_> = host.split("AT+FSWRITE=").skip(1).collect();
    let heads = writes.iter().map(|write| write.split("\r\n").next().unwrap());
    let heads: Vec<_> = heads.map(|head| head.split_once(',').unwrap().1).collect();
    assert_eq!(heads, ["0,10240,20", "1,10240,20", "1,4520,20"]);
    for (write, piece) in writes.iter().zip(pem.chunks(10_240)) {
        let data = write.split_once("\r\n").unwrap().1;
        assert_eq!(data.as_bytes().get(..piece.len()), Some(piece));
    }
}

#[test]
fn a_topic_longer_than_the_line_buffer_does_not_let_its_payload_out() {
    let payload = b"\r\nCLOSED\r\n\r\nRDY\r\n+MSUB: \"t\",1 byte,x\r\n";
    for length in 30..400 {
        let topic = "t,\"/".repeat(length);
        let mut bytes = format!("\r\n+MSUB: \"{topic}\",{} byte,", payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n+CGEV: ME DETACH\r\n");
        for chunk in [1, 7, 64, usize::MAX] {
            let mut driver = hayes_luat::machine::<64, 512>(Settings::new());
            for piece in bytes.chunks(chunk) {
                driver.receive(piece, hayes::Instant::default());
            }
            let events = heard(&mut driver);
            let dropped =
                format!("Dropped(Dropped {{ count: 1, bytes: {}, topic: None }})", payload.len());
            assert_eq!(events.len(), 2, "{length} {chunk} {events:?}");
            assert!(events.contains(&dropped), "{length} {chunk} {events:?}");
            assert!(events.contains(&"NetworkLost".to_owned()), "{length} {chunk} {events:?}");
        }
    }
}

/// Answers of an Air780E that is up and free (tests/captures/luat).
const UP: [(&str, &str); 6] = [
    ("ATI", "AirM2M_780E_V1169_LTE_AT|OK"),
    ("AT+CSQ", "+CSQ: 20,0|OK"),
    ("AT+CGATT?", "+CGATT: 1|OK"),
    ("AT+MIPSTART", "OK|CONNECT OK"),
    ("AT+SSLMIPSTART", "OK|CONNECT OK"),
    ("AT+MCONNECT", "OK|CONNACK OK"),
];

/// Of these, those that were sent.
fn lines_of(settings: Settings, operation: &Operation<'_>, start: &str) -> Vec<String> {
    let mut driver = hayes_luat::machine::<128, 512>(settings);
    let mut now = 0;
    driver.start(operation, hayes::Instant::from_millis(now)).unwrap();
    let (mut lines, outcome) = dialogue(&mut driver, operation, &UP, &mut now);
    assert_eq!((outcome, now), (Some(Ok(())), 0), "{lines:?}");
    lines.retain(|line| line.starts_with(start));
    lines
}

#[test]
fn a_connect_finds_out_what_modem_it_is_and_how_it_hands_messages_over() {
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let connect = Operation::Connect(&options);
    for (settings, line) in [
        (Settings::new(), "AT+MQTTMSGSET=0"),
        (Settings::new().receiving(Receiving::Cached), "AT+MQTTMSGSET=1"),
    ] {
        assert_eq!(lines_of(settings, &connect, "ATI").len(), 1);
        assert_eq!(lines_of(settings, &connect, "AT+MQTTMSGSET"), [line]);
        // Numbers for failures, and no echo.
        assert_eq!(lines_of(settings, &connect, "AT+CMEE"), ["AT+CMEE=1"]);
        assert_eq!(lines_of(settings, &connect, "ATE"), ["ATE0"]);
    }
    let mut driver = hayes_luat::machine::<128, 512>(Settings::new());
    let mut silent = UP;
    silent[0].1 = "OK";
    let (lines, outcome) = answered(&mut driver, &connect, &silent);
    assert_eq!(outcome, Err(Error::WrongModem("it does not say what it is")));
    assert_eq!(lines.iter().filter(|line| *line == "ATI").count(), 3);
}

/// The numbers are those of the IANA registry.
#[test]
fn each_setting_of_tls_is_what_was_chosen() {
    let options = ConnectOptions::new("broker.example", 8883, "device-7").unwrap();
    let options = options.tls(Tls::insecure());
    let connect = Operation::Connect(&options);
    let offered = |settings| lines_of(settings, &connect, "AT+SSLCFG=\"ciphersuite\"");
    assert_eq!(offered(Settings::new()), [""; 0]);
    for (suite, number) in [
        (CipherSuite::All, "0XFFFF"),
        (CipherSuite::RsaAes128CbcSha, "0X002F"),
        (CipherSuite::RsaAes256CbcSha, "0X0035"),
        (CipherSuite::RsaAes256CbcSha256, "0X003D"),
    ] {
        let line = format!("AT+SSLCFG=\"ciphersuite\",88,{number}");
        assert_eq!(offered(Settings::new().cipher_suite(suite)), [line]);
    }
    let dates = |options: &ConnectOptions<'_>| {
        lines_of(Settings::new(), &Operation::Connect(options), "AT+SSLCFG=\"ignorelocaltime\"")
    };
    assert_eq!(dates(&options), ["AT+SSLCFG=\"ignorelocaltime\",88,1"]);
    let checked = options.tls(Tls::insecure().check_clock(true));
    assert_eq!(dates(&checked), ["AT+SSLCFG=\"ignorelocaltime\",88,0"]);
    let names = |options: &ConnectOptions<'_>| {
        lines_of(Settings::new(), &Operation::Connect(options), "AT+SSLCFG=\"hostname\"")
    };
    assert_eq!(names(&options), ["AT+SSLCFG=\"hostname\",88,\"broker.example\""]);
    let nameless = options.tls(Tls::insecure().server_name(false));
    assert_eq!(names(&nameless), ["AT+SSLCFG=\"hostname\",88,"]);
}

/// 62: the file does not exist (manual, FSFLSIZE).
#[test]
fn a_file_of_another_size_is_deleted_and_one_of_the_same_size_is_kept() {
    let file = File { kind: FileKind::Ca, content: Credential::Pem(b"pem") };
    for (size, lines) in [
        ("+FSFLSIZE: 3|OK", ["AT+FSDEL"; 0].as_slice()),
        ("+FSFLSIZE: 7|OK", &["AT+FSDEL", "AT+FSCREATE", "AT+FSWRITE"]),
        ("+CME ERROR: 62", &["AT+FSCREATE", "AT+FSWRITE"]),
    ] {
        let table = [UP.as_slice(), &[("AT+FSFLSIZE", size), ("AT+FSWRITE", "ERROR")]].concat();
        let mut driver = hayes_luat::machine::<128, 512>(Settings::new());
        let (sent, outcome) = answered(&mut driver, &Operation::Store(&file), &table);
        assert_eq!(outcome.is_ok(), lines.is_empty(), "{sent:?}");
        let mut names: Vec<_> = sent.iter().filter_map(|line| line.split('=').next()).collect();
        names.retain(|name| name.starts_with("AT+FS") && *name != "AT+FSFLSIZE");
        assert_eq!(names, lines, "{size}");
    }
}

#[test]
fn each_of_several_filters_is_unsubscribed_from_and_none_may_leave_its_field() {
    let mut rig = connected(Family::Air780e);
    rig.subscribe("a").unwrap();
    rig.subscribe("b").unwrap();
    let gone = ["a", "b"].map(|filter| TopicFilter::new(filter).unwrap());
    rig.run(&Operation::Unsubscribe(&gone)).unwrap();
    rig.deliver("a", b"x");
    rig.deliver("b", b"x");
    assert_eq!(rig.events(), [], "{}", rig.transcript());
    let odd = ["a", "b\\"].map(|filter| TopicFilter::new(filter).unwrap());
    let refused = FieldError::forbidden(Field::TopicFilter, b'\\');
    assert_eq!(rig.run(&Operation::Unsubscribe(&odd)), Err(Error::Field(refused)));
}

/// 16: incorrect password (manual, CME errors).
#[test]
fn no_pin_goes_out_that_nobody_gave() {
    let pin = Network::new().pin("4711").unwrap();
    let locked = [("AT+CPIN?", "+CPIN: SIM PIN|OK"), ("AT+CPIN=", "+CME ERROR: 16")];
    for (network, times) in [(Network::new(), 0), (pin, 1)] {
        let table = [UP.as_slice(), &locked].concat();
        let mut driver = hayes_luat::machine::<128, 512>(Settings::new());
        let (lines, outcome) = answered(&mut driver, &Operation::BringUp(&network), &table);
        assert_eq!(outcome, Err(Error::Pin("its PIN")));
        let tries = lines.iter().filter(|line| line.starts_with("AT+CPIN=")).count();
        assert_eq!(tries, times, "three wrong tries lock a SIM");
    }
}

/// An attachment that never comes ends bring-up in its time, and one that was
/// lost is asked for before a connect.
#[test]
fn nothing_goes_on_without_the_attachment() {
    let detached = [[("AT+CGATT?", "+CGATT: 0|OK"), ("AT+CREG?", "+CREG: 0,1|OK")].as_slice(), &UP];
    let settings = Settings::new().bring_up_timeout(3);
    let mut driver = hayes_luat::machine::<128, 512>(settings);
    let table = [&[("AT+CPIN?", "+CPIN: READY|OK")], detached.concat().as_slice()].concat();
    let (_, outcome) = answered(&mut driver, &Operation::BringUp(&Network::new()), &table);
    assert_eq!(outcome, Err(Error::NotRegistered(Registration::Home)));

    let mut rig = connected(Family::Air780e);
    rig.modem.urc(rig.now, "+CGEV: NW DETACH");
    rig.idle(10);
    let before = rig.host.len();
    rig.connect().unwrap_or_else(|e| panic!("{e}\n{}", rig.transcript()));
    assert!(rig.host[before..].windows(9).any(|w| w == b"AT+CGATT?"), "{}", rig.transcript());
}

#[test]
fn a_question_without_an_answer_is_told_as_such() {
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let (up, connect) = (Operation::BringUp(&Network::new()), Operation::Connect(&options));
    for (operation, line, name) in [
        (&up, "AT+CEREG?", "+CEREG"),
        (&up, "AT+CGATT?", "+CGATT"),
        (&connect, "AT+CGATT?", "+CGATT"),
    ] {
        let rows = [("AT+CPIN?", "+CPIN: READY|OK"), ("AT+CREG?", "+CREG: 0,1|OK"), (line, "")];
        let table: Vec<_> = UP.into_iter().filter(|row| row.0 != line).chain(rows).collect();
        let mut driver = hayes_luat::machine::<128, 512>(Settings::new());
        let mut now = 0;
        driver.start(operation, hayes::Instant::from_millis(now)).unwrap();
        let (lines, outcome) = dialogue(&mut driver, operation, &table, &mut now);
        assert_eq!(outcome, Some(Err(Error::NoResult(name))), "{lines:?}");
        assert!(now < 60_000, "it is not asked on and on: {now} {lines:?}");
    }
}

#[test]
fn this_modem_has_one_session() {
    let mut rig = connected(Family::Air780e);
    let refused = Err(Error::Unsupported(Feature::SecondSession));
    assert_eq!((rig.driver.select(0), rig.driver.select(1)), (Ok(()), refused));
    rig.publish("t", b"x", QoS::AtMostOnce).unwrap();
}

#[test]
fn a_machine_is_idle_when_nothing_is_left_to_be_done() {
    let settings = Settings::new().receiving(Receiving::Cached);
    let mut rig = up(Luat::with(config(Family::Air780e), settings));
    rig.subscribe("t").unwrap();
    assert!(rig.driver.is_idle());
    let publish = Publish::new("t", b"x").unwrap();
    rig.start(&Operation::Publish(&publish)).unwrap();
    assert!(!rig.driver.is_idle(), "asked for, and not begun");
    rig.exchange(Some(&Operation::Publish(&publish)));
    assert!(!rig.driver.is_idle(), "begun");
    rig.driver.abandon(0);
    assert!(!rig.driver.is_idle(), "not ended");
    rig.idle(60_000);
    assert!(rig.driver.is_idle());
    rig.driver.receive(b"\r\n+MSUB: 0\r\n", hayes::Instant::from_millis(rig.now));
    assert!(!rig.driver.is_idle(), "a message waits");
    rig.idle(60_000);
    assert!(rig.driver.is_idle());
}

/// A driver that has connected, by the answers above.
fn linked(settings: Settings) -> hayes_luat::Machine<128, 512> {
    let mut driver = hayes_luat::machine(settings);
    let options = ConnectOptions::new("broker.example", 1883, "id").unwrap();
    answered(&mut driver, &Operation::Connect(&options), &UP).1.unwrap();
    driver
}

/// A data phase without a length ends after 5 s without a byte (manual V1.6.3,
/// MPUBEX), so nothing may be sent for so long after one that may be open.
#[test]
fn a_data_phase_that_may_be_open_is_left_alone_until_it_has_ended() {
    let mut driver = hayes_luat::machine::<128, 512>(Settings::new());
    let operation = Operation::Status;
    let (mut now, mut sent) = (0, Vec::new());
    driver.start(&operation, hayes::Instant::from_millis(now)).unwrap();
    while now < 60_000 {
        let time = hayes::Instant::from_millis(now);
        while let Some(bytes) = driver.transmit(Some(&operation), time).map(<[u8]>::to_vec) {
            driver.sent(bytes.len());
            sent.push((now, bytes));
        }
        now = driver.deadline().map_or(u64::MAX, hayes::Instant::as_millis);
        driver.tick(hayes::Instant::from_millis(now));
    }
    let fills = |bytes: &[u8]| bytes.iter().all(|byte| *byte == b'\r');
    let last = sent.iter().rposition(|(_, bytes)| fills(bytes)).unwrap();
    assert!(sent[last + 1].0 - sent[last].0 >= 5_000, "{:?}", &sent[last..last + 2]);
}

/// Without data for 5 s the modem ends the phase (manual, MPUBEX), and what is
/// filled up before may be published.
#[test]
fn a_data_phase_that_was_left_is_given_time_to_end_by_itself() {
    for ends in [true, false] {
        let mut driver = linked(Settings::new());
        let publish = Publish::new("t", b"0123456789").unwrap().qos(QoS::AtLeastOnce);
        let operation = Operation::Publish(&publish);
        let mut now = 0;
        driver.start(&operation, Instant::from_millis(now)).unwrap();
        dialogue(&mut driver, &operation, &[("AT+MPUBEX", ">")], &mut now);
        let time = Instant::from_millis(now);
        assert_eq!(driver.transmit(Some(&operation), time), Some(b"0123456789".as_slice()));
        driver.sent(4);
        driver.abandon(0);
        let within = Instant::from_millis(now + 5_000);
        driver.tick(within);
        assert_eq!(driver.transmit(None, within), None);
        if ends {
            driver.receive(b"\r\nERROR\r\n", within);
        }
        let mut filled = Vec::new();
        for _ in 0..100 {
            let Some(next) = driver.deadline().filter(|_| !driver.is_idle()) else { break };
            driver.tick(next);
            filled.extend(transmitted(&mut driver, None, next));
        }
        assert_eq!(filled, if ends { [].as_slice() } else { b"\r\r\r\r\r\r" });
        assert!(driver.is_idle());
    }
}

#[test]
fn a_transport_that_takes_nothing_does_not_hold_an_operation_for_ever() {
    let mut driver = hayes_luat::machine::<128, 512>(Settings::new());
    driver.start(&Operation::Status, Instant::from_millis(0)).unwrap();
    let outcome = (0..100).find_map(|_| {
        let next = driver.deadline().unwrap_or(Instant::from_millis(0));
        driver.tick(next);
        assert!(next <= Instant::from_millis(60_000));
        let _nothing_is_sent = driver.transmit(Some(&Operation::Status), next);
        driver.outcome()
    });
    assert_eq!(outcome, Some(Err(Error::Unresponsive)));
}

const START: Instant = Instant::from_millis(0);

fn heard(driver: &mut impl Machine) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(event) = driver.event() {
        events.push(format!("{event:?}"));
    }
    events
}

/// Its line may lack an end (seen), but only when it is all that is missing.
#[test]
fn a_result_in_words_without_a_line_end_counts_only_after_its_ok() {
    let filter = [Subscription::new("t", QoS::AtLeastOnce).unwrap()];
    let operation = Operation::Subscribe(&filter);
    for accepted in [false, true] {
        let mut driver = linked(Settings::new());
        driver.start(&operation, START).unwrap();
        transmitted(&mut driver, Some(&operation), START);
        if accepted {
            driver.receive(b"\r\nOK\r\n", START);
        }
        driver.receive(b"\r\nSUBACK", START);
        let later = Instant::from_millis(1_000);
        driver.tick(later);
        if !accepted {
            // It was another line, of which the rest came late.
            driver.receive(b" refused\r\n\r\nOK\r\n", later);
        }
        assert_eq!(driver.transmit(Some(&operation), later), None);
        assert_eq!(driver.outcome(), accepted.then_some(Ok(())));
    }
}

#[test]
fn a_boot_that_says_so_again_is_one_though_the_driver_has_met_the_modem_since() {
    let mut driver = linked(Settings::new());
    let at = Instant::from_millis;
    driver.receive(&framed("RDY"), START);
    assert_eq!(heard(&mut driver), ["Restarted"]);
    answered(&mut driver, &Operation::Status, &UP).1.unwrap();
    driver.receive(&framed("RDY"), at(4_000));
    driver.tick(at(4_000));
    assert_eq!(heard(&mut driver), [""; 0]);
    driver.tick(at(5_000));
    driver.receive(&framed("RDY"), at(5_000));
    assert_eq!(heard(&mut driver), ["Restarted"]);
}

#[test]
fn a_message_that_nobody_can_keep_and_that_stops_is_given_up_in_time() {
    let mut driver = hayes_luat::machine::<64, 512>(Settings::new());
    let start = format!("\r\n+MSUB: \"{}\",100 byte,only a piece", "t".repeat(80));
    driver.receive(start.as_bytes(), START);
    let due = driver.deadline().expect("somebody looks after it");
    assert_eq!(due, Instant::from_millis(1_000));
    driver.tick(due);
    heard(&mut driver);
    driver.receive(&framed("+CGEV: ME DETACH"), due);
    assert_eq!(heard(&mut driver), ["NetworkLost"]);
}

#[test]
fn a_message_is_overwritten_also_if_it_came_during_the_last_fetch() {
    let mut driver = linked(Settings::new().receiving(Receiving::Cached));
    driver.receive(&framed("+MSUB: 0"), START);
    assert_eq!(transmitted(&mut driver, None, START), b"AT+MQTTMSGGET\r\n");
    driver.receive(&framed("+MSUB: 1"), START);
    driver.receive(&framed("OK"), START);
    let publish = Publish::new("t", b"x").unwrap();
    let operation = Operation::Publish(&publish);
    driver.start(&operation, START).unwrap();
    assert!(transmitted(&mut driver, Some(&operation), START).starts_with(b"AT+MPUBEX"));
    driver.receive(&framed("+MSUB: 1"), START);
    assert_eq!(heard(&mut driver), ["Dropped(Dropped { count: 1, bytes: 0, topic: None })"]);
}

#[test]
fn an_operation_that_is_dropped_while_a_message_is_fetched_does_not_disturb_it() {
    let mut driver = linked(Settings::new().receiving(Receiving::Cached));
    driver.receive(&framed("+MSUB: 0"), START);
    assert_eq!(driver.transmit(None, START), Some(b"AT+MQTTMSGGET".as_slice()));
    driver.sent(5);
    let publish = Publish::new("t", b"x").unwrap();
    driver.start(&Operation::Publish(&publish), START).unwrap();
    driver.abandon(0);
    assert_eq!(transmitted(&mut driver, None, START), b"TTMSGGET\r\n");
}

/// What is there when a data phase ends by itself is published (manual, MPUBEX),
/// and the broker may take its time.
#[test]
fn a_data_phase_that_ended_by_itself_leaves_its_result_as_long_as_any() {
    let mut driver = linked(Settings::new());
    let publish = Publish::new("t", b"0123456789").unwrap().qos(QoS::AtLeastOnce);
    let operation = Operation::Publish(&publish);
    driver.start(&operation, START).unwrap();
    dialogue(&mut driver, &operation, &[("AT+MPUBEX", ">")], &mut 0);
    assert!(driver.transmit(Some(&operation), START).is_some());
    driver.sent(4);
    driver.abandon(0);
    let at = Instant::from_millis;
    driver.receive(&framed("OK"), at(5_000));
    driver.tick(at(20_000));
    assert_eq!(driver.link(), LinkState::Connected);
    driver.receive(&framed("PUBACK"), at(20_000));
    assert!(driver.is_idle());
    assert_eq!(driver.link(), LinkState::Connected);
}

/// Signal strength: its answer cannot be that of another command.
#[test]
fn after_a_result_that_did_not_come_the_driver_asks_for_what_it_knows_by_name() {
    let filter = [Subscription::new("t", QoS::AtLeastOnce).unwrap()];
    let mut driver = linked(Settings::new());
    let (_, outcome) = answered(&mut driver, &Operation::Subscribe(&filter), &UP);
    assert_eq!(outcome, Err(Error::NoResult("+MSUB")));
    let (lines, outcome) = answered(&mut driver, &Operation::Status, &UP);
    assert_eq!(outcome, Ok(()));
    assert_eq!(lines[0], "AT+CSQ", "{lines:?}");
    assert!(!lines.contains(&"ATE0".to_owned()), "{lines:?}");
}
