//! Instructions per byte from bytes to typed events, counted by callgrind: the
//! gate against getting slower. Unlike times they are the same on every run.
//!
//! `cargo bench --bench instructions` prints the table and fails if a cell is
//! above its limit. `-- --limits` prints new limits, 5 % above what is measured,
//! to replace [`LIMITS`] by hand after a change that was meant. Arguments that
//! name streams restrict it to them. Needs `valgrind`.

mod streams;

use std::{
    env,
    process::{Command, ExitCode},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use streams::{Lane, READS, Stream, label};

/// Instructions per byte, by read size as in [`READS`].
const LIMITS: &[(&str, [f64; 4])] = &[
    ("mixed", [70.89, 43.79, 36.85, 36.43]),
    ("long_answers", [58.91, 28.94, 21.78, 19.02]),
    ("urc", [64.86, 36.55, 29.42, 29.83]),
    ("receive_256", [97.07, 14.59, 9.18, 7.43]),
    ("receive_1500", [106.34, 8.66, 3.46, 1.83]),
    ("msub_20", [78.85, 31.44, 24.58, 23.27]),
    ("msub_1360", [104.74, 7.58, 2.71, 1.18]),
    ("publish_20", [243.00, 44.51, 35.33, 34.79]),
    ("publish_256", [221.97, 18.81, 8.64, 5.69]),
    ("publish_1500", [219.06, 14.60, 4.39, 1.15]),
    ("jspr_signal", [180.53, 50.52, 44.08, 44.02]),
    ("jspr_message", [168.41, 38.35, 31.96, 29.99]),
    ("jspr_line", [140.84, 13.92, 7.42, 5.26]),
    ("hostile_payload", [97.02, 14.59, 9.18, 7.43]),
    ("hostile_crlf", [42.00, 16.87, 12.88, 11.55]),
    ("hostile_line", [119.33, 10.37, 4.07, 2.24]),
    ("hostile_short", [248.15, 235.75, 233.76, 256.20]),
    ("hostile_marks", [224.61, 188.00, 192.74, 194.20]),
];

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, stream, read] = args.as_slice() {
        if flag == "--cell" {
            run(&streams::named(stream), read.parse().expect("a read size"));
            return ExitCode::SUCCESS;
        }
    }
    let fresh = args.iter().any(|arg| arg == "--limits");
    let mut all = streams::all();
    if args.iter().any(|arg| !arg.starts_with('-')) {
        all.retain(|stream| args.iter().any(|arg| arg == stream.name));
    }
    let cells: Vec<_> = all.iter().flat_map(|stream| READS.map(|read| (stream, read))).collect();
    let figures = match measure(&cells) {
        Ok(figures) => figures,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if fresh {
        for (stream, row) in all.iter().zip(figures.chunks(READS.len())) {
            let row: Vec<_> = row.iter().map(|figure| format!("{:.2}", figure * 1.05)).collect();
            println!("    ({:?}, [{}]),", stream.name, row.join(", "));
        }
        return ExitCode::SUCCESS;
    }
    println!("{:16} {:>6} {:>18} {:>8}", "stream", "read", "instructions/byte", "limit");
    let mut above = 0;
    for ((stream, read), figure) in cells.into_iter().zip(figures) {
        let limit = limit(stream, read);
        let verdict = if figure <= limit { "" } else { "  ABOVE THE LIMIT" };
        above += usize::from(figure > limit);
        println!("{:16} {:>6} {figure:18.2} {limit:8.2}{verdict}", stream.name, label(read));
    }
    if above > 0 {
        eprintln!("{above} above their limits; see the head of benches/instructions.rs");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A stream without limits has none to keep.
fn limit(stream: &Stream, read: usize) -> f64 {
    let row = LIMITS.iter().find(|(name, _)| *name == stream.name);
    let column = READS.iter().position(|known| *known == read);
    row.zip(column).map_or(0.0, |((_, row), column)| row[column])
}

/// Once through the stream; what callgrind counts is `feed`.
fn run(stream: &Stream, read: usize) {
    let mut lane = Lane::new(stream, 0);
    if !stream.commands {
        return lane.all(stream, read);
    }
    for _ in 0..stream.ends.len() {
        lane.piece(stream, read);
        lane.command();
    }
}

/// Each cell in a process of its own under callgrind, as many at once as there
/// are processors.
fn measure(cells: &[(&Stream, usize)]) -> Result<Vec<f64>, String> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some((stream, read)) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            stream.verify(*read);
            done.push((stream.name, *read, count(stream, *read)?));
        }
        Ok::<_, String>(done)
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let done: Result<Vec<_>, _> = thread::scope(|scope| {
        let all: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        all.into_iter().map(|one| one.join().expect("a worker does not panic")).collect()
    });
    let done = done?.concat();
    let figure = |(stream, read): &(&Stream, usize)| {
        let of = |cell: &&(&str, usize, f64)| cell.0 == stream.name && cell.1 == *read;
        done.iter().find(of).map(|cell| cell.2).expect("each cell was measured")
    };
    Ok(cells.iter().map(figure).collect())
}

fn count(stream: &Stream, read: usize) -> Result<f64, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*streams::feed*"])
        .arg(own)
        .args(["--cell", stream.name, &read.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}; is it installed?"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted =
        said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    match counted {
        Some(count @ 1.0_f64..) if output.status.success() => Ok(count / stream.bytes.len() as f64),
        _ => Err(format!("callgrind counted nothing:\n{said}")),
    }
}
