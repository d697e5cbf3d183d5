//! Every JSPR dialogue under `tests/captures/iridium`, read as it stands, byte
//! by byte and at random splits: the lines by the line reader, the messages
//! from the network by the machine. The readings were written by hand.

use std::{fs, path::PathBuf};

use hayes::{
    Instant, Machine, Operation,
    mqtt::{ConnectOptions, Event, Publish, QoS, Subscription},
};
use hayes_iridium::jspr::{Frame, Line, Reader};
use hayes_transcript::{Item, parse};
use proptest::prelude::*;

use crate::fake::Rig;

const AT: Instant = Instant::from_millis(10_000);

/// Doubtful: the status names another message than the data belong to, and a
/// strict reader delivers nothing.
const NOT_DELIVERED: (&str, &str) =
    ("06-unit-test-vectors.txt", r#"{"message":{"topic_id":244,"payload_hex":"68656c6c6f"}}"#);

/// All that is JSPR: the other dialogues of the folder are AT or MQTT.
fn captures() -> Vec<(String, Vec<Item>)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures/iridium");
    let mut captures: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let items = parse(&fs::read_to_string(path).unwrap()).unwrap();
            (name, items)
        })
        .filter(|(name, _)| !["sbd", "at-imt", "mqtt311"].iter().any(|other| name.contains(other)))
        .collect();
    captures.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(captures.len(), 13);
    captures
}

/// The line as the events of `FORMAT.md`.
fn events(line: &Line<'_>) -> Option<String> {
    let Line { code, target, body } = line;
    let body = std::str::from_utf8(body).unwrap();
    let compact = body.replace(", ", ",").replace(": ", ":");
    if *code != 299 {
        return Some(format!(r#"{{"reply":{{"code":{code},"target":"{target}"}}}}"#));
    }
    match *target {
        "bootInfo" => Some(r#"{"modem":"restarted"}"#.into()),
        "messageOriginateStatus" => {
            let status = compact.replace("\"final_mo_status\"", "\"status\"");
            Some(format!("{{\"sent\":{status}}}"))
        }
        "messageTerminate" | "messageTerminateSegment" => None,
        "messageTerminateStatus" if compact.contains("\"complete\"") => None,
        target => Some(format!(r#"{{"unsolicited":{{"target":"{target}","json":{compact}}}}}"#)),
    }
}

/// A machine that takes messages on topics whose names it does not know.
fn machine() -> crate::fake::Driver {
    let mut rig = Rig::new();
    rig.modem.topics.clear();
    let options = ConnectOptions::new("any", 1, "any").unwrap();
    rig.run(&Operation::Connect(&options)).unwrap();
    let all = Subscription::new("#", QoS::AtMostOnce).unwrap();
    rig.run(&Operation::Subscribe(&[all])).unwrap();
    rig.driver
}

fn messages(driver: &mut crate::fake::Driver) -> Vec<String> {
    let mut messages = Vec::new();
    while let Some(event) = driver.event() {
        if let Event::Message(message) = event {
            let topic = message.topic_str().unwrap().replace("RAW", "imt/244");
            let id = topic.strip_prefix("imt/").unwrap();
            let hex: String = message.payload.iter().map(|b| format!("{b:02x}")).collect();
            messages.push(format!(r#"{{"message":{{"topic_id":{id},"payload_hex":"{hex}"}}}}"#));
        }
    }
    messages
}

/// What the lines say, and which messages came in.
fn read(pieces: &[Vec<u8>]) -> (Vec<String>, Vec<String>) {
    let (mut reader, mut driver) = (Reader::<4096>::new(), machine());
    let (mut lines, mut received) = (Vec::new(), Vec::new());
    // Messages that wait are lent in the order of their announcements, which
    // with two in progress is not that of their ends.
    for piece in pieces {
        let mut input = piece.as_slice();
        while let Some(frame) = reader.next(&mut input) {
            assert!(!matches!(frame, Frame::TooLong(_)));
            if let Frame::Line(line) = frame {
                lines.extend(events(&line));
            }
        }
        driver.receive(piece, AT);
        received.extend(messages(&mut driver));
    }
    received.sort();
    (lines, received)
}

/// Xorshift: the splits are random and the same in every run.
fn split(bytes: &[u8], seed: u64, below: u64) -> Vec<Vec<u8>> {
    let mut state = seed;
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let size = usize::try_from(state % below).unwrap() + 1;
        let (piece, later) = rest.split_at(size.min(rest.len()));
        pieces.push(piece.to_vec());
        rest = later;
    }
    pieces
}

#[test]
fn every_dialogue_means_what_it_says_however_it_is_cut() {
    for (name, items) in captures() {
        let modem = |item: &Item| match item {
            Item::Modem(bytes) => Some(bytes.clone()),
            _ => None,
        };
        let pieces: Vec<Vec<u8>> = items.iter().filter_map(modem).collect();
        let expected = items.iter().filter_map(|item| match item {
            Item::Expected { json, .. } => Some(json.clone()),
            _ => None,
        });
        let expected = expected.filter(|json| !json.starts_with("{\"incomplete\""));
        let (messages, lines): (Vec<_>, Vec<_>) =
            expected.partition(|json| json.starts_with("{\"message\""));
        let delivered = |json: &String| (name.as_str(), json.as_str()) != NOT_DELIVERED;
        let mut messages: Vec<_> = messages.into_iter().filter(delivered).collect();
        messages.sort();
        let expected = (lines, messages);
        let whole = pieces.concat();
        assert_eq!(read(&pieces), expected, "{name} as it stands");
        assert_eq!(read(std::slice::from_ref(&whole)), expected, "{name} whole");
        assert_eq!(read(&split(&whole, 1, 1)), expected, "{name} byte by byte");
        for seed in 1..=8 {
            assert_eq!(read(&split(&whole, seed, 2 << seed)), expected, "{name} seed {seed}");
        }
    }
}

#[test]
fn the_doubtful_reading_is_there() {
    let captures = captures();
    let (_, items) = captures.iter().find(|(name, _)| name == NOT_DELIVERED.0).unwrap();
    let doubtful = |item: &Item| matches!(item, Item::Expected { json, doubtful: true } if json == NOT_DELIVERED.1);
    assert!(items.iter().any(doubtful));
}

/// Pieces that a modem's words are made of, and bytes that are none.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "\r",
        "\0",
        "\n",
        "200 ",
        "299 ",
        "405 MALFORMED {}\r",
        "200 messageOriginate {\"topic_id\":244,\"request_reference\":1,\"message_id\":4,\"message_response\":\"message_accepted\"}\r",
        "299 messageOriginateStatus {\"topic_id\":244,\"message_id\":4,\"final_mo_status\":\"message_expired\"}\r",
        "299 messageOriginateSegment {\"topic_id\":244,\"message_id\":4,\"segment_length\":4294967295,\"segment_start\":4294967295}\r",
        "299 messageTerminate {\"topic_id\":244,\"message_id\":1,\"message_length_max\":",
        "7}\r",
        "9}\r",
        "4294967295}\r",
        "299 messageTerminateSegment {\"topic_id\":244,\"message_id\":1,\"segment_length\":7,\"segment_start\":0,\"data\":\"aGVsbG/DYg==\"}\r",
        "299 messageTerminateSegment {\"topic_id\":244,\"message_id\":1,\"segment_length\":4294967295,\"segment_start\":1,\"data\":\"====\"}\r",
        "299 messageTerminateStatus {\"topic_id\":244,\"message_id\":1,\"final_mt_status\":\"complete\"}\r",
        "299 messageTerminate {\"topic_id\":313,\"message_id\":1,\"message_length_max\":3}\r",
        "299 messageTerminateSegment {\"topic_id\":313,\"message_id\":1,\"segment_length\":3,\"segment_start\":0,\"data\":\"AAAA\"}\r",
        "299 messageTerminateStatus {\"topic_id\":313,\"message_id\":1,\"final_mt_status\":\"complete\"}\r",
        "299 messageTerminate {\"topic_id\":314,\"message_id\":255,\"message_length_max\":3}\r",
        "299 operationalState {\"state\":\"fault\",\"reason\":255}\r",
        "299 messageProvisioning {\"provisioning\":[{\"topic_id\":313,\"topic_name\":\"a\\\"\"}]}\r",
        "299 messageProvisioning {\"provisioning\":[]}\r",
        "299 bootInfo {}\r",
        "{\"a\":[[[[[[[[[[[[",
        "x",
    ];
    prop_oneof![
        9 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..6),
    ]
}

/// All that a machine says after these bytes, with a message on its way out.
fn said(pieces: &[Vec<u8>]) -> Vec<String> {
    let mut rig = Rig::new();
    rig.modem.topics = vec![(244, "RAW")];
    rig.modem.status = None;
    let options = ConnectOptions::new("any", 1, "any").unwrap();
    rig.run(&Operation::Connect(&options)).unwrap();
    let all = Subscription::new("#", QoS::AtMostOnce).unwrap();
    rig.run(&Operation::Subscribe(&[all])).unwrap();
    let publish = Publish::new("RAW", b"x").unwrap();
    rig.run(&Operation::Publish(&publish)).unwrap();
    let mut driver = rig.driver;
    pieces.iter().for_each(|piece| driver.receive(piece, AT));
    let mut events: Vec<_> =
        std::iter::from_fn(|| driver.event().map(|event| format!("{event:?}"))).collect();
    events.push(format!("{:?} {:?}", driver.link(), driver.constellation()));
    events
}

proptest! {
    #[test]
    fn anything_says_the_same_however_it_is_cut(
        pieces in proptest::collection::vec(piece(), 0..40),
        seed in 1_u64..1_000_000,
    ) {
        let bytes = pieces.concat();
        let whole = said(std::slice::from_ref(&bytes));
        prop_assert_eq!(&whole, &said(&split(&bytes, 1, 1)));
        prop_assert_eq!(&whole, &said(&split(&bytes, seed, 12)));
    }
}
