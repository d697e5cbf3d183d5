//! `hayes demo`.

use crate::support::{Hayes, hayes};

/// Of each vendor, rows that must be there.
const ROWS: &[(&[&str], &[&str])] = &[
    (&["demo"], SIMCOM),
    (&["demo", "--modem", "simcom"], SIMCOM),
    (&["demo", "--modem", "luat"], LUAT),
    (&["demo", "--modem", "rockremote"], ROCKREMOTE),
    (&["demo", "--modem", "jspr"], JSPR),
];

const SIMCOM: &[&str] =
    &["  > AT+CMQTTSTART", "  < >", "  > AT+CMQTTPUB=0,2,60", "  < +CMQTTRXEND: 0"];
const LUAT: &[&str] = &[
    "  < CONNACK OK",
    "  > AT+MPUBEX=\"hayes/demo/up\",2,0,2048",
    "  < >",
    "  < PUBCOMP",
    "  < +MSUB: \"hayes/demo/down\",8 byte,21.5 °C",
];

const ROCKREMOTE: &[&str] =
    &["  < CONNACK Success", "  < PUBCOMP 3", "  < PUBLISH QoS 1 1 \"hayes/demo/down\" 21.5 °C"];
const JSPR: &[&str] = &[
    "  > GET apiVersion {}",
    "  > PUT messageOriginate {\"topic_id\": 244, \"message_length\": 2050, \"request_reference\": 3}",
    "  < 299 messageOriginateStatus {\"topic_id\":244,\"message_id\":2,\"final_mo_status\":\"mo_ack_received\"}",
    "  < 299 messageTerminate {\"topic_id\":247,\"message_id\":2,\"message_length_max\":2050}",
];

#[test]
fn the_demo_shows_the_dialogue_and_sums_up() {
    for (args, expected) in ROWS {
        let text = String::from_utf8(hayes(*args).ok()).expect("text");
        let last = text.lines().last().expect("a line");
        assert!(last.starts_with("demo ok: 3 published, 3 received"), "{text}");
        for row in expected.iter().chain(&["  = disconnected"]) {
            assert!(text.lines().any(|line| line.ends_with(row)), "{row}: {text}");
        }
        for row in text.lines().filter(|line| *line != last) {
            let (millis, mark) = row.split_at(8);
            assert!(millis.trim_start().parse::<u32>().is_ok(), "{row}");
            assert!(["  > ", "  < ", "  = "].contains(&&mark[..4]), "{row}");
        }
    }
}

#[test]
fn nobody_has_to_read_it_to_the_end() {
    let mut demo = Hayes::start(["demo"]);
    demo.stop_reading();
    let ended = demo.end();
    assert!(ended.stderr.is_empty() && ended.code == Some(0), "{ended:?}");
}
