//! The streams of the benches through hayes and two peers, in one process:
//! nanoseconds per byte, the fastest of many passes. `cargo run --release`
//! in this folder.
//!
//! What is compared is not the same work. **hayes** reads answers into its
//! status, credits them to the command in flight and gives every line as a
//! typed event. **atat**'s `Ingress` digests, parses the URCs of a table into
//! its queue and hands the answer over unparsed; it gets one answer at a time
//! and its queue is emptied after each, because a read that holds more is
//! partly lost. **at-commands** has no framing and no URCs: it is given whole
//! lines, cut for it here, and reads their fields.

#[path = "../../streams/mod.rs"]
mod streams;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use at_commands::parser::CommandParser;
use atat::{
    AtDigester, AtatIngress, Ingress, ResponseSlot, UrcChannel,
    atat_derive::{AtatResp, AtatUrc},
};
use streams::{Lane, READS, Stream, label};

const ENOUGH: Duration = Duration::from_millis(400);
const STREAMS: [&str; 3] = ["mixed", "long_answers", "urc"];

/// `+NAME: 0,1`
#[derive(Clone, AtatResp)]
struct Pair {
    _session: u8,
    _code: u8,
}

/// `+CMTI: "SM",3`
#[derive(Clone, AtatResp)]
struct Stored {
    _memory: heapless_bytes::Bytes<4>,
    _index: u8,
}

/// What the streams have unasked. Answers of the names `+CREG` and `+CEREG`
/// are taken for it as well, and are lost to their commands.
#[allow(dead_code, reason = "what is parsed is not looked at")]
#[derive(Clone, AtatUrc)]
enum Urc {
    #[at_urc(b"+CMQTTCONNLOST")]
    Lost(Pair),
    #[at_urc(b"+CMQTTNONET")]
    NoNetwork,
    #[at_urc(b"+CIPEVENT")]
    Closed,
    #[at_urc(b"+CGEV")]
    Bearer,
    #[at_urc(b"+CTZV")]
    Zone,
    #[at_urc(b"*PSUTTZ")]
    Time,
    #[at_urc(b"+CMTI")]
    Stored(Stored),
    #[at_urc(b"+CUSATP")]
    Toolkit,
    #[at_urc(b"+CREG")]
    Registered,
    #[at_urc(b"+CEREG")]
    Attached,
    #[at_urc(b"SMS DONE")]
    SmsDone,
}

fn main() {
    println!("{:28} {}", "ns/byte in reads of", READS.map(|r| format!("{:>8}", label(r))).concat());
    for name in STREAMS {
        let stream = streams::named(name);
        row(name, "hayes", READS.map(|read| hayes(&stream, read)));
        row("", "atat 0.25", READS.map(|read| atat(&stream, read)));
        row("", "at-commands 0.5", [None, None, None, at_commands(&stream)]);
    }
}

fn row(stream: &str, who: &str, figures: [Option<f64>; 4]) {
    let cell = |figure: Option<f64>| figure.map_or("–".into(), |figure| format!("{figure:.2}"));
    let cells = figures.map(|figure| format!("{:>8}", cell(figure)));
    println!("{stream:12} {who:15} {}", cells.concat());
}

/// The fastest of many passes, in ns/byte.
fn fastest(stream: &Stream, mut pass: impl FnMut() -> Duration) -> Option<f64> {
    let began = Instant::now();
    let mut fastest = Duration::MAX;
    while began.elapsed() < ENOUGH {
        fastest = fastest.min(pass());
    }
    Some(fastest.as_secs_f64() * 1e9 / stream.bytes.len() as f64)
}

fn hayes(stream: &Stream, read: usize) -> Option<f64> {
    stream.verify(read);
    let mut lane = Lane::new(stream, 0);
    fastest(stream, || {
        if !stream.commands {
            let start = Instant::now();
            lane.all(stream, read);
            return start.elapsed();
        }
        let mut taken = Duration::ZERO;
        for _ in 0..stream.ends.len() {
            let start = Instant::now();
            lane.piece(stream, read);
            taken += start.elapsed();
            lane.command();
        }
        taken
    })
}

fn atat(stream: &Stream, read: usize) -> Option<f64> {
    let slot = ResponseSlot::<1024>::new();
    let channel = UrcChannel::<Urc, 16, 1>::new();
    let mut buffer = [0; 4096];
    let mut urcs = channel.subscribe().ok()?;
    let mut ingress = Ingress::new(AtDigester::<Urc>::new(), &mut buffer, &slot, &channel);
    fastest(stream, || {
        let mut taken = Duration::ZERO;
        let mut from = 0;
        for end in &stream.ends {
            let start = Instant::now();
            for bytes in stream.bytes[from..*end].chunks(read) {
                if ingress.try_write(bytes).is_err() {
                    ingress.clear();
                }
            }
            while let Some(urc) = urcs.try_next_message_pure() {
                black_box(&urc);
            }
            taken += start.elapsed();
            slot.reset();
            from = *end;
        }
        taken
    })
}

/// Every line tried as one of two numbers, of a text and a number, or as it is.
fn at_commands(stream: &Stream) -> Option<f64> {
    let lines: Vec<_> = stream.bytes.split(|byte| *byte == b'\n').collect();
    fastest(stream, || {
        let start = Instant::now();
        for line in &lines {
            let name = line.iter().position(|byte| *byte == b' ').unwrap_or(0);
            let numbers = CommandParser::parse(line)
                .expect_identifier(&line[..name])
                .expect_int_parameter()
                .expect_int_parameter()
                .finish();
            match numbers {
                Ok(numbers) => drop(black_box(numbers)),
                Err(_) => drop(black_box(
                    CommandParser::parse(line)
                        .expect_identifier(&line[..name])
                        .expect_raw_string()
                        .finish(),
                )),
            }
        }
        start.elapsed()
    })
}
