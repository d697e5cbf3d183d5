//! Messages in both directions between `hayes` and another client of the same
//! broker, byte for byte.

use std::fs;

use rustix::process::Signal;

use crate::support::{
    Hayes, KINDS, Kind, RunningBroker, Witness, brokers, closed_port, embedded, hayes, hex, noise,
    temporary,
};

const TEXT: &str = "-21.5 °C, \"quoted\", \\ and $";

const JSON: &str = "{\"degrees\": 21.5,\r\n \"note\": \"a \\\"b\\\"\",\n \"none\": \"\"}";

#[test]
fn pub_brings_text_bytes_nothing_and_lines_to_the_broker() {
    for kind in &KINDS {
        let file = temporary("payload");
        let random = noise(kind.longest(), 7);
        fs::write(&file, &random).expect("a file");
        let path = file.to_str().expect("text");
        for broker in brokers() {
            let rows: [(&[&str], &[u8]); 4] = [
                (&["-m", TEXT], TEXT.as_bytes()),
                (&["-m", JSON], JSON.as_bytes()),
                (&["-f", path], &random),
                (&["-n"], b""),
            ];
            bring(kind, &broker, &rows);
        }
        fs::remove_file(file).expect("a file");
    }
}

fn bring(kind: &Kind, broker: &RunningBroker, rows: &[(&[&str], &[u8])]) {
    let modem = kind.on_pty(&[]);
    let witness = Witness::subscribed(broker, "up/#");
    for qos in ["0", "1", "2"] {
        for (source, payload) in rows {
            let mut args = modem.command("pub", &broker.port, &["-t", "up/a b", "-q", qos]);
            args.extend(*source);
            assert!(hayes(args).ok().is_empty());
            let message = witness.message();
            assert_eq!(message.topic, "up/a b");
            let (name, broker) = (kind.name, broker.name);
            assert!(message.payload == *payload, "{name}, {broker}: {source:?} {qos}");
        }
    }
    let args = modem.command("pub", &broker.port, &["-t", "up/lines", "-l", "-q", "1"]);
    Hayes::start(args).feed(b"one\n\n> \xff\r\nlast, without an end").ok();
    for line in [&b"one"[..], b"", b"> \xff\r", b"last, without an end"] {
        assert_eq!(witness.message().payload, line, "{}, {}", kind.name, broker.name);
    }
    let all: Vec<u8> = (0..=255).collect();
    let args = modem.command("pub", &broker.port, &["-t", "up/all", "-s"]);
    Hayes::start(args).feed(&all).ok();
    assert_eq!(witness.message().payload, all, "{}, {}", kind.name, broker.name);
}

#[test]
fn sub_prints_what_others_publish() {
    for kind in &KINDS {
        let random = noise(kind.longest(), 9);
        let payloads = [TEXT.as_bytes(), JSON.as_bytes(), &random, b"", HOSTILE];
        for broker in brokers() {
            let modem = kind.on_pty(&[]);
            let witness = Witness::new(&broker);
            for qos in ["0", "1", "2"] {
                let rest = ["-t", "down/+", "-t", "other", "-q", qos, "-C", "5", "--json", "-v"];
                let mut sub = Hayes::start(modem.command("sub", &broker.port, &rest));
                sub.says("subscribed to down/+, other");
                for payload in payloads {
                    witness.publish("down/1", payload, false);
                }
                let lines = String::from_utf8(sub.end().ok()).expect("JSON");
                let expected: Vec<_> = payloads.iter().map(|payload| json(payload)).collect();
                let found: Vec<serde_json::Value> =
                    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
                let (name, broker) = (kind.name, broker.name);
                assert!(found == expected, "{name}, {broker} {qos}: {lines}");
            }
        }
    }
}

const HOSTILE: &[u8] = b"\r\nOK\r\n\"\r\n> \r\n+CMQTTRXEND: 0\r\n+CMQTTCONNLOST: 0,1\r\n\
    +MSUB: \"down/1\",3 byte,abc\r\nSUBACK\r\nCLOSED\r\n+CGEV: NW PDN DEACT 1\r\n";

fn json(payload: &[u8]) -> serde_json::Value {
    let mut record = serde_json::json!({ "topic": "down/1", "payload_hex": hex(payload) });
    if let Ok(text) = std::str::from_utf8(payload) {
        record["payload"] = text.into();
    }
    record
}

#[test]
fn a_retained_message_waits_for_its_subscriber_until_it_is_cleared() {
    for kind in &KINDS {
        let broker = embedded();
        let modem = kind.on_pty(&[]);
        let sub = ["-t", "kept", "-C", "1", "-W", "60", "-v"];
        hayes(modem.command("pub", &broker.port, &["-t", "kept", "-m", "still here", "-r"])).ok();
        let text = hayes(modem.command("sub", &broker.port, &sub)).ok();
        assert_eq!(text, b"kept still here\n", "{}", kind.name);

        hayes(modem.command("pub", &broker.port, &["-t", "kept", "-n", "-r", "-q", "1"])).ok();
        let witness = Witness::subscribed(&broker, "kept");
        witness.publish("kept", b"new", false);
        assert_eq!(witness.message().payload, "new", "{}", kind.name);
    }
}

#[test]
fn the_will_is_published_when_the_modem_dies() {
    for kind in &KINDS {
        for broker in brokers() {
            let modem = kind.on_pty(&[]);
            let witness = Witness::subscribed(&broker, "will");
            let rest =
                ["-t", "a", "--dialogue", "--will-topic", "will", "--will-payload", "gone, x"];
            let mut sub = Hayes::start(modem.command("sub", &broker.port, &rest));
            sub.says(kind.subscribed);
            modem.process.signal(Signal::KILL);
            assert_eq!(witness.message().payload, "gone, x", "{}, {}", kind.name, broker.name);
        }
    }
}

#[test]
fn every_family_is_driven_over_tcp_and_over_a_terminal() {
    let broker = embedded();
    let port = format!("mqtt://127.0.0.1:{}", broker.port);
    for kind in &KINDS {
        for (family, _, longest) in kind.families {
            for start in [Kind::on_tcp, Kind::on_pty] {
                // The host and port that the modem is given go nowhere.
                let modem = start(kind, &["--family", family, "--broker", &port]);
                let witness = Witness::subscribed(&broker, "up");
                let payload = noise(*longest, 3);
                let file = temporary("payload");
                fs::write(&file, &payload).expect("a file");
                let path = file.to_str().expect("text");
                hayes(modem.command("pub", "1", &["-t", "up", "-f", path, "-q", "2"])).ok();
                assert!(witness.message().payload == payload, "{family}");
                fs::remove_file(file).expect("a file");

                let sub = ["-t", "down/#", "-t", "b", "-C", "2", "-v"];
                let mut sub = Hayes::start(modem.command("sub", "1", &sub));
                sub.says("subscribed");
                witness.publish("down/x/y", b"hello", false);
                witness.publish("b", b"", false);
                assert_eq!(sub.end().ok(), b"down/x/y hello\nb \n", "{family}");
            }
        }
    }
}

#[test]
fn a_modem_that_was_left_connected_is_taken_over() {
    for kind in &KINDS {
        let broker = embedded();
        let modem = kind.on_pty(&[]);
        let rest = ["-t", "down", "-v"];
        let mut left = Hayes::start(modem.command("sub", &broker.port, &rest));
        left.says("subscribed");
        left.signal(Signal::KILL);
        assert_eq!(left.end().code, None);

        let witness = Witness::subscribed(&broker, "up");
        hayes(modem.command("pub", &broker.port, &["-t", "up", "-m", "again"])).ok();
        assert_eq!(witness.message().payload, "again", "{}", kind.name);
    }
}

#[test]
fn info_says_what_the_modem_is_and_how_it_is_doing() {
    for kind in &KINDS {
        for (family, model, _) in kind.families {
            let modem = kind.on_pty(&["--family", family]);
            let text = hayes(["info", "--modem", kind.name, "--device", &modem.device]).ok();
            let text = String::from_utf8(text).expect("text");
            let row = |name: &str| {
                let row = text.lines().find_map(|line| line.strip_prefix(name));
                row.map(str::trim_start).unwrap_or_default()
            };
            assert!(row("model").starts_with(model), "{text}");
            assert!(!row("firmware").is_empty() && row("firmware") != "unknown", "{text}");
            assert_eq!(row("SIM"), "ready", "{text}");
            assert_eq!(row("registration"), "home", "{text}");
            assert!(row("signal").ends_with(" dBm"), "{text}");
            assert_eq!(row("address"), kind.address, "{text}");
            assert_eq!(row("MQTT"), "not connected", "{text}");
            assert!(row("longest payload").ends_with(" bytes"), "{text}");
        }
    }
}

#[test]
fn the_longest_payload_of_a_family_is_known_before_it_is_sent() {
    let broker = embedded();
    for kind in &KINDS {
        let (_, _, longest) = kind.families[0];
        let modem = kind.on_pty(&[]);
        let file = temporary("payload");
        fs::write(&file, noise(longest + 1, 5)).expect("a file");
        let rest = ["-t", "up", "-f", file.to_str().expect("text")];
        let line = hayes(modem.command("pub", &broker.port, &rest)).failed();
        assert!(line.contains(&format!("above the limit of {longest}")), "{line}");
        let topic = "t".repeat(2_000);
        let line = hayes(modem.command("pub", &broker.port, &["-t", &topic, "-n"])).failed();
        assert!(line.contains("topic is 2000, above the limit of ") && line.len() < 200, "{line}");
        fs::remove_file(file).expect("a file");
    }
}

#[test]
fn the_dialogue_shows_all_but_the_secrets() {
    let broker = embedded();
    for kind in &KINDS {
        let modem = kind.on_pty(&["--dialogue"]);
        let mut rest = vec!["-t", "up", "-m", "x", "-u", "me", "-P", "s3cret", "--pin", "4711"];
        rest.extend(["--apn", "iot", "--apn-user", "u", "--apn-password", "s3cret"]);
        rest.extend(["--apn-auth-order", "user-first", "--dialogue"]);
        let ended = hayes(modem.command("pub", &broker.port, &rest));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains(kind.secret), "{ended:?}");
        assert!(ended.stderr.contains(kind.published), "{ended:?}");
        modem.process.signal(Signal::TERM);
        let emulated = modem.process.end();
        assert_eq!(emulated.code, Some(0), "{emulated:?}");
        assert!(emulated.stderr.contains(kind.secret), "{emulated:?}");
        for text in [ended.stderr, emulated.stderr] {
            assert!(!text.contains("s3cret") && !text.contains("4711"), "{text}");
        }
    }
}

#[test]
fn certificates_are_stored_once_and_a_key_is_never_shown() {
    let files = ["ca", "cert", "key"].map(|name| {
        let file = temporary(name);
        let lines: String = (0..80).map(|at| format!("{name}+s3cret/{at:04}\r\n")).collect();
        fs::write(&file, format!("-----BEGIN {name}-----\n{lines}-----END {name}-----\n"))
            .expect("a file");
        file
    });
    let [ca, cert, key] = files.each_ref().map(|file| file.to_str().expect("text"));
    let port = closed_port();
    let mut rest = vec!["-t", "a", "-m", "b", "--dialogue"];
    rest.extend(["--cafile", ca, "--cert", cert, "--key", key]);
    for kind in &KINDS {
        let modem = kind.on_pty(&["--dialogue"]);
        for uploads in [3, 0] {
            let ended = hayes(modem.command("pub", &port, &rest));
            // Nobody listens there; until then all is done as for TLS.
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stderr.contains("connecting to"), "{ended:?}");
            assert_eq!(ended.stderr.matches(kind.upload).count(), uploads, "{ended:?}");
            assert!(!ended.stderr.contains("s3cret"), "{ended:?}");
        }
        modem.process.signal(Signal::TERM);
        let emulated = modem.process.end();
        assert!(emulated.stderr.contains(kind.upload), "{emulated:?}");
        assert!(!emulated.stderr.contains("s3cret"), "{emulated:?}");
    }
    for file in files {
        fs::remove_file(file).expect("a file");
    }
}
