//! Nanoseconds per byte from bytes to typed events, against the budgets.
//!
//! `cargo bench --bench budgets [-- STREAM…]`. Each figure is the fastest of at
//! least 0.4 seconds of passes over a stream. Times depend on the machine: they
//! inform, and nothing fails by them (`instructions` is the gate).

mod streams;

use std::{
    env,
    hint::black_box,
    time::{Duration, Instant},
};

use hayes::at::escape;
use streams::{Lane, READS, Stream, label};

/// Per stream and read size.
const ENOUGH: Duration = Duration::from_millis(400);
/// So many drivers, each at its own place of the stream, read one answer each
/// between two looks at the clock, which would else cost as much as an answer.
const LANES: usize = 16;

/// Upper bounds in ns/byte, by read size as in [`READS`].
enum Budget {
    Fixed([Option<f64>; 4]),
    /// So many times the figure of `mixed`.
    Mixed(f64),
    None,
}

fn budget(stream: &str) -> Budget {
    match stream {
        "mixed" | "long_answers" | "urc" => Budget::Fixed([4.0, 2.0, 2.0, 2.0].map(Some)),
        "receive_256" | "receive_1500" | "msub_1360" => {
            Budget::Fixed([None, None, Some(0.3), Some(0.3)])
        }
        "publish_256" | "publish_1500" => Budget::Fixed([None, None, Some(1.0), Some(1.0)]),
        "hostile_payload" | "hostile_crlf" | "hostile_line" => Budget::Mixed(2.0),
        _ => Budget::None,
    }
}

fn main() {
    let wanted: Vec<_> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let mut verdicts = Vec::new();
    let mut mixed = None;
    print_row("ns/byte, stream", &READS.map(label));
    for stream in streams::all() {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == stream.name) {
            continue;
        }
        let figures = READS.map(|read| {
            stream.verify(read);
            measure(&stream, read)
        });
        print_row(stream.name, &figures.map(|figure| format!("{figure:.2}")));
        if stream.name == "mixed" {
            mixed = Some(figures);
        }
        let bounds = match budget(stream.name) {
            Budget::Fixed(bounds) => bounds,
            Budget::Mixed(times) => {
                mixed.map_or([None; 4], |mixed| mixed.map(|figure| Some(times * figure)))
            }
            Budget::None => [None; 4],
        };
        for ((read, figure), bound) in READS.into_iter().zip(figures).zip(bounds) {
            let Some(bound) = bound else { continue };
            let cell = format!("{} in reads of {}", stream.name, label(read));
            verdicts.push((cell, bound, figure));
        }
    }
    println!("\n{:36} {:>8} {:>9}", "budget", "ns/byte", "measured");
    for (cell, bound, figure) in verdicts {
        let verdict = if figure <= bound { "met" } else { "MISSED" };
        println!("{cell:36} {:>8} {figure:>9.2}  {verdict}", format!("≤ {bound:.2}"));
    }
    escapes();
}

/// Payload escapes there and back, over 4,100 bytes of JSON-like text; what
/// comes back is compared.
fn escapes() {
    let payload: Vec<u8> =
        b"{\"temp\":21.5,\r\n\"path\":\"c:\\x\"} ".iter().copied().cycle().take(4_100).collect();
    let mut wire = Vec::new();
    let there = fastest(|| {
        wire.clear();
        let mut rest = black_box(payload.as_slice());
        while let Some(piece) = escape::next(rest) {
            rest = &rest[piece.stands_for()..];
            match piece {
                escape::Piece::Plain(bytes) => wire.extend_from_slice(bytes),
                escape::Piece::Escape(bytes) => wire.extend_from_slice(&bytes),
            }
        }
    });
    let mut back = Vec::new();
    let again = fastest(|| {
        back.clear();
        back.extend(escape::unescape(black_box(&wire)));
    });
    assert_eq!(back, payload, "escapes do not come back");
    let per_byte = |time: Duration| time.as_secs_f64() * 1e9 / payload.len() as f64;
    println!("\nescapes, ns/byte: {:.2} there, {:.2} back", per_byte(there), per_byte(again));
}

/// The fastest of many runs.
fn fastest(mut run: impl FnMut()) -> Duration {
    let began = Instant::now();
    let mut fastest = Duration::MAX;
    while began.elapsed() < ENOUGH {
        let start = Instant::now();
        run();
        fastest = fastest.min(start.elapsed());
    }
    fastest
}

fn print_row(name: &str, cells: &[String]) {
    print!("{name:16}");
    for cell in cells {
        print!(" {cell:>7}");
    }
    println!();
}

/// The fastest pass, in ns/byte.
fn measure(stream: &Stream, read: usize) -> f64 {
    let lanes = if stream.commands { LANES } else { 1 };
    // A lane begins where the first command of the operation is due.
    let round = streams::COMMANDS.len();
    let apart = stream.ends.len() / lanes / round * round;
    let mut all: Vec<_> = (0..lanes).map(|n| Lane::new(stream, n * apart)).collect();
    let mut fastest = Duration::MAX;
    let began = Instant::now();
    while began.elapsed() < ENOUGH {
        fastest = fastest.min(pass(stream, read, &mut all));
    }
    black_box(all.iter().map(|lane| lane.tally.urcs).sum::<u32>());
    fastest.as_secs_f64() * 1e9 / (stream.bytes.len() * lanes) as f64
}

/// Once through the stream with every lane.
fn pass(stream: &Stream, read: usize, lanes: &mut [Lane]) -> Duration {
    if !stream.commands {
        let start = Instant::now();
        for lane in lanes {
            lane.all(stream, read);
        }
        return start.elapsed();
    }
    let mut taken = Duration::ZERO;
    for _ in 0..stream.ends.len() {
        let start = Instant::now();
        for lane in &mut *lanes {
            lane.piece(stream, read);
        }
        taken += start.elapsed();
        lanes.iter_mut().for_each(Lane::command);
    }
    taken
}
