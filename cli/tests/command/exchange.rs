//! Messages in both directions between `hayes` and another client of the same
//! broker, byte for byte.

use std::fs;

use hayes_emulator::simcom::Family;
use rustix::process::Signal;

use crate::support::{
    Emulated, Hayes, Witness, brokers, closed_port, embedded, hayes, hex, noise, temporary,
};

const TEXT: &str = "-21.5 °C, \"quoted\", \\ and $";

#[test]
fn pub_brings_text_bytes_nothing_and_lines_to_the_broker() {
    let file = temporary("payload");
    let random = noise(10_240, 7);
    fs::write(&file, &random).expect("a file");
    let path = file.to_str().expect("text");
    for broker in brokers() {
        let modem = Emulated::on_pty(&[]);
        let witness = Witness::subscribed(&broker, "up/#");
        for qos in ["0", "1", "2"] {
            let rows: [(&[&str], &[u8]); 3] =
                [(&["-m", TEXT], TEXT.as_bytes()), (&["-f", path], &random), (&["-n"], b"")];
            for (source, payload) in rows {
                let mut args = modem.command("pub", &broker.port, &["-t", "up/a b", "-q", qos]);
                args.extend(source);
                assert!(hayes(args).ok().is_empty());
                let message = witness.message();
                assert_eq!(message.topic, "up/a b");
                assert!(message.payload == payload, "{}: {source:?} {qos}", broker.name);
            }
        }
        let args = modem.command("pub", &broker.port, &["-t", "up/lines", "-l", "-q", "1"]);
        Hayes::start(args).feed(b"one\n\n> \xff\r\nlast, without an end").ok();
        for line in [&b"one"[..], b"", b"> \xff\r", b"last, without an end"] {
            assert_eq!(witness.message().payload, line, "{}", broker.name);
        }
    }
    fs::remove_file(file).expect("a file");
}

#[test]
fn sub_prints_what_others_publish() {
    let payloads = [TEXT.as_bytes().to_vec(), noise(10_240, 9), Vec::new(), HOSTILE.to_vec()];
    for broker in brokers() {
        let modem = Emulated::on_pty(&[]);
        let witness = Witness::new(&broker);
        for qos in ["0", "1", "2"] {
            let rest = ["-t", "down/+", "-t", "other", "-q", qos, "-C", "4", "--json", "-v"];
            let mut sub = Hayes::start(modem.command("sub", &broker.port, &rest));
            sub.says("subscribed to down/+, other");
            for payload in &payloads {
                witness.publish("down/1", payload, false);
            }
            let lines = String::from_utf8(sub.end().ok()).expect("JSON");
            let expected: Vec<_> = payloads.iter().map(|payload| json(payload)).collect();
            let found: Vec<serde_json::Value> =
                lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            assert!(found == expected, "{} {qos}: {lines}", broker.name);
        }
    }
}

const HOSTILE: &[u8] = b"\r\nOK\r\n\"\r\n> \r\n+CMQTTRXEND: 0\r\n+CMQTTCONNLOST: 0,1\r\n";

fn json(payload: &[u8]) -> serde_json::Value {
    let mut record = serde_json::json!({ "topic": "down/1", "payload_hex": hex(payload) });
    if let Ok(text) = std::str::from_utf8(payload) {
        record["payload"] = text.into();
    }
    record
}

#[test]
fn a_retained_message_waits_for_its_subscriber_until_it_is_cleared() {
    let broker = embedded();
    let modem = Emulated::on_pty(&[]);
    let sub = ["-t", "kept", "-C", "1", "-W", "60", "-v"];
    hayes(modem.command("pub", &broker.port, &["-t", "kept", "-m", "still here", "-r"])).ok();
    let text = hayes(modem.command("sub", &broker.port, &sub)).ok();
    assert_eq!(text, b"kept still here\n");

    hayes(modem.command("pub", &broker.port, &["-t", "kept", "-n", "-r", "-q", "1"])).ok();
    let witness = Witness::subscribed(&broker, "kept");
    witness.publish("kept", b"new", false);
    assert_eq!(witness.message().payload, "new");
}

#[test]
fn every_family_is_driven_over_tcp_and_over_a_terminal() {
    let broker = embedded();
    let port = format!("mqtt://127.0.0.1:{}", broker.port);
    for family in Family::ALL {
        for start in [Emulated::on_tcp, Emulated::on_pty] {
            // The host and port that the modem is given go nowhere.
            let modem = start(&["--family", family.name(), "--broker", &port]);
            let witness = Witness::subscribed(&broker, "up");
            let payload = noise(1_000, 3);
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

#[test]
fn a_modem_that_was_left_connected_is_taken_over() {
    let broker = embedded();
    let modem = Emulated::on_pty(&[]);
    let rest = ["-t", "down", "-v"];
    let mut left = Hayes::start(modem.command("sub", &broker.port, &rest));
    left.says("subscribed");
    left.signal(Signal::KILL);
    assert_eq!(left.end().code, None);

    let witness = Witness::subscribed(&broker, "up");
    hayes(modem.command("pub", &broker.port, &["-t", "up", "-m", "again"])).ok();
    assert_eq!(witness.message().payload, "again");
}

#[test]
fn info_says_what_the_modem_is_and_how_it_is_doing() {
    for (family, model) in [("sim7600", "SIM7600"), ("a76xx", "A76"), ("sim767xx", "SIM767")] {
        let modem = Emulated::on_pty(&["--family", family]);
        let text = hayes(["info", "--modem", "simcom", "--device", &modem.device]).ok();
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
        assert_eq!(row("address"), "10.184.191.67", "{text}");
        assert_eq!(row("MQTT"), "not connected", "{text}");
    }
}

#[test]
fn the_dialogue_shows_all_but_the_secrets() {
    let broker = embedded();
    let modem = Emulated::on_pty(&["--dialogue"]);
    let rest = ["-t", "up", "-m", "x", "-u", "me", "-P", "s3cret", "--pin", "4711", "--dialogue"];
    let ended = hayes(modem.command("pub", &broker.port, &rest));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("\"me\",\"***\""), "{ended:?}");
    assert!(ended.stderr.contains("< +CMQTTPUB: 0,0"), "{ended:?}");
    modem.process.signal(Signal::TERM);
    let emulated = modem.process.end();
    assert_eq!(emulated.code, Some(0), "{emulated:?}");
    assert!(emulated.stderr.contains("\"me\",\"***\""), "{emulated:?}");
    for text in [ended.stderr, emulated.stderr] {
        assert!(!text.contains("s3cret") && !text.contains("4711"), "{text}");
    }
}

#[test]
fn certificates_are_stored_once_and_a_key_is_never_shown() {
    let modem = Emulated::on_pty(&["--dialogue"]);
    let files = ["ca", "cert", "key"].map(|name| {
        let file = temporary(name);
        let lines: String = (0..80).map(|at| format!("{name}+s3cret/{at:04}\r\n")).collect();
        fs::write(&file, format!("-----BEGIN-----\n{lines}-----END-----\n")).expect("a file");
        file
    });
    let [ca, cert, key] = files.each_ref().map(|file| file.to_str().expect("text"));
    let port = closed_port();
    let mut rest = vec!["-t", "a", "-m", "b", "--dialogue"];
    rest.extend(["--cafile", ca, "--cert", cert, "--key", key]);
    for uploads in [3, 0] {
        let ended = hayes(modem.command("pub", &port, &rest));
        // Nobody listens there; until then all is done as for TLS.
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("connecting to"), "{ended:?}");
        assert_eq!(ended.stderr.matches("> AT+CCERTDOWN=").count(), uploads, "{ended:?}");
        assert!(!ended.stderr.contains("s3cret"), "{ended:?}");
    }
    modem.process.signal(Signal::TERM);
    let emulated = modem.process.end();
    assert!(emulated.stderr.contains("AT+CCERTDOWN="), "{emulated:?}");
    assert!(!emulated.stderr.contains("s3cret"), "{emulated:?}");
    for file in files {
        fs::remove_file(file).expect("a file");
    }
}
