//! Recorded dialogues and what they mean: every file under `tests/captures`
//! is read as it stands, byte by byte and at random splits. The readings were
//! written by hand from the manuals and the logs (`FORMAT.md`), not by any
//! program; where this one reads otherwise, the table says so and why.

use std::{fs, path::PathBuf};

use hayes_luat::Luat;
use hayes_simcom::Simcom;
use hayes_transcript::{Item, Jspr, Mqtt, Reader, at, parse, print, replay};
use proptest::prelude::*;

/// A reading that differs: in this file, instead of this expectation, these
/// events, for this reason.
struct Difference {
    file: &'static str,
    expected: &'static str,
    seen: &'static [&'static str],
    #[allow(dead_code, reason = "for the reader")]
    reason: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        file: "90-smsub-quotes-and-crlf.txt",
        expected: r#"{"message":{"topic":"t/a","payload_hex":"7b226b223a22762c205c22785c22227d0d0a4f4b0d0a"}}"#,
        seen: &[r#"{"urc":"+SMSUB: \"t/a\",\"{\"k\":\"v, \\\"x\\\"\"}"}"#, r#"{"urc":"\""}"#],
        reason: "doubtful: the line has no length; where its payload goes on after CR LF is a guess",
    },
    Difference {
        file: "06-unit-test-vectors.txt",
        expected: r#"{"message":{"topic_id":244,"payload_hex":"68656c6c6f"}}"#,
        seen: &[
            r#"{"unsolicited":{"target":"messageTerminateStatus","json":{"topic_id":244, "message_id":4,"final_mt_status":"complete"}}}"#,
            r#"{"incomplete":"message 1 on topic 244 was under way"}"#,
        ],
        reason: "doubtful: the status names another message than its data",
    },
];

struct Capture {
    name: String,
    items: Vec<Item>,
}

fn captures(folder: &str) -> Vec<Capture> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(folder);
    let mut captures: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let items = parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(print(&items), text, "{name}");
            Capture { name, items }
        })
        .collect();
    captures.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!captures.is_empty());
    captures
}

impl Capture {
    /// The hand-written reading, with the differences put in.
    fn expected(&self) -> Vec<&str> {
        let mut events: Vec<&str> = Vec::new();
        for item in &self.items {
            let Item::Expected { json, .. } = item else { continue };
            match DIFFERENCES.iter().find(|d| d.file == self.name && d.expected == json) {
                Some(difference) => events.extend_from_slice(difference.seen),
                None => events.push(json),
            }
        }
        events
    }

    fn assert_reads(&self, reader: &Make, items: &[Item], how: &str) {
        let seen = replay(&mut *reader(), items);
        let seen: Vec<_> = seen.iter().map(|event| without_words(event)).collect();
        let expected: Vec<_> = self.expected().into_iter().map(without_words).collect();
        if let Some(at) =
            (0..seen.len().max(expected.len())).find(|at| seen.get(*at) != expected.get(*at))
        {
            panic!(
                "{} {how}: event {at} is\n  {:?}\nand should be\n  {:?}",
                self.name,
                seen.get(at),
                expected.get(at)
            );
        }
    }
}

/// What an incomplete record says of itself is free text.
fn without_words(event: &str) -> &str {
    if event.starts_with("{\"incomplete\":") { "{\"incomplete\"}" } else { event }
}

/// The same dialogue, the modem's and the host's runs of bytes cut at random
/// places, or joined if `size` is large.
fn split(items: &[Item], mut size: impl FnMut() -> usize) -> Vec<Item> {
    let mut runs: Vec<Item> = Vec::new();
    for item in items {
        match (runs.last_mut(), item) {
            (_, Item::Read | Item::Expected { .. }) => {}
            (Some(Item::Modem(run)), Item::Modem(bytes))
            | (Some(Item::Host(run)), Item::Host(bytes)) => run.extend_from_slice(bytes),
            _ => runs.push(item.clone()),
        }
    }
    let mut pieces = |run: &[u8], kind: fn(Vec<u8>) -> Item| {
        let mut rest = run;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(size().clamp(1, rest.len()));
            pieces.push(kind(piece.to_vec()));
            rest = later;
        }
        pieces
    };
    runs.iter()
        .flat_map(|item| match item {
            Item::Modem(run) => pieces(run, Item::Modem),
            Item::Host(run) => pieces(run, Item::Host),
            other => vec![other.clone()],
        })
        .collect()
}

/// Xorshift: the splits are random and the same in every run.
fn random(seed: u64, below: u64) -> impl FnMut() -> usize {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below).unwrap() + 1
    }
}

/// Makes a reader of some modem's dialogues.
type Make = dyn Fn() -> Box<dyn Reader>;

fn assert_all_read(folder: &str, reader: impl Fn(&str) -> Option<&'static Make>) {
    for capture in captures(folder) {
        let Some(reader) = reader(&capture.name) else { continue };
        capture.assert_reads(reader, &capture.items, "as it stands");
        capture.assert_reads(reader, &split(&capture.items, || usize::MAX), "whole");
        capture.assert_reads(reader, &split(&capture.items, || 1), "byte by byte");
        for seed in 1..=8 {
            let items = split(&capture.items, random(seed, 2 << seed));
            capture.assert_reads(reader, &items, &format!("with seed {seed}"));
        }
    }
}

#[test]
fn simcom_dialogues_mean_what_they_say_however_they_are_cut() {
    assert_all_read("simcom", |_| Some(&at::<Simcom>));
}

#[test]
fn luat_dialogues_mean_what_they_say_however_they_are_cut() {
    assert_all_read("luat", |_| Some(&at::<Luat>));
}

/// Records of modems that no driver here speaks to: 9602 (SBD), and the AT
/// commands of a RockREMOTE Mini.
const NOT_SUPPORTED: &[&str] = &[
    "13-sbd-send-no-network.txt",
    "15-sbd-sbdix-with-mt.txt",
    "16-sbd-text-example.txt",
    "18-rockremote-mini-at-imt.txt",
];

#[test]
fn iridium_dialogues_mean_what_they_say_however_they_are_cut() {
    assert_all_read("iridium", |name| match name {
        name if NOT_SUPPORTED.contains(&name) => None,
        name if name.contains("mqtt311") => Some(&|| Box::new(Mqtt::default())),
        _ => Some(&|| Box::new(Jspr::default())),
    });
}

#[test]
fn every_difference_is_one() {
    let captures: Vec<_> = ["simcom", "luat", "iridium"].into_iter().flat_map(captures).collect();
    for difference in DIFFERENCES {
        let capture = captures.iter().find(|capture| capture.name == difference.file);
        let expected = |item: &Item| matches!(item, Item::Expected { json, .. } if json == difference.expected);
        assert!(
            capture.is_some_and(|capture| capture.items.iter().any(expected)),
            "{}: {} is not expected there",
            difference.file,
            difference.expected
        );
    }
}

/// Pieces that dialogues are made of, and bytes that are none.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "\r\n",
        "\r",
        "\n",
        "OK\r\n",
        "ERROR\r\n",
        ">",
        "> ",
        "AT\r",
        "AT+CMQTTTOPIC=0,3\r",
        "t/a",
        "AT+CMQTTPUB=0,1,60\r",
        "+CMQTTPUB: 0,0\r\n",
        "+CMQTTPUB: 0,6\r\n",
        "AT+CSQ\r",
        "AT+CSQ?\r",
        "+CSQ: 1,2\r\n",
        "+CMQTTRXSTART: 0,3,4\r\n",
        "+CMQTTRXTOPIC: 0,3\r\n",
        "+CMQTTRXEND: 0\r\n",
        "+CMQTTRXPAYLOAD: 0,4\r\n",
        "data",
        "+CMQTTRECV: 0,\"t\",3,\"",
        "abc\"\r\n",
        "RDY\r\n",
        "\0",
        "+CMQTTCONNLOST: 0,1\r\n",
        "+CME ERROR: 3\r\n",
        "+CMQTTPUB=0,1",
        "AT+MPUB=\"t\",1,0,\"x\"\r\n",
        "AT+MPUBEX=\"t\",1,0,4\r\n",
        "PUBACK\r\n",
        "PUBREC\r\n",
        "AT+MIPSTART=h,1\r\n",
        "CONNECT OK",
        "CONNECT FAIL\r\n",
        "STATE: IP STATUS\r\n",
        "AT+CIFSR\r\n",
        "+MSUB: \"t\",4 byte,",
        "+MSUB: 1\r\n",
        "CLOSED\r\n",
        "A",
        "T",
        "\"",
    ];
    prop_oneof![
        9 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..6),
    ]
}

fn dialogue() -> impl Strategy<Value = Vec<Item>> {
    let item = prop_oneof![
        3 => piece().prop_map(Item::Host),
        6 => piece().prop_map(Item::Modem),
        1 => (0_u32..8_000).prop_map(Item::Pause),
    ];
    proptest::collection::vec(item, 0..60)
}

proptest! {
    #[test]
    fn any_dialogue_says_the_same_however_it_is_cut(items in dialogue(), seed in 1_u64..1_000_000) {
        let readers: [&Make; 2] = [&at::<Simcom>, &at::<Luat>];
        for reader in readers {
            let whole = replay(&mut *reader(), &split(&items, || usize::MAX));
            prop_assert_eq!(&whole, &replay(&mut *reader(), &split(&items, || 1)));
            prop_assert_eq!(&whole, &replay(&mut *reader(), &split(&items, random(seed, 12))));
        }
    }
}
