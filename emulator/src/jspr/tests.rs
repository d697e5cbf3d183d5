//! The dialogue, byte for byte. The expected bytes come from logs of real modems, from the
//! vendor's library and examples, and where neither exists from the framing that they document;
//! each test says from which. For the notation of the scripts see [`crate::desk`].

use super::*;
use crate::Fault;
use crate::desk::{assert_same, unescape};
use serde_json::Value;

type Desk = crate::desk::Desk<Modem>;

/// An earlier host has done the handshake, and nothing takes time.
fn plain() -> Config {
    Config { configured: true, delays: Delays::NONE, ..Config::default() }
}

impl Desk {
    fn ready() -> Self {
        Desk::new(plain()).settled()
    }

    fn with(quirks: &[Quirk]) -> Self {
        Desk::new(Config { quirks: quirks.iter().copied().collect(), ..plain() }).settled()
    }

    fn originating(mo: Originate) -> Self {
        Desk::new(Config { mo, ..plain() }).settled()
    }

    fn terminating(mt: Terminate) -> Self {
        Desk::new(Config { mt, ..plain() }).settled()
    }

    fn faulty(faults: &[Fault]) -> Self {
        Desk::new(Config { faults: faults.to_vec(), ..plain() }).settled()
    }

    /// The gateway has connected.
    fn settled(mut self) -> Self {
        assert_eq!(self.read(), b"");
        assert!(self.modem.is_connected(0));
        self
    }

    /// What came without the host's doing.
    fn hears(&mut self, expected: &str) -> &mut Self {
        let expected: Vec<u8> = expected.lines().flat_map(|l| unescape(l.trim_start())).collect();
        let heard = self.read();
        assert_same("what was done", &heard, &expected);
        self
    }

    fn sky(&mut self, sky: Sky) -> &mut Self {
        self.modem.set_sky(self.now, sky);
        self
    }

    fn mt(&mut self, topic: u16, payload: &[u8], fate: Fate) -> &mut Self {
        self.modem.start_mt(self.now, topic, payload, fate);
        self
    }

    /// Originates a message on topic 244 that begins with `PUT messageOriginate`, as far as its
    /// acceptance; returns what came after it.
    fn originate(&mut self, length: usize) -> Vec<Line> {
        let request = format!(
            "PUT messageOriginate {{\"topic_id\": 244, \"message_length\": {length}, \"request_reference\": 1}}\r"
        );
        let mut lines = lines(&self.send(request));
        let reply = lines.remove(0);
        assert_eq!(reply.code, 200, "{reply:?}");
        assert_eq!(reply.body["message_response"], "message_accepted");
        lines
    }

    /// Supplies whatever is asked for until nothing more is; returns the other lines.
    fn supply(&mut self, bytes: &[u8], mut pending: Vec<Line>) -> Vec<Line> {
        let mut others = Vec::new();
        while !pending.is_empty() {
            let line = pending.remove(0);
            match (line.code, &line.target[..]) {
                (299, "messageOriginateSegment") => {
                    let reply = self.send(segment(&line, bytes));
                    pending.extend(lines(&reply));
                }
                (200, "messageOriginateSegment") => {}
                _ => others.push(line),
            }
        }
        others
    }

    /// A message on topic 244 from its beginning to whatever comes at once.
    fn mo(&mut self, payload: &[u8]) -> Vec<Line> {
        let bytes = sealed(payload);
        let asked = self.originate(bytes.len());
        self.supply(&bytes, asked)
    }
}

/// A line of the modem, read by another program than the one that wrote it.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    code: u16,
    target: String,
    body: Value,
}

impl Line {
    fn number(&self, key: &str) -> usize {
        self.body[key].as_u64().expect("a number") as usize
    }
}

fn lines(bytes: &[u8]) -> Vec<Line> {
    let text = std::str::from_utf8(bytes).expect("text");
    assert!(text.is_empty() || text.ends_with('\r'), "{text:?}");
    text.split_terminator('\r')
        .map(|line| {
            let parts: Vec<&str> = line.splitn(3, ' ').collect();
            let [code, target, body] = parts[..] else { panic!("no line: {line:?}") };
            Line {
                code: code.parse().expect("three digits"),
                target: target.into(),
                body: serde_json::from_str(body).expect("JSON"),
            }
        })
        .collect()
}

/// The answer to a request for a segment.
fn segment(request: &Line, bytes: &[u8]) -> String {
    let (start, length) = (request.number("segment_start"), request.number("segment_length"));
    format!(
        "PUT messageOriginateSegment {{\"topic_id\": {}, \"message_id\": {}, \
         \"segment_length\": {length}, \"segment_start\": {start}, \"data\": \"{}\"}}\r",
        request.body["topic_id"],
        request.body["message_id"],
        base64(&bytes[start..start + length])
    )
}

/// RFC 4648, section 4, once more.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().chain([&0, &0]).take(3).fold(0, |w, b| w << 8 | usize::from(*b));
        for at in 0..4 {
            let digit = DIGITS[word >> (18 - 6 * at) & 63];
            text.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn unbase64(text: &str) -> Vec<u8> {
    let digit = |d: u8| match d {
        b'A'..=b'Z' => d - b'A',
        b'a'..=b'z' => d - b'a' + 26,
        b'0'..=b'9' => d - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let digits: Vec<u8> = group.iter().copied().filter(|d| *d != b'=').collect();
        let word =
            (0..4).fold(0, |w, at| w << 6 | digits.get(at).map_or(0, |d| u32::from(digit(*d))));
        bytes.extend(&word.to_be_bytes()[1..digits.len()]);
    }
    bytes
}

/// Payload and CRC-16/XMODEM, bit by bit.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut crc = 0_u16;
    for byte in payload {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    [payload, &crc.to_be_bytes()].concat()
}

fn finals(lines: &[Line]) -> Vec<&str> {
    let last = lines.iter().filter(|line| line.target == "messageOriginateStatus");
    last.filter(|line| line.code == 299)
        .map(|line| line.body["final_mo_status"].as_str().expect("a status"))
        .collect()
}

/// The messages of the network, put together as a host does.
fn received(lines: &[Line]) -> Vec<(usize, Vec<u8>)> {
    let mut open: Vec<((usize, usize), Vec<u8>)> = Vec::new();
    let mut complete = Vec::new();
    for line in lines.iter().filter(|line| line.target.starts_with("messageTerminate")) {
        let name = (line.number("topic_id"), line.number("message_id"));
        let place = open.iter().position(|(known, _)| *known == name);
        match (&line.target[..], place) {
            ("messageTerminate", None) => open.push((name, Vec::new())),
            ("messageTerminateSegment", Some(at)) => {
                let data = unbase64(line.body["data"].as_str().expect("text"));
                let start = line.number("segment_start");
                assert_eq!(data.len(), line.number("segment_length"));
                let bytes = &mut open[at].1;
                bytes.resize(bytes.len().max(start + data.len()), 0);
                bytes[start..start + data.len()].copy_from_slice(&data);
            }
            ("messageTerminateStatus", Some(at)) => {
                let (_, mut bytes) = open.remove(at);
                let payload = bytes[..bytes.len().saturating_sub(2)].to_vec();
                if line.body["final_mt_status"] == "complete" && sealed(&payload) == bytes {
                    bytes.truncate(payload.len());
                    complete.push((name.0, bytes));
                }
            }
            _ => panic!("out of place: {line:?}"),
        }
    }
    complete
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

// ---- whole conversations ----------------------------------------------------------------------

/// Capture: handshake with an unconfigured modem, API 1.7.0.
#[test]
fn a_cold_handshake_goes_as_captured() {
    let mut config = Config { delays: Delays::NONE, ..Config::default() };
    config.iccid = "8988XXXXXXXXXXXXXXX".into();
    config.hardware.imei = "300XXXXXXXXXXXX".into();
    config.sky = Sky::at(4, -111);
    Desk::new(config).play(
        r#"
        > GET apiVersion {}\r
        < 200 apiVersion {"supported_versions":[{"major":1,"minor":7,"patch":0},{"major":1,"minor":6,"patch":1},{"major":1,"minor":6,"patch":0}]}\r
        > PUT apiVersion {"active_version": {"major": 1, "minor": 7, "patch": 0}}\r
        < 200 apiVersion {"supported_versions":[{"major":1,"minor":7,"patch":0},{"major":1,"minor":6,"patch":1},{"major":1,"minor":6,"patch":0}],"active_version":{"major":1,"minor":7,"patch":0}}\r
        > PUT simConfig {"interface": "internal"}\r
        < 200 simConfig {"interface":"internal"}\r
        < 299 simStatus {"card_present":true,"sim_connected":true,"iccid":"8988XXXXXXXXXXXXXXX"}\r
        > PUT operationalState {"state": "active"}\r
        < 200 operationalState {"state":"active"}\r
        < 299 operationalState {"state":"active","reason":0}\r
        < 299 constellationState {"constellation_visible":false,"signal_bars":0}\r
        < 299 constellationState {"constellation_visible":true,"signal_bars":4,"signal_level":-111}\r
        > GET hwInfo {}\r
        < 200 hwInfo {"hw_version":"0x0601","serial_number":"1a0000","imei":"300XXXXXXXXXXXX","board_temp":19}\r
        "#,
    );
}

/// Capture: a message in one segment. Its base64 holds the CRC as the log printed it.
#[test]
fn a_message_in_one_segment_goes_as_captured() {
    let mut desk = Desk::originating(Originate { first_id: 5, ..Originate::default() });
    desk.play(
        r#"
        > PUT messageOriginate {"topic_id": 244, "message_length": 42, "request_reference": 1}\r
        < 200 messageOriginate {"topic_id":244,"request_reference":1,"message_id":5,"message_response":"message_accepted"}\r
        < 299 messageOriginateSegment {"topic_id":244,"message_id":5,"segment_length":42,"segment_start":0}\r
        > PUT messageOriginateSegment {"topic_id": 244, "message_id": 5, "segment_length": 42, "segment_start": 0, "data": "TWVzaFNhdCBsYXB0b3AgdGVzdCAyMDI2LTAzLTI0VDE4OjI4OjAxWqrr"}\r
        < 200 messageOriginateSegment {"topic_id":244,"message_id":5}\r
        < 299 messageOriginateStatus {"topic_id":244,"message_id":5,"final_mo_status":"mo_ack_received"}\r
        "#,
    );
    let text = b"MeshSat laptop test 2026-03-24T18:28:01Z".to_vec();
    assert_eq!(desk.modem.received(), [(244, text.clone())]);
    let [message] = desk.broker.published() else { panic!("one message") };
    assert_eq!((&message.topic[..], &message.payload[..]), (&b"imt/244"[..], &text[..]));
}

/// Literal lines of the vendor library's unit tests, as far as they are single answers of one
/// modem; where they have blanks, the modem has none.
#[test]
fn answers_are_as_in_the_vendors_unit_tests() {
    let mut config = plain();
    config.versions = vec![Version::new(1, 0, 1), Version::new(1, 1, 0), Version::new(1, 2, 0)];
    config.hardware.board_temp = 24;
    config.sky = Sky::at(5, -108);
    config.mo = Originate { first_id: 4, ..Originate::default() };
    config.mo.segments.size = 7;
    config.mt.first_id = 1;
    let mut desk = Desk::new(config).settled();
    desk.play(
        r#"
        > GET apiVersion {}\r
        < 200 apiVersion {"supported_versions":[{"major":1,"minor":0,"patch":1},{"major":1,"minor":1,"patch":0},{"major":1,"minor":2,"patch":0}],"active_version":{"major":1,"minor":2,"patch":0}}\r
        > GET simConfig {}\r
        < 200 simConfig {"interface":"internal"}\r
        > GET operationalState {}\r
        < 200 operationalState {"state":"active","reason":0}\r
        > GET constellationState {}\r
        < 200 constellationState {"constellation_visible":true,"signal_bars":5,"signal_level":-108}\r
        > GET messageProvisioning {}\r
        < 200 messageProvisioning {"provisioning":[{"topic_id":244,"topic_name":"RAW","priority":"High","discard_time_seconds":604800,"max_queue_depth":99},{"topic_id":247,"topic_name":"PEBBLE","priority":"Medium","discard_time_seconds":432000,"max_queue_depth":99}]}\r
        > GET hwInfo {}\r
        < 200 hwInfo {"hw_version":"0x0601","serial_number":"1a0000","imei":"300000000000000","board_temp":24}\r
        > GET simStatus {}\r
        < 200 simStatus {"card_present":true,"sim_connected":true,"iccid":"8988000000000000000"}\r
        > GET firmware {"slot": "primary"}\r
        < 200 firmware {"slot":"primary","validity":true,"version":{"major":1,"minor":5,"patch":5,"build_info":"SX-240927-6C70C408-P1-P3142-1025485-11216251"},"hash":"a82923dbc0745c19ccd1c81d85e9a8ced9875f7f648db9bacd8d19bab61090cb"}\r
        > PUT messageOriginate {"topic_id":244, "message_length":12, "request_reference":1}\r
        < 200 messageOriginate {"topic_id":244,"request_reference":1,"message_id":4,"message_response":"message_accepted"}\r
        < 299 messageOriginateSegment {"topic_id":244,"message_id":4,"segment_length":7,"segment_start":0}\r
        "#,
    );
    desk.mt(244, b"hello", Fate::Complete).hears(
        r#"299 messageTerminate {"topic_id":244,"message_id":1,"message_length_max":7}\r
        299 messageTerminateSegment {"topic_id":244,"message_id":1,"segment_length":7,"segment_start":0,"data":"aGVsbG/DYg=="}\r
        299 messageTerminateStatus {"topic_id":244,"message_id":1,"final_mt_status":"complete"}\r"#,
    );
    desk.modem.power_cycle(desk.now);
    let heard = desk.pass(870);
    let expected = b"\x11299 bootInfo {\"image_type\":\"production\",\"version\":{\"major\":1,\"minor\":5,\"patch\":5,\"build_info\":\"SX-240927-6C70C408-P1-P3142-1025485-11216251\"},\"boot_source\":\"primary\"}\r";
    assert_same("power", &heard, expected);
}

/// Capture of a library's pull request: all topics are gone. Section 2.10 F for their return.
#[test]
fn a_resync_takes_the_topics_away_as_captured() {
    let mut desk = Desk::new(Config {
        delays: Delays { first_report: 500, provisioning: 600_000, ..Delays::NONE },
        ..plain()
    })
    .settled();
    desk.play(
        r#"
        > PUT serviceConfig {"resync": true}\r
        < 406 serviceConfig {}\r
        > PUT operationalState {"state": "inactive"}\r
        < 200 operationalState {"state":"inactive"}\r
        < 299 operationalState {"state":"inactive","reason":0}\r
        > GET operationalState {}\r
        < 200 operationalState {"state":"inactive","reason":0}\r
        > PUT serviceConfig {"resync": true}\r
        < 200 serviceConfig {"resync":true}\r
        < 299 provisioningStatus {"provisioning_valid":false,"fully_compatible":false}\r
        < 299 packetDataServiceProvisioning {"packet_data_services":[]}\r
        < 299 voiceProvisioning {"line":[{"line_type":"inactive","channel":"line1"},{"line_type":"inactive","channel":"line2"}]}\r
        < 299 messageProvisioning {"provisioning":[]}\r
        < 299 operationalState {"state":"active","reason":0}\r
        ! pass 500
        < 299 constellationState {"constellation_visible":false,"signal_bars":0}\r
        < 299 constellationState {"constellation_visible":true,"signal_bars":4,"signal_level":-111}\r
        # Not without a restart.
        ! pass 3600000
        > GET messageProvisioning {}\r
        < 200 messageProvisioning {"provisioning":[]}\r
        "#,
    );
    desk.modem.reboot(desk.now);
    desk.pass(870);
    desk.send("PUT apiVersion {\"active_version\": {\"major\": 1, \"minor\": 7, \"patch\": 0}}\r");
    desk.send("PUT simConfig {\"interface\": \"internal\"}\r");
    desk.send("PUT operationalState {\"state\": \"active\"}\r");
    desk.pass(500);
    assert_eq!(
        lines(&desk.send("GET messageProvisioning {}\r"))[0].body["provisioning"],
        serde_json::json!([])
    );
    let heard = lines(&desk.pass(600_000));
    assert_eq!(heard.len(), 1);
    assert_eq!((heard[0].code, &heard[0].target[..]), (299, "messageProvisioning"));
    assert_eq!(heard[0].body["provisioning"][0]["topic_name"], "RAW");
}

/// Log of an embedded port: the last lines, which are literal, and the GET before them.
#[test]
fn a_faint_sky_comes_and_goes_as_logged() {
    let mut desk = Desk::new(Config { sky: Sky::HIDDEN, ..plain() }).settled();
    desk.play(
        r#"
        > GET constellationState {}\r
        < 200 constellationState {"constellation_visible":false,"signal_bars":0}\r
        "#,
    );
    desk.sky(Sky::at(0, -117)).hears(
        r#"299 constellationState {"constellation_visible":true,"signal_bars":0,"signal_level":-117}\r"#,
    );
    desk.sky(Sky::HIDDEN)
        .hears(r#"299 constellationState {"constellation_visible":false,"signal_bars":0}\r"#)
        .sky(Sky::HIDDEN)
        .hears("");
}

/// Field trace of half an hour, rebuilt from values: signal and messages by their times. Where it
/// repeats a state it was written by a host that asked; here the state is left out.
#[test]
fn half_an_hour_outdoors_goes_as_traced() {
    enum Seen {
        Sky(Sky),
        Message(&'static str, u8, usize, &'static str),
    }
    use Seen::{Message, Sky as Signal};
    let trace = [
        (61_000, Signal(Sky::at(2, -114))),
        (1000, Signal(Sky::at(2, -115))),
        (3000, Signal(Sky::at(1, -115))),
        (11_000, Signal(Sky::at(3, -109))),
        (9000, Signal(Sky::at(5, -109))),
        (34_000, Signal(Sky::at(0, -120))),
        (188_000, Signal(Sky::at(4, -114))),
        (1000, Message("Hello Lux!", 8, 12, "SGVsbG8gTHV4If+M")),
        (0, Message("Hello from Lux 2!", 9, 19, "SGVsbG8gZnJvbSBMdXggMiHsLQ==")),
        (0, Signal(Sky::at(3, -112))),
        (189_000, Signal(Sky::HIDDEN)),
        (163_000, Message("17h34 local test", 10, 18, "MTdoMzQgbG9jYWwgdGVzdHTo")),
        (51_000, Message("17:35 local test", 11, 18, "MTc6MzUgbG9jYWwgdGVzdGwX")),
        (128_000, Message("Test test test 17:37", 12, 22, "VGVzdCB0ZXN0IHRlc3QgMTc6Mzdxqg==")),
        (81_000, Message("Are you there?", 13, 16, "QXJlIHlvdSB0aGVyZT+YxQ==")),
        (254_000, Signal(Sky::at(3, -112))),
        (91_000, Message("swamp the system", 14, 18, "c3dhbXAgdGhlIHN5c3Rlbf0h")),
        (0, Signal(Sky::at(5, -108))),
        (0, Message("how about now?", 15, 16, "aG93IGFib3V0IG5vdz8v9Q==")),
        (65_000, Message("try at ish low signal", 16, 23, "dHJ5IGF0IGlzaCBsb3cgc2lnbmFsZl8=")),
        (
            64_000,
            Message(
                "Intentional failure attempt 1 (signal 0 on send)",
                17,
                50,
                "SW50ZW50aW9uYWwgZmFpbHVyZSBhdHRlbXB0IDEgKHNpZ25hbCAwIG9uIHNlbmQp7E0=",
            ),
        ),
        (
            39_000,
            Message(
                "try that again with a longer message this time blah blah blah",
                18,
                63,
                "dHJ5IHRoYXQgYWdhaW4gd2l0aCBhIGxvbmdlciBtZXNzYWdlIHRoaXMgdGltZSBibGFoIGJsYWggYmxhaIKM",
            ),
        ),
        (
            38_000,
            Message(
                "opportunistic no constellation visible",
                19,
                40,
                "b3Bwb3J0dW5pc3RpYyBubyBjb25zdGVsbGF0aW9uIHZpc2libGWJZA==",
            ),
        ),
    ];
    let mt = Terminate { first_id: 8, ..Terminate::default() };
    let mut desk = Desk::new(Config { sky: Sky::HIDDEN, mt, ..plain() }).settled();
    for (pause, seen) in trace {
        assert_eq!(desk.pass(pause), b"");
        match seen {
            Signal(Sky { level: None, .. }) => {
                desk.sky(Sky::HIDDEN).hears(
                    r#"299 constellationState {"constellation_visible":false,"signal_bars":0}\r"#,
                );
            }
            Signal(sky @ Sky { bars, level: Some(level), .. }) => {
                desk.sky(sky).hears(&format!(
                    r#"299 constellationState {{"constellation_visible":true,"signal_bars":{bars},"signal_level":{level}}}\r"#
                ));
            }
            Message(text, id, length, data) => {
                desk.mt(244, text.as_bytes(), Fate::Complete).hears(&format!(
                    r#"299 messageTerminate {{"topic_id":244,"message_id":{id},"message_length_max":{length}}}\r
                    299 messageTerminateSegment {{"topic_id":244,"message_id":{id},"segment_length":{length},"segment_start":0,"data":"{data}"}}\r
                    299 messageTerminateStatus {{"topic_id":244,"message_id":{id},"final_mt_status":"complete"}}\r"#
                ));
            }
        }
    }
}

/// A test double of the vendor's issue tracker, and notes on the 9770; both write blanks.
#[test]
fn cancelling_goes_as_noted() {
    let sky = Sky::HIDDEN;
    let quirks = Quirks::NONE.with(Quirk::CancelBare);
    let mo = Originate { first_id: 23, ..Originate::default() };
    let mut desk = Desk::new(Config { sky, quirks, mo, ..plain() }).settled();
    assert_eq!(desk.mo(b"x"), []);
    desk.play(
        r#"
        > PUT messageOriginateStatus {"topic_id": 244, "message_id": 23, "action": "cancel"}\r
        < 200 messageOriginateStatus {"message_id":23}\r
        < 299 messageOriginateStatus {"topic_id":244,"message_id":23,"final_mo_status":"message_cancelled_pre_transit"}\r
        "#,
    );
    let topics = vec![Topic::new(64, "SIXTY-FOUR", Priority::Low, 60, 1)];
    let mo = Originate { first_id: 1, ..Originate::default() };
    let mut desk = Desk::new(Config { sky, topics, mo, ..plain() }).settled();
    desk.send("PUT messageOriginate {\"topic_id\": 64, \"message_length\": 3, \"request_reference\": 1}\r");
    let heard = desk.send("PUT messageOriginateStatus {\"topic_id\": 64, \"message_id\": 1, \"action\": \"cancel\"}\r");
    let reply = b"200 messageOriginateStatus {\"topic_id\":64,\"message_id\":1,\"cancellation_response\":\"cancelling_message\"}\r";
    assert!(heard.starts_with(reply), "{}", heard.escape_ascii());
}

/// Vectors: check value, Iridium's sketch, the library's tests, service examples, and payloads
/// whose CRC is zero.
#[test]
fn payloads_come_with_the_crc_of_the_vectors() {
    let mt = Terminate { first_id: 1, ..Terminate::default() };
    let mut desk = Desk::terminating(mt);
    for (at, (text, data)) in [
        ("123456789", "MTIzNDU2Nzg5McM="),
        (
            r#"{"cmd":"GET","data":"free_messages_remaining"}"#,
            "eyJjbWQiOiJHRVQiLCJkYXRhIjoiZnJlZV9tZXNzYWdlc19yZW1haW5pbmcifS+m",
        ),
        ("hello", "aGVsbG/DYg=="),
        ("Hello, world!", "SGVsbG8sIHdvcmxkIXre"),
        ("Cloudy with sunny intervals.\n", "Q2xvdWR5IHdpdGggc3VubnkgaW50ZXJ2YWxzLgpMbw=="),
        ("Send weather tomorrow.", "U2VuZCB3ZWF0aGVyIHRvbW9ycm93LgVo"),
        (
            "MeshSat laptop test 2026-03-24T18:28:01Z",
            "TWVzaFNhdCBsYXB0b3AgdGVzdCAyMDI2LTAzLTI0VDE4OjI4OjAxWqrr",
        ),
        ("\0", "AAAA"),
        ("ABV{", "QUJWewAA"),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, length) = (at + 1, text.len() + 2);
        desk.mt(244, text.as_bytes(), Fate::Complete).hears(&format!(
            r#"299 messageTerminate {{"topic_id":244,"message_id":{id},"message_length_max":{length}}}\r
            299 messageTerminateSegment {{"topic_id":244,"message_id":{id},"segment_length":{length},"segment_start":0,"data":"{data}"}}\r
            299 messageTerminateStatus {{"topic_id":244,"message_id":{id},"final_mt_status":"complete"}}\r"#
        ));
        // And the way up.
        assert_eq!(finals(&desk.mo(text.as_bytes())), ["mo_ack_received"], "{text}");
    }
}

/// Constructed from the documented framing.
#[test]
fn refusals_have_their_codes() {
    let idle = || Desk::new(Config { delays: Delays::NONE, ..Config::default() });
    idle().play(
        r#"
        > GET batteryState {}\r
        < 404 batteryState {}\r
        > GET messageProvisioning {}\r
        < 400 messageProvisioning {}\r
        > PUT apiVersion {"active_version": {"major": 1, "minor": 6, "patch": 1}}\r
        < 200 apiVersion {"supported_versions":[{"major":1,"minor":7,"patch":0},{"major":1,"minor":6,"patch":1},{"major":1,"minor":6,"patch":0}],"active_version":{"major":1,"minor":6,"patch":1}}\r
        > PUT operationalState {"state": "active"}\r
        < 410 operationalState {}\r
        > PUT messageOriginate {"topic_id": 244, "message_length": 8, "request_reference": 9}\r
        < 406 messageOriginate {}\r
        > PUT hwInfo {}\r
        < 401 hwInfo {}\r
        > GET messageOriginate {}\r
        < 401 messageOriginate {}\r
        "#,
    );
    let topics = vec![Topic::new(64, "A", Priority::Low, 60, 9)];
    let mo = Originate { first_id: 30, ..Originate::default() };
    let mut desk =
        Desk::new(Config { topics, mo, faults: vec![Fault::Storm(1)], ..plain() }).settled();
    // A signal line comes between request and reply.
    let heard = desk.send("PUT simConfig {\"interface\": \"internal\", \"slot\": 2}\r");
    assert!(heard.starts_with(b"299 "), "{}", heard.escape_ascii());
    assert!(heard.ends_with(b"\r407 simConfig {}\r"), "{}", heard.escape_ascii());

    let topics = vec![Topic::new(64, "A", Priority::Low, 60, 9)];
    let mo = Originate { first_id: 30, ..Originate::default() };
    let mut desk = Desk::new(Config { topics, mo, ..plain() }).settled();
    desk.modem.respond_next(MessageResponse::SubscriptionInvalid);
    desk.play(
        r#"
        > PUT messageOriginate {"topic_id": 315, "message_length": 8, "request_reference": 9}\r
        < 418 messageOriginate {}\r
        > PUT messageOriginate {"topic_id": 64, "message_length": 8, "request_reference": 10}\r
        < 200 messageOriginate {"topic_id":64,"request_reference":10,"message_id":30,"message_response":"subscription_invalid"}\r
        > PUT apiVersion {"active_version": {"major": 1, "minor": 6, "patch": 1}}\r
        < 402 apiVersion {}\r
        > PUT simConfig {"interface": "internal"}\r
        < 402 simConfig {}\r
        > PUT operationalState {"state": "active"}\r
        < 406 operationalState {}\r
        "#,
    );
    desk.modem.refuse_next(408);
    desk.play(
        r#"
        > PUT operationalState {"state": "inactive"}\r
        < 408 operationalState {}\r
        > GET operationalState {}\r
        < 200 operationalState {"state":"active","reason":0}\r
        "#,
    );
    desk.modem.set_state(desk.now, State::Fault, 6);
    desk.hears(r#"299 operationalState {"state":"fault","reason":6}\r"#);
}

/// Section 2.3 and 2.4: what else is bad in a body.
#[test]
fn bad_bodies_are_bad_json() {
    let mut desk = Desk::ready();
    for (request, target) in [
        // Section 2.2: no blanks at all.
        (r#"PUT simConfig {"interface":"internal"}"#, "simConfig"),
        (
            r#"PUT messageOriginate {"topic_id":244,"message_length":12,"request_reference":1}"#,
            "messageOriginate",
        ),
        (r#"PUT simConfig {"interface": "inside"}"#, "simConfig"),
        (r#"PUT simConfig {"interfaces": "internal"}"#, "simConfig"),
        ("PUT simConfig {}", "simConfig"),
        ("PUT simConfig {\"interface\": ", "simConfig"),
        ("GET simConfig nonsense", "simConfig"),
        ("GET simConfig {} {}", "simConfig"),
        (r#"PUT operationalState {"state": "Active"}"#, "operationalState"),
        // Section 2.4: topics 64 to 65535, lengths 3 to 100,002, references below 206.
        (
            r#"PUT messageOriginate {"topic_id": 63, "message_length": 12, "request_reference": 1}"#,
            "messageOriginate",
        ),
        (
            r#"PUT messageOriginate {"topic_id": 65536, "message_length": 12, "request_reference": 1}"#,
            "messageOriginate",
        ),
        (
            r#"PUT messageOriginate {"topic_id": 244, "message_length": 2, "request_reference": 1}"#,
            "messageOriginate",
        ),
        (
            r#"PUT messageOriginate {"topic_id": 244, "message_length": 100003, "request_reference": 1}"#,
            "messageOriginate",
        ),
        (
            r#"PUT messageOriginate {"topic_id": 244, "message_length": 12, "request_reference": 206}"#,
            "messageOriginate",
        ),
    ] {
        let heard = desk.send(format!("{request}\r"));
        assert_same(request, &heard, format!("407 {target} {{}}\r").as_bytes());
    }
    let mut kind = Desk::with(&[Quirk::CompactJsonAccepted]);
    let heard = kind.send("PUT simConfig {\"interface\":\"internal\"}\r");
    assert_same("compact", &heard, b"402 simConfig {}\r");
}

/// Section 2.1, 2.3 and 2.8: what is no request, and when.
#[test]
fn what_is_no_request_is_malformed() {
    let mut desk = Desk::ready();
    for wrong in ["\r", "AT\r", "get hwInfo {}\r", "GET hwInfo\r", "\nGET hwInfo {}\r", "\x11\r"] {
        assert_same(wrong, &desk.send(wrong), b"405 MALFORMED {}\r");
    }
    let long = format!("GET {} {{}}\r", "a".repeat(5000));
    assert_same("a long line", &desk.send(long), b"403 MALFORMED {}\r");

    let mut desk = Desk::with(&[Quirk::FirstMalformed]);
    assert_same("first", &desk.send("GET simConfig {}\r"), b"405 MALFORMED {}\r");
    let heard = desk.send("GET simConfig {}\r");
    assert_same("second", &heard, b"200 simConfig {\"interface\":\"internal\"}\r");
}

/// Constructed from the documented framing; section 2.8 for the times.
#[test]
fn a_start_is_deaf_and_noisy() {
    let cold = |quirks: &[Quirk]| {
        let quirks = quirks.iter().copied().collect();
        let boot = BootState::ColdBoot;
        let mut config = Config { quirks, boot, ..Config::default() };
        config.firmware.version = Version::new(1, 6, 1);
        config.firmware.build_info = "SX-000000-00000000-P0-P0000-0000000-00000000".into();
        config.firmware.boot_source = Slot::Fallback;
        config.delays = Delays::NONE;
        Desk::new(config)
    };
    const INFO: &str = r#"299 bootInfo {"image_type":"production","version":{"major":1,"minor":6,"patch":1,"build_info":"SX-000000-00000000-P0-P0000-0000000-00000000"},"boot_source":"fallback"}\r"#;
    cold(&[]).play(&format!(
        r#"
        > GET apiVersion {{}}\r
        ! pass 869
        ! pass 1
        < \x11{INFO}
        > GET simConfig {{}}\r
        < 400 simConfig {{}}\r
        "#
    ));
    cold(&[Quirk::NulNoise, Quirk::Early403, Quirk::FirstMalformed]).play(&format!(
        r#"
        > \r
        < 405 MALFORMED {{}}\r
        > GET apiVersion {{}}\r
        < 403 MALFORMED {{}}\r
        ! pass 870
        < \x00\x11{INFO}
        "#
    ));
    cold(&[Quirk::NoNoise]).play(&format!("! pass 870\n< {INFO}"));
    let mut desk = cold(&[Quirk::VersionsReversed]);
    desk.pass(870);
    let versions = &lines(&desk.send("GET apiVersion {}\r"))[0].body["supported_versions"];
    assert_eq!(versions[0], serde_json::json!({"major": 1, "minor": 6, "patch": 0}));
}

#[test]
fn a_restart_forgets_everything_but_the_topics() {
    let mut desk = Desk::ready();
    desk.originate(10);
    desk.modem.reboot(desk.now);
    desk.pass(870);
    desk.play(
        r#"
        > GET messageProvisioning {}\r
        < 400 messageProvisioning {}\r
        > PUT apiVersion {"active_version": {"major": 1, "minor": 9, "patch": 0}}\r
        < 407 apiVersion {}\r
        > PUT apiVersion {"active_version": {"major": 1, "minor": 6, "patch": 0}}\r
        < 200 apiVersion {"supported_versions":[{"major":1,"minor":7,"patch":0},{"major":1,"minor":6,"patch":1},{"major":1,"minor":6,"patch":0}],"active_version":{"major":1,"minor":6,"patch":0}}\r
        > GET simConfig {}\r
        < 200 simConfig {"interface":"none"}\r
        > GET operationalState {}\r
        < 200 operationalState {"state":"inactive","reason":0}\r
        > GET messageProvisioning {}\r
        < 200 messageProvisioning {"provisioning":[{"topic_id":244,"topic_name":"RAW","priority":"High","discard_time_seconds":604800,"max_queue_depth":99},{"topic_id":247,"topic_name":"PEBBLE","priority":"Medium","discard_time_seconds":432000,"max_queue_depth":99}]}\r
        "#,
    );
    assert_eq!(desk.modem.pending(), 0);
    // The gateway is not in the modem.
    assert!(desk.modem.is_connected(0));
}

// ---- messages to the network ------------------------------------------------------------------

/// Constructed: three segments, the middle one asked for twice.
#[test]
fn segments_are_asked_for_by_a_plan() {
    let plan = vec![(0, 40), (40, 40), (40, 40), (80, 22)];
    let mut desk = Desk::originating(Originate { first_id: 6, plan, ..Originate::default() });
    desk.play(
        r#"
        > PUT messageOriginate {"topic_id": 244, "message_length": 102, "request_reference": 2}\r
        < 200 messageOriginate {"topic_id":244,"request_reference":2,"message_id":6,"message_response":"message_accepted"}\r
        < 299 messageOriginateSegment {"topic_id":244,"message_id":6,"segment_length":40,"segment_start":0}\r
        > PUT messageOriginateSegment {"topic_id": 244, "message_id": 6, "segment_length": 40, "segment_start": 0, "data": "AyA9WneUsc7rCCVCX3yZttPwDSpHZIGeu9j1Ei9MaYajwN36FzRRbg=="}\r
        < 200 messageOriginateSegment {"topic_id":244,"message_id":6}\r
        < 299 messageOriginateSegment {"topic_id":244,"message_id":6,"segment_length":40,"segment_start":40}\r
        "#,
    );
    desk.sky(Sky::at(3, -112)).hears(
        r#"299 constellationState {"constellation_visible":true,"signal_bars":3,"signal_level":-112}\r"#,
    );
    desk.play(
        r#"
        > PUT messageOriginateSegment {"topic_id": 244, "message_id": 6, "segment_length": 40, "segment_start": 40, "data": "i6jF4v8cOVZzkK3K5wQhPlt4lbLP7AkmQ2B9mrfU8Q4rSGWCn7zZ9g=="}\r
        < 200 messageOriginateSegment {"topic_id":244,"message_id":6}\r
        < 299 messageOriginateSegment {"topic_id":244,"message_id":6,"segment_length":40,"segment_start":40}\r
        > PUT messageOriginateSegment {"topic_id": 244, "message_id": 6, "segment_length": 40, "segment_start": 40, "data": "i6jF4v8cOVZzkK3K5wQhPlt4lbLP7AkmQ2B9mrfU8Q4rSGWCn7zZ9g=="}\r
        < 200 messageOriginateSegment {"topic_id":244,"message_id":6}\r
        < 299 messageOriginateSegment {"topic_id":244,"message_id":6,"segment_length":22,"segment_start":80}\r
        > PUT messageOriginateSegment {"topic_id": 244, "message_id": 6, "segment_length": 22, "segment_start": 80, "data": "EzBNaoekwd77GDVSb4ypxuMAHTrZ4w=="}\r
        < 200 messageOriginateSegment {"topic_id":244,"message_id":6}\r
        < 299 messageOriginateStatus {"topic_id":244,"message_id":6,"final_mo_status":"mo_ack_received"}\r
        "#,
    );
    assert_eq!(desk.modem.received()[0].1.len(), 100);
}

/// Section 2.10 C: any sub-range may be asked for.
#[test]
fn what_a_plan_leaves_out_is_asked_for_as_well() {
    let plan = vec![(5, 1), (50, 9), (90, 900)];
    let mut desk = Desk::originating(Originate { plan, ..Originate::default() });
    let bytes = payload(98);
    assert_eq!(finals(&desk.mo(&bytes)), ["mo_ack_received"]);
    assert_eq!(desk.modem.received(), [(244, bytes)]);
}

#[test]
fn any_order_of_segments_gives_the_same_message() {
    for order in [Order::Ascending, Order::Descending, Order::Shuffled] {
        for twice in [None, Some(1), Some(3)] {
            let segments = Segments { size: 100, order, twice };
            let mut desk = Desk::originating(Originate { segments, ..Originate::default() });
            let bytes = payload(1234);
            assert_eq!(finals(&desk.mo(&bytes)), ["mo_ack_received"], "{segments:?}");
            assert_eq!(desk.modem.received(), [(244, bytes)]);
        }
    }
}

/// Section 2.7: 100,002 bytes are 70 segments; section 2.8: two minutes.
#[test]
fn the_longest_message_goes_up_in_virtual_time() {
    let mut desk = Desk::new(Config { configured: true, ..Config::default() }).settled();
    let payload = payload(100_000);
    let bytes = sealed(&payload);
    desk.originate_later(bytes.len());
    let mut segments = 0;
    let mut statuses = Vec::new();
    while let Some(due) = desk.modem.deadline().filter(|due| *due < 300_000) {
        let heard = desk.pass(due - desk.now);
        for line in lines(&heard) {
            match (line.code, &line.target[..]) {
                (299, "messageOriginateSegment") => {
                    segments += 1;
                    // The wire takes its time.
                    desk.pass(89);
                    assert_eq!(desk.send(segment(&line, &bytes)), b"");
                }
                (299, "messageOriginateStatus") => statuses.push((desk.now, line)),
                _ => {}
            }
        }
    }
    assert_eq!(segments, 70);
    let [(when, status)] = &statuses[..] else { panic!("one status: {statuses:?}") };
    assert_eq!(status.body["final_mo_status"], "mo_ack_received");
    assert!((60_000..180_000).contains(when), "{when}");
    assert!(desk.modem.received() == [(244, payload)]);
}

impl Desk {
    /// Originates and waits for the acceptance.
    fn originate_later(&mut self, length: usize) {
        assert_eq!(
            self.send(format!(
                "PUT messageOriginate {{\"topic_id\": 244, \"message_length\": {length}, \"request_reference\": 1}}\r"
            )),
            b""
        );
    }
}

/// Section 2.8: 300 ms for a segment, counted from the request.
#[test]
fn a_segment_that_is_late_ends_the_message() {
    let bytes = sealed(b"hello");
    let mut desk = Desk::ready();
    let asked = desk.originate(bytes.len());
    assert_eq!(desk.pass(300), b"");
    assert_eq!(finals(&desk.supply(&bytes, asked)), ["mo_ack_received"]);

    let asked = desk.originate(bytes.len());
    let late = lines(&desk.pass(301));
    assert_eq!(finals(&late), ["segment_not_supplied"]);
    assert_same(
        "late",
        &desk.send(segment(&asked[0], &bytes)),
        b"408 messageOriginateSegment {}\r",
    );
    assert_eq!(desk.modem.received().len(), 1);
}

/// Section 2.5.
#[test]
fn a_segment_that_is_wrong_ends_the_message() {
    let bytes = sealed(b"hello");
    let right = |asked: &Line| segment(asked, &bytes);
    let wrong: [(&str, &str, &str); 5] = [
        ("start", "\"segment_start\": 0", "\"segment_start\": 1"),
        ("length", "\"segment_length\": 7", "\"segment_length\": 6"),
        ("base64", "aGVsbG/DYg==", "aGVsbG/DYg"),
        ("not base64", "aGVsbG/DYg==", "*GVsbG/DYg=="),
        ("data", "aGVsbG/DYg==", "aGVsbG8="),
    ];
    for (what, from, to) in wrong {
        let mut desk = Desk::ready();
        let asked = desk.originate(bytes.len());
        let request = right(&asked[0]).replace(from, to);
        assert_ne!(request, right(&asked[0]));
        let heard = lines(&desk.send(request));
        assert_eq!(heard[0].code, 200, "{what}");
        assert_eq!(finals(&heard), ["segment_incorrect"], "{what}");
    }
    // Another message is nobody's.
    let mut desk = Desk::ready();
    let asked = desk.originate(bytes.len());
    let other = right(&asked[0]).replace("\"message_id\": 0", "\"message_id\": 1");
    assert_same("other", &desk.send(other), b"408 messageOriginateSegment {}\r");
    assert_eq!(finals(&desk.supply(&bytes, asked)), ["mo_ack_received"]);
}

/// Section 2.6: a byte sum is no CRC, and the CRC is big-endian.
#[test]
fn a_wrong_crc_is_found_by_the_modem() {
    for bytes in [*b"hello\x02\x14", *b"hello\x62\xc3"] {
        let mut desk = Desk::ready();
        let asked = desk.originate(bytes.len());
        let heard = desk.supply(&bytes, asked);
        assert_eq!(finals(&heard), ["message_dropped_local_crc_error"]);
        assert_eq!(desk.modem.received(), []);
    }
}

/// Section 2.8: 418 in the first 100 ms.
#[test]
fn a_message_right_after_activation_is_not_provisioned() {
    const MESSAGE: &str = "PUT messageOriginate {\"topic_id\": 244, \"message_length\": 7, \"request_reference\": 1}\r";
    let mut desk = Desk::ready();
    desk.send("PUT operationalState {\"state\": \"inactive\"}\r");
    desk.send("PUT operationalState {\"state\": \"active\"}\r");
    desk.pass(99);
    assert_same("early", &desk.send(MESSAGE), b"418 messageOriginate {}\r");
    desk.pass(1);
    assert!(desk.send(MESSAGE).starts_with(b"200 messageOriginate "));
}

/// Section 2.5: every status that a message can get after its transit.
#[test]
fn a_message_ends_as_it_is_told_to() {
    let mut desk = Desk::ready();
    for (status, words) in [
        (FinalMo::MoAckReceived, "mo_ack_received"),
        (FinalMo::MessageDiscardedOnOverflow, "message_discarded_on_overflow"),
        (FinalMo::MessageExpired, "message_expired"),
        (FinalMo::MessageTransferTimeout, "message_transfer_timeout"),
        (FinalMo::NetworkError, "network_error"),
        (FinalMo::SegmentNotSupplied, "segment_not_supplied"),
        (FinalMo::SegmentIncorrect, "segment_incorrect"),
        (FinalMo::MessageDroppedLocalCrcError, "message_dropped_local_crc_error"),
        (FinalMo::UserSuppliedCrcError, "user_supplied_crc_error"),
        (FinalMo::CrcErrorInTransfer, "crc_error_in_transfer"),
        (FinalMo::MessageCancelledPreTransit, "message_cancelled_pre_transit"),
        (FinalMo::MessageCancelledInTransit, "message_cancelled_in_transit"),
        (FinalMo::SubscriptionInvalid, "subscription_invalid"),
        (FinalMo::ProtocolError, "protocol_error"),
    ] {
        desk.modem.end_next(Outcome::failed(status));
        assert_eq!(finals(&desk.mo(b"lost")), [words]);
    }
    assert_eq!(desk.modem.received(), []);
    // A time-out is no proof of anything.
    desk.modem.end_next(Outcome::delivered_but(FinalMo::MessageTransferTimeout));
    assert_eq!(finals(&desk.mo(b"arrived")), ["message_transfer_timeout"]);
    desk.modem.end_next(Outcome::SILENT);
    assert_eq!(desk.mo(b"unsaid"), []);
    assert_eq!(desk.modem.received(), [(244, b"arrived".to_vec()), (244, b"unsaid".to_vec())]);

    let mut desk = Desk::with(&[Quirk::NoFinalStatus]);
    assert_eq!(desk.mo(b"x"), []);
    assert_eq!(desk.pass(7 * 86_400_000), b"");
}

/// Section 2.10 E, and 2.5 for the words.
#[test]
fn a_cancel_has_three_outcomes() {
    const CANCEL: &str = "PUT messageOriginateStatus {\"topic_id\": 244, \"message_id\": 0, \"action\": \"cancel\"}\r";
    let slow = |quirks| {
        let delays = Delays { transit: 8000, cancel: 100, ..Delays::NONE };
        Desk::new(Config { delays, quirks, ..plain() }).settled()
    };
    // While it is fed.
    let mut desk = slow(Quirks::NONE);
    let asked = desk.originate(7);
    assert_eq!(lines(&desk.send(CANCEL))[0].code, 200);
    assert!(desk.send(segment(&asked[0], &sealed(b"hello"))).starts_with(b"408 "));
    assert_eq!(finals(&lines(&desk.pass(100))), ["message_cancelled_pre_transit"]);
    assert_eq!(desk.pass(60_000), b"");
    assert_same("again", &desk.send(CANCEL), b"408 messageOriginateStatus {}\r");

    // On the air.
    let mut desk = slow(Quirks::NONE);
    desk.mo(b"hello");
    desk.pass(7000);
    desk.send(CANCEL);
    assert_eq!(finals(&lines(&desk.pass(100))), ["message_cancelled_in_transit"]);
    assert_eq!(desk.pass(60_000), b"");
    assert_eq!(desk.modem.received(), []);

    // Too late.
    let mut desk = slow(Quirks::NONE.with(Quirk::CancelTooLate));
    desk.mo(b"hello");
    desk.pass(7000);
    assert_eq!(lines(&desk.send(CANCEL)).len(), 1);
    assert_eq!(finals(&lines(&desk.pass(1000))), ["mo_ack_received"]);
}

/// Section 2.10 C: "transceiver asks for an older message's data".
#[test]
fn old_data_may_be_asked_for_again() {
    let delays = Delays { transit: 8000, ..Delays::NONE };
    for (again, statuses) in [(1000, 0), (9000, 1)] {
        let mo = Originate { again: Some(again), ..Originate::default() };
        let mut desk = Desk::new(Config { delays, mo, ..plain() }).settled();
        let bytes = sealed(b"hello");
        desk.mo(b"hello");
        let heard = lines(&desk.pass(again - 500));
        assert_eq!(finals(&heard).len(), statuses);
        let heard = lines(&desk.pass(500));
        let [asked] = &heard[..] else { panic!("one request: {heard:?}") };
        assert_eq!(asked.target, "messageOriginateSegment");
        let heard = desk.send(segment(asked, &bytes));
        assert_same(
            "again",
            &heard,
            b"200 messageOriginateSegment {\"topic_id\":244,\"message_id\":0}\r",
        );
        assert_eq!(finals(&lines(&desk.pass(20_000))).len(), 1 - statuses);
    }
    // Whoever has thrown it away by then has lost.
    let mo = Originate { again: Some(1000), ..Originate::default() };
    let mut desk = Desk::new(Config { delays, mo, ..plain() }).settled();
    desk.mo(b"hello");
    desk.pass(1000);
    assert_eq!(finals(&lines(&desk.pass(301))), ["segment_not_supplied"]);
}

/// Section 2.12: a host that polls the signal while it feeds a message.
#[test]
fn a_get_may_lose_the_message() {
    let bytes = sealed(b"hello");
    for (quirks, statuses) in [(&[][..], 1), (&[Quirk::GetAbortsMo], 0)] {
        let mut desk = Desk::with(quirks);
        let asked = desk.originate(bytes.len());
        assert!(desk.send("GET constellationState {}\r").starts_with(b"200 "));
        assert_eq!(finals(&lines(&desk.send(segment(&asked[0], &bytes)))).len(), statuses);
        assert_eq!(desk.modem.received().len(), statuses);
        assert_eq!(desk.pass(60_000), b"");
    }
    let mut desk = Desk::with(&[Quirk::SilentSignal]);
    assert_eq!(desk.send("GET constellationState {}\r"), b"");
    assert!(desk.send("GET simConfig {}\r").starts_with(b"200 "));
}

/// Section 2.12: hosts that send the only segment right after the 200, without waiting.
#[test]
fn an_only_segment_may_come_before_it_is_asked_for() {
    let delays = Delays { answer: 5, segment_request: 50, ..Delays::NONE };
    let mut desk = Desk::new(Config { delays, ..plain() }).settled();
    desk.originate_later(7);
    let accepted = lines(&desk.pass(5));
    assert_eq!(accepted.len(), 1);
    desk.send("PUT messageOriginateSegment {\"topic_id\":244, \"message_id\":0, \"segment_length\":7, \"segment_start\":0, \"data\":\"aGVsbG/DYg==\"}\r");
    assert_eq!(finals(&lines(&desk.pass(100))), ["mo_ack_received"]);
}

/// Section 3: overflow discards the oldest; section 2.4 for the depth and for the responses.
#[test]
fn one_message_too_many_discards_the_oldest_or_is_refused() {
    let topics = vec![Topic::new(244, "RAW", Priority::High, 60, 2)];
    let hidden = Config { sky: Sky::HIDDEN, topics, ..plain() };
    let mut desk = Desk::new(hidden.clone()).settled();
    desk.mo(b"first");
    desk.mo(b"second");
    assert_eq!(finals(&desk.mo(b"third")), ["message_discarded_on_overflow"]);
    desk.sky(Sky::bars(5));
    assert_eq!(finals(&lines(&desk.read())), ["mo_ack_received"; 2]);
    assert_eq!(desk.modem.received(), [(244, b"second".to_vec()), (244, b"third".to_vec())]);

    let mo = Originate { most: 1, overflow: Overflow::RefuseNew, ..Originate::default() };
    let mut desk = Desk::new(Config { mo, ..hidden }).settled();
    desk.mo(b"first");
    desk.play(
        r#"
        > PUT messageOriginate {"topic_id": 244, "message_length": 8, "request_reference": 9}\r
        < 200 messageOriginate {"topic_id":244,"request_reference":9,"message_id":1,"message_response":"message_discarded_on_overflow"}\r
        "#,
    );
    assert_eq!(desk.modem.pending(), 1);
}

/// Section 3: priority, then first come first served.
#[test]
fn the_topic_decides_who_goes_first() {
    let topics = vec![
        Topic::new(100, "LOW", Priority::Low, 60, 9),
        Topic::new(244, "RAW", Priority::Safety1, 60, 9),
    ];
    let mut desk = Desk::new(Config { sky: Sky::HIDDEN, topics, ..plain() }).settled();
    let asked = lines(&desk.send(
        "PUT messageOriginate {\"topic_id\": 100, \"message_length\": 5, \"request_reference\": 1}\r",
    ));
    desk.supply(&sealed(b"low"), asked[1..].to_vec());
    desk.mo(b"high");
    desk.mo(b"higher");
    desk.sky(Sky::bars(1));
    desk.read();
    let order: Vec<&[u8]> = desk.modem.received().iter().map(|(_, bytes)| &bytes[..]).collect();
    assert_eq!(order, [&b"high"[..], b"higher", b"low"]);
}

/// Section 2.5 `discard_time_seconds`; section 2.8: six hours.
#[test]
fn a_message_without_sky_waits_and_expires() {
    let topics = vec![Topic::new(244, "RAW", Priority::High, 60, 9)];
    let mut desk = Desk::new(Config { sky: Sky::HIDDEN, topics, ..plain() }).settled();
    assert_eq!(desk.mo(b"x"), []);
    assert_eq!(desk.pass(59_999), b"");
    assert_eq!(finals(&lines(&desk.pass(1))), ["message_expired"]);

    let mut desk = Desk::new(Config { sky: Sky::HIDDEN, ..plain() }).settled();
    desk.mo(b"x");
    assert_eq!(finals(&lines(&desk.pass(6 * 3_600_000))), ["message_transfer_timeout"]);

    let mut desk = Desk::ready();
    desk.event("network down");
    desk.mo(b"x");
    assert_eq!(desk.pass(3_600_000), b"");
    assert_eq!(finals(&lines(&desk.event("network up"))), ["mo_ack_received"]);
}

/// Section 2.5: a sky that goes away during the transit.
#[test]
fn a_transit_without_sky_begins_again() {
    let delays = Delays { transit: 8000, ..Delays::NONE };
    let mut desk = Desk::new(Config { delays, ..plain() }).settled();
    desk.mo(b"x");
    desk.pass(7000);
    desk.event("network down");
    assert_eq!(desk.pass(60_000), b"");
    desk.event("network up");
    assert_eq!(desk.pass(7999), b"");
    assert_eq!(finals(&lines(&desk.pass(1))), ["mo_ack_received"]);
}

#[test]
fn numbers_of_messages_begin_anew_after_255() {
    let mut desk = Desk::originating(Originate { first_id: 255, ..Originate::default() });
    assert_eq!(desk.mo(b"a")[0].number("message_id"), 255);
    assert_eq!(desk.mo(b"b")[0].number("message_id"), 0);
}

// ---- messages from the network ----------------------------------------------------------------

/// Constructed: a broken message, and one that a restart cuts off.
#[test]
fn a_broken_message_goes_as_constructed() {
    let mut mt = Terminate { first_id: 61, ..Terminate::default() };
    mt.segments.size = 10;
    let mut config = Config { mt, ..plain() };
    config.quirks.insert(Quirk::NoNoise);
    let mut desk = Desk::new(config).settled();
    desk.mt(244, b"damaged", Fate::CrcErrorInTransfer).hears(
        r#"299 messageTerminate {"topic_id":244,"message_id":61,"message_length_max":9}\r
        299 messageTerminateSegment {"topic_id":244,"message_id":61,"segment_length":9,"segment_start":0,"data":"ZGFsYWdlZLmi"}\r
        299 messageTerminateStatus {"topic_id":244,"message_id":61,"final_mt_status":"crc_error_in_transfer"}\r"#,
    );
    desk.mt(244, b"interrupted in the middle", Fate::Restart).hears(
        r#"299 messageTerminate {"topic_id":244,"message_id":62,"message_length_max":27}\r
        299 messageTerminateSegment {"topic_id":244,"message_id":62,"segment_length":10,"segment_start":0,"data":"aW50ZXJydXB0ZQ=="}\r"#,
    );
    assert_eq!(lines(&desk.pass(870))[0].target, "bootInfo");
}

#[test]
fn a_message_may_come_to_grief_in_many_ways() {
    let segments = Segments { size: 10, ..Segments::default() };
    for (fate, parts, status) in [
        (Fate::Complete, 6, Some("complete")),
        (Fate::BrokenCrc, 6, Some("complete")),
        (Fate::CrcErrorInTransfer, 6, Some("crc_error_in_transfer")),
        (Fate::TimedOut, 3, Some("message_timed_out")),
        (Fate::Cancelled, 3, Some("message_cancelled")),
        (Fate::NoStatus, 6, None),
        (Fate::Restart, 3, None),
    ] {
        let mut desk = Desk::terminating(Terminate { segments, ..Terminate::default() });
        desk.modem.spoil_next(fate);
        desk.broker.publish(b"imt/244", &payload(50), false);
        let heard = lines(&desk.read());
        let segments = heard.iter().filter(|line| line.target == "messageTerminateSegment");
        assert_eq!(segments.count(), parts, "{fate:?}");
        let last = heard.last().filter(|line| line.target == "messageTerminateStatus");
        assert_eq!(last.map(|l| l.body["final_mt_status"].as_str().expect("text")), status);
        assert_eq!(received(&heard).len(), usize::from(fate == Fate::Complete));
    }
}

#[test]
fn any_order_of_segments_comes_down() {
    for order in [Order::Ascending, Order::Descending, Order::Shuffled] {
        for twice in [None, Some(2)] {
            let segments = Segments { size: 100, order, twice };
            let mut desk =
                Desk::terminating(Terminate { segments, slack: 50, ..Terminate::default() });
            desk.broker.publish(b"imt/247", &payload(1000), false);
            let heard = lines(&desk.read());
            assert_eq!(heard.len(), if twice.is_none() { 13 } else { 18 });
            // Section 2.4: an upper bound.
            assert_eq!(heard[0].number("message_length_max"), 1052);
            assert_eq!(received(&heard), [(247, payload(1000))]);
            let sorted = |line: &[Line]| line.is_sorted_by_key(|line| line.number("segment_start"));
            assert_eq!(sorted(&heard[1..heard.len() - 1]), order == Order::Ascending);
        }
    }
}

/// Section 2.10 D: two at once.
#[test]
fn two_messages_may_come_at_once() {
    let segments = Segments { size: 10, ..Segments::default() };
    let mt = Terminate { segments, at_once: 2, ..Terminate::default() };
    let mut desk = Desk::terminating(mt);
    desk.event("network down");
    desk.broker.publish(b"imt/244", b"first message, in three parts", false);
    desk.broker.publish(b"imt/247", b"second, in two", false);
    assert_eq!(desk.read(), b"");
    let heard = lines(&desk.event("network up"));
    let ids: Vec<usize> = heard[1..].iter().map(|line| line.number("message_id")).collect();
    assert_eq!(ids, [0, 1, 0, 1, 0, 1, 0, 1, 0, 0]);
    assert_eq!(received(&heard).len(), 2);
}

/// Section 2.7.
#[test]
fn the_longest_message_comes_down_in_virtual_time() {
    let mut desk = Desk::new(Config { configured: true, ..Config::default() }).settled();
    let payload = payload(100_000);
    desk.broker.publish(b"imt/244", &payload, false);
    let mut heard = desk.read();
    assert_eq!(heard, b"");
    while let Some(due) = desk.modem.deadline() {
        heard.extend(desk.pass(due - desk.now));
    }
    let heard = lines(&heard);
    assert_eq!(heard.len(), 72);
    assert!(received(&heard) == [(244, payload)]);
    assert_eq!(desk.now, 1000 + 71 * 90);
}

/// Section 7.8 (iv).
#[test]
fn a_message_comes_down_while_another_goes_up() {
    let mut desk = Desk::ready();
    let bytes = sealed(b"up");
    let asked = desk.originate(bytes.len());
    desk.broker.publish(b"imt/244", b"down", false);
    assert_eq!(received(&lines(&desk.read())), [(244, b"down".to_vec())]);
    assert_eq!(finals(&desk.supply(&bytes, asked)), ["mo_ack_received"]);
}

// ---- the sky ----------------------------------------------------------------------------------

#[test]
fn nothing_comes_down_without_a_sky() {
    let delays = Delays { mt_segment: 90, ..Delays::NONE };
    let mut mt = Terminate::default();
    mt.segments.size = 10;
    let mut desk = Desk::new(Config { delays, mt, ..plain() }).settled();
    desk.broker.publish(b"imt/244", &payload(50), false);
    let mut heard = desk.read();
    heard.extend(desk.pass(90));
    assert_eq!(lines(&heard).len(), 2);
    // In the middle of the message.
    assert_eq!(lines(&desk.event("network down"))[0].target, "constellationState");
    assert_eq!(desk.pass(60_000), b"");
    heard.extend(desk.event("network up"));
    for _ in 0..10 {
        heard.extend(desk.pass(90));
    }
    assert_eq!(received(&lines(&heard)), [(244, payload(50))]);
}

#[test]
fn what_comes_while_the_modem_is_off_waits_for_it() {
    let mut desk = Desk::ready();
    desk.modem.power_cycle(desk.now);
    desk.broker.publish(b"imt/244", b"meanwhile", false);
    assert_eq!(lines(&desk.pass(870)[1..]).len(), 1);
    desk.send("PUT apiVersion {\"active_version\": {\"major\": 1, \"minor\": 7, \"patch\": 0}}\r");
    desk.send("PUT simConfig {\"interface\": \"internal\"}\r");
    let heard = lines(&desk.send("PUT operationalState {\"state\": \"active\"}\r"));
    assert_eq!(received(&heard), [(244, b"meanwhile".to_vec())]);
}

/// Section 2.4: every 1 to 9 s in practice.
#[test]
fn the_signal_wavers_if_it_is_told_to() {
    let mut desk = Desk::new(Config { churn: Some(1000), ..plain() }).settled();
    let heard = (0..4).flat_map(|_| lines(&desk.pass(1000))).collect::<Vec<_>>();
    let levels: Vec<_> = heard.iter().map(|line| line.body["signal_level"].as_i64()).collect();
    assert_eq!(levels, [Some(-112), Some(-111), Some(-112), Some(-111)]);
    assert!(heard.iter().all(|line| line.body["signal_bars"] == 4));
}

#[test]
fn a_changed_subscription_is_announced() {
    let mut desk = Desk::ready();
    let name = "\"quoted\" and \\ long, as long as a name may be, that is 57 b";
    desk.modem.set_topics(0, vec![Topic::new(64, name, Priority::Safety2, 1, 1); 25]);
    let heard = desk.read();
    assert!(heard.starts_with(
        b"299 messageProvisioning {\"provisioning\":[{\"topic_id\":64,\"topic_name\":\"\\\"quoted"
    ));
    let table = lines(&heard)[0].body["provisioning"].clone();
    assert_eq!(table.as_array().map(Vec::len), Some(25));
    assert_eq!(table[24]["topic_name"], name);
    assert_eq!(table[24]["priority"], "Safety-2");
    desk.modem.set_topics(0, Vec::new());
    assert_same("no topics", &desk.read(), b"299 messageProvisioning {\"provisioning\":[]}\r");
    desk.broker.publish(b"imt/64", b"for nobody", false);
    assert_eq!(desk.read(), b"");
    assert_eq!(desk.modem.dropped(), 1);
}

// ---- the gateway ------------------------------------------------------------------------------

#[test]
fn the_gateway_connects_when_the_modem_becomes_active() {
    let broker = Broker { host: "b.example".into(), port: 1884, client_id: "me".into() };
    let mut desk = Desk::new(Config { configured: false, broker, ..plain() });
    desk.send("PUT apiVersion {\"active_version\": {\"major\": 1, \"minor\": 7, \"patch\": 0}}\r");
    desk.send("PUT simConfig {\"interface\": \"internal\"}\r");
    assert!(desk.broker.connects().is_empty());
    desk.send("PUT operationalState {\"state\": \"active\"}\r");
    let [options] = desk.broker.connects() else { panic!("one connection") };
    assert_eq!(
        (&options.host[..], options.port, &options.client_id[..]),
        ("b.example", 1884, "me")
    );
    assert!(desk.modem.is_connected(0));
}

#[test]
fn only_the_own_publication_is_swallowed() {
    let mut desk = Desk::ready();
    assert_eq!(received(&desk.mo(b"same")), []);
    desk.broker.publish(b"imt/244", b"same", false);
    assert_eq!(received(&lines(&desk.read())), [(244, b"same".to_vec())]);
    // Held back, so that somebody else's comes first.
    desk.broker.hold();
    desk.mo(b"more");
    desk.broker.publish(b"imt/244", b"other", false);
    assert_eq!(received(&lines(&desk.read())), [(244, b"other".to_vec())]);
    desk.broker.resume();
    assert_eq!(received(&lines(&desk.read())), []);
}

#[test]
fn what_is_not_for_the_modem_is_counted() {
    let mut desk = Desk::ready();
    for (topic, payload) in [
        ("imt/315", &b"x"[..]),
        ("imt/x", b"x"),
        ("imt/99999", b"x"),
        ("imt/244", b""),
        ("imt/244", &[0; 100_001]),
    ] {
        desk.broker.publish(topic.as_bytes(), payload, false);
    }
    desk.broker.publish(b"imt/244/x", b"not subscribed", false);
    assert_eq!(desk.read(), b"");
    assert_eq!(desk.modem.dropped(), 5);
}

#[test]
fn a_message_survives_the_loss_of_the_broker() {
    let mut desk = Desk::ready();
    desk.broker.hold();
    assert_eq!(desk.mo(b"x"), []);
    desk.broker.lose(0, 1);
    desk.read();
    assert!(!desk.modem.is_connected(0));
    desk.broker.resume();
    desk.read();
    assert_eq!(finals(&lines(&desk.pass(1000))), ["mo_ack_received"]);
    assert!(desk.modem.is_connected(0));
    // The first attempt has no echo, and the second had its own.
    desk.broker.publish(b"imt/244", b"x", false);
    assert_eq!(received(&lines(&desk.read())), [(244, b"x".to_vec())]);

    desk.modem.lose(desk.now, 0, 1);
    assert!(!desk.modem.is_connected(0));
    desk.broker.fail_next(3);
    desk.pass(1000);
    assert!(!desk.modem.is_connected(0));
    desk.pass(1000);
    assert!(desk.modem.is_connected(0));
    desk.broker.fail_next(6);
    assert_eq!(finals(&desk.mo(b"y")), ["network_error"]);
    assert_eq!(desk.modem.received(), [(244, b"x".to_vec())]);
}

// ---- faults -----------------------------------------------------------------------------------

#[test]
fn faults_befall_this_modem_too() {
    let mut desk = Desk::faulty(&[Fault::Silent(1)]);
    assert!(!desk.send("GET simConfig {}\r").is_empty());
    assert_eq!(desk.send("GET simConfig {}\r"), b"");

    let mut desk = Desk::faulty(&[Fault::Reboot(10)]);
    assert_same("reboot", &desk.send("GET simConfig {}\r"), b"200 simCon");
    assert!(desk.pass(870).starts_with(b"\x11299 bootInfo "));

    let mut desk = Desk::faulty(&[Fault::Drop(1), Fault::RxDrop(18)]);
    let heard = desk.send("GET simConfig {}\r\rGET simConfig {}\r");
    assert!(heard.starts_with(b"00 simConfig {\"interface\":\"internal\"}\r200 sim"));

    let mut desk = Desk::faulty(&[Fault::Storm(3)]);
    let heard = lines(&desk.send("GET simConfig {}\r"));
    assert_eq!(heard.iter().map(|line| line.code).collect::<Vec<_>>(), [299, 299, 299, 200]);

    let mut desk = Desk::faulty(&[Fault::Split]);
    desk.modem.receive(0, b"\r");
    assert_eq!(desk.modem.transmit(0), b"4");
    assert_eq!(desk.modem.deadline(), Some(0));

    // CONNECT, SUBSCRIBE, and the first publication.
    let mut desk = Desk::faulty(&[Fault::Lost(3)]);
    assert_eq!(finals(&desk.mo(b"x")), ["mo_ack_received"]);
    assert!(!desk.modem.is_connected(0));
    desk.pass(1000);
    assert!(desk.modem.is_connected(0));
}

#[test]
fn any_line_can_be_put_on_the_wire() {
    let mut desk = Desk::ready();
    desk.play(
        r#"
        ! urc 299 somethingNew {"a":[{}]}
        < 299 somethingNew {"a":[{}]}\r
        ! urc nstellation_visible":true,"signal_bars":200,"signal_level":-114}
        < nstellation_visible":true,"signal_bars":200,"signal_level":-114}\r
        "#,
    );
}

// ---- anything at all --------------------------------------------------------------------------

const PIECES: &[&str] = &[
    "\r",
    "GET apiVersion {}\r",
    "PUT apiVersion {\"active_version\": {\"major\": 1, \"minor\": 7, \"patch\": 0}}\r",
    "PUT simConfig {\"interface\": \"internal\"}\r",
    "PUT simConfig {\"interface\":\"internal\"}\r",
    "PUT operationalState {\"state\": \"active\"}\r",
    "PUT operationalState {\"state\": \"inactive\"}\r",
    "GET constellationState {}\r",
    "GET messageProvisioning {}\r",
    "GET firmware {\"slot\": \"fallback\"}\r",
    "PUT serviceConfig {\"resync\": true}\r",
    "PUT messageOriginate {\"topic_id\": 244, \"message_length\": 7, \"request_reference\": 1}\r",
    "PUT messageOriginate {\"topic_id\": 247, \"message_length\": 7, \"request_reference\": 2}\r",
    "PUT messageOriginate {\"topic_id\": 244, \"message_length\": 9, \"request_reference\": 3}\r",
    "PUT messageOriginateSegment {\"topic_id\": 244, \"message_id\": 0, \"segment_length\": 7, \"segment_start\": 0, \"data\": \"aGVsbG/DYg==\"}\r",
    "PUT messageOriginateSegment {\"topic_id\": 244, \"message_id\": 1, \"segment_length\": 7, \"segment_start\": 0, \"data\": \"aGVsbG/DYg==\"}\r",
    "PUT messageOriginateSegment {\"topic_id\": 247, \"message_id\": 1, \"segment_length\": 7, \"segment_start\": 0, \"data\": \"aGVsbG/DYg==\"}\r",
    "PUT messageOriginateSegment {\"topic_id\": 244, \"message_id\": 0, \"segment_length\": 18446744073709551615, \"segment_start\": 18446744073709551615, \"data\": \"\"}\r",
    "PUT messageOriginateStatus {\"topic_id\": 244, \"message_id\": 0, \"action\": \"cancel\"}\r",
    "PUT messageOriginateStatus {\"topic_id\": 247, \"message_id\": 1, \"action\": \"cancel\"}\r",
    "{\"",
    "[[[[[[[[",
    "GET ",
];

fn ramble(seed: u64, all_at_once: bool) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let quirks = Quirk::ALL.into_iter().filter(|_| dice.roll(4) == 0).collect();
    let faults = vec![Fault::Storm(dice.roll(2)), Fault::Reboot(dice.roll(9000))];
    let mut config = Config { quirks, faults, seed, configured: dice.roll(2) == 0, ..plain() };
    config.delays.transit = dice.roll(3000);
    config.mo.again = (dice.roll(2) == 0).then_some(2000);
    config.mo.segments.twice = Some(1);
    config.mo.most = dice.roll(4) as usize;
    config.mt.at_once = dice.roll(3) as usize;
    config.mt.segments = Segments { size: 0, order: Order::Shuffled, twice: Some(0) };
    let mut desk = Desk::new(config);
    desk.modem.spoil_next(Fate::Restart);
    desk.mt(1, b"", Fate::BrokenCrc);
    desk.ramble(&mut dice, PIECES, all_at_once)
}

#[test]
fn no_conversation_upsets_the_modem_and_no_cut_changes_it() {
    let mut answered = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let heard = ramble(seed, true);
        assert!(heard == ramble(seed, false), "seed {seed}");
        let heard = String::from_utf8_lossy(&heard).into_owned();
        answered.extend(heard.split('\r').filter_map(|l| Some(l.get(..3)?.to_owned())));
    }
    // It was a conversation, and not a wall.
    for code in ["200", "299", "400", "402", "405", "406", "407", "408"] {
        assert!(answered.contains(code), "{code}");
    }
}

#[test]
fn a_deadline_leads_to_the_next_event() {
    let boot = BootState::ColdBoot;
    let mut modem = Modem::new(Config { boot, ..Config::default() });
    let mut times = Vec::new();
    while let Some(deadline) = modem.deadline() {
        if !modem.transmit(deadline).is_empty() {
            times.push(deadline);
        }
    }
    assert_eq!(times, [870]);
}
