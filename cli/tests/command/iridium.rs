//! A RockREMOTE and a 9704, whose brokers are not asked for, and whose topics
//! have other names in the cloud.

use std::fs;

use rustix::process::Signal;

use crate::support::{
    Emulated, Hayes, RunningBroker, Witness, brokers, embedded, hayes, noise, temporary,
};

const CLOUD: &str = "iot/ACCOUNT-ID/";

fn gateway(broker: &RunningBroker, options: &[&str]) -> Emulated {
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let args = ["emulate", "rockremote", "--listen", "127.0.0.1:0", "--broker", &url];
    Emulated::at_port("rockremote", &[&args, options].concat())
}

fn modem(broker: &RunningBroker) -> Emulated {
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    Emulated::at_link("jspr", &["emulate", "jspr", "--broker", &url])
}

#[test]
fn a_rockremote_carries_any_bytes_both_ways_under_the_accounts_prefix() {
    let file = temporary("payload");
    let random = noise(90_000, 3);
    fs::write(&file, &random).expect("a file");
    let path = file.to_str().expect("text");
    for broker in brokers() {
        let gateway = gateway(&broker, &["--immediately"]);
        let witness = Witness::subscribed(&broker, &format!("{CLOUD}up/#"));
        for qos in ["0", "1", "2"] {
            for (source, payload) in
                [(["-m", "21.5 °C"], "21.5 °C".as_bytes()), (["-f", path], &random)]
            {
                let rest = ["-t", "up/t", "-q", qos, "--any-port"];
                hayes(gateway.in_a_box("pub", &[&rest[..], &source].concat())).ok();
                let message = witness.message();
                assert_eq!(message.topic, format!("{CLOUD}up/t"));
                assert!(message.payload == payload, "{}: {source:?} {qos}", broker.name);
            }
            let rest = ["-t", "dn/#", "-q", qos, "-C", "1", "-v", "--any-port"];
            let mut sub = Hayes::start(gateway.in_a_box("sub", &rest));
            sub.says("subscribed to dn/#");
            witness.publish(&format!("{CLOUD}dn/cmd"), b"open", false);
            assert_eq!(sub.end().ok(), b"dn/cmd open\n", "{} {qos}", broker.name);
        }
    }
    fs::remove_file(file).expect("a file");
}

#[test]
fn what_a_rockremote_would_drop_in_silence_is_refused() {
    let broker = embedded();
    let gateway = gateway(&broker, &[]);
    let file = temporary("payload");
    fs::write(&file, noise(90_001, 5)).expect("a file");
    let path = file.to_str().expect("text");
    let topic = "t".repeat(101);
    for (rest, said) in [
        (["-t", topic.as_str(), "-m", "x"], "topic is 101, above the limit of 100"),
        (["-t", "t", "-f", path], "payload is 90001, above the limit of 90000"),
    ] {
        let line = hayes(gateway.in_a_box("pub", &[&rest[..], &["--any-port"]].concat())).failed();
        assert!(line.contains(said), "{line}");
    }
    fs::remove_file(file).expect("a file");
    let line = hayes(gateway.in_a_box("pub", &["-t", "t", "-m", "x"])).failed();
    assert!(
        line.contains("port is ") && line.contains("1883") && line.contains("--any-port"),
        "{line}"
    );
    let line = hayes(gateway.in_a_box("pub", &["-t", "t", "-m", "x", "--any-port", "--insecure"]));
    assert!(line.failed().contains("not supported by this modem: TLS"));
}

#[test]
fn a_9704_carries_messages_on_its_provisioned_topics() {
    for broker in brokers() {
        let modem = modem(&broker);
        let witness = Witness::subscribed(&broker, "imt/244");
        for (topic, qos) in [("RAW", "0"), ("imt/244", "1")] {
            let rest = ["-t", topic, "-m", "21.5 °C", "-q", qos];
            hayes(modem.in_a_box("pub", &rest)).ok();
            let message = witness.message();
            assert_eq!(
                (message.topic.as_str(), &message.payload[..]),
                ("imt/244", "21.5 °C".as_bytes())
            );
        }
        let mut sub = Hayes::start(modem.in_a_box("sub", &["-t", "PEBBLE", "-C", "1", "-v"]));
        sub.says("subscribed to PEBBLE");
        witness.publish("imt/247", b"open", false);
        assert_eq!(sub.end().ok(), b"PEBBLE open\n", "{}", broker.name);
    }
}

#[test]
fn what_a_9704_cannot_do_is_told() {
    let broker = embedded();
    let modem = modem(&broker);
    for (rest, said) in [
        (&["-t", "nobody", "-m", "x"][..], "topic is not provisioned"),
        (&["-t", "RAW", "-m", "x", "-q", "2"], "not supported by this modem: QoS 2"),
        (&["-t", "RAW", "-m", "x", "-r"], "not supported by this modem: retained messages"),
        (&["-t", "RAW", "-n"], "not supported by this modem: an empty payload"),
    ] {
        let line = hayes(modem.in_a_box("pub", rest)).failed();
        assert!(line.contains(said), "{line}");
    }
}

#[test]
fn info_asks_a_9704_and_fails_where_none_answers() {
    let broker = embedded();
    let modem = modem(&broker);
    let text = String::from_utf8(hayes(modem.in_a_box("info", &[])).ok()).expect("text");
    let known = |name: &str| {
        let row = text.lines().find_map(|line| line.strip_prefix(name)).expect("a row");
        !row.trim_start().starts_with("unknown")
    };
    assert!(known("model") && known("firmware") && known("SIM"), "{text}");

    let mute = Emulated::at_link("jspr", &["emulate", "jspr", "--fault", "silent=0"]);
    let line = hayes(mute.in_a_box("info", &[])).failed();
    assert!(line.contains("does not answer"), "{line}");
}

#[test]
fn a_rockremote_is_not_asked_for_what_it_does_not_tell() {
    let ended = hayes(["info", "--modem", "rockremote", "--device", "tcp:127.0.0.1:1"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("web page"), "{ended:?}");
}

#[test]
fn a_broker_that_cannot_be_chosen_is_a_wrong_flag() {
    for (modem, device) in [("rockremote", "tcp:127.0.0.1:1883"), ("jspr", "/dev/null")] {
        let args = ["pub", "--modem", modem, "--device", device, "-t", "t", "-m", "x", "-h", "h"];
        let ended = hayes(args);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("no --host"), "{ended:?}");
    }
    let args = ["pub", "--modem", "rockremote", "--device", "/dev/ttyS0", "-t", "t", "-m", "x"];
    let ended = hayes(args);
    assert!(ended.code == Some(2) && ended.stderr.contains("tcp:HOST:PORT"), "{ended:?}");
    let ended = hayes(["pub", "--device", "/dev/null", "-t", "t", "-m", "x"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("--host"), "{ended:?}");
}

#[test]
fn a_box_that_goes_away_ends_a_subscription_with_one_line() {
    let broker = embedded();
    let gateway = gateway(&broker, &[]);
    let mut sub = Hayes::start(gateway.in_a_box("sub", &["-t", "#", "-v", "--any-port"]));
    sub.says("subscribed to #");
    gateway.process.signal(Signal::KILL);
    let ended = sub.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("closed by the other side"), "{ended:?}");
}
