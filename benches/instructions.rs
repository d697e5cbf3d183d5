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
    ("mixed", [111.60, 55.88, 46.68, 46.09]),
    ("long_answers", [83.18, 39.04, 30.82, 27.86]),
    ("urc", [93.27, 45.65, 37.08, 40.00]),
    ("receive_256", [109.28, 17.52, 11.76, 9.68]),
    ("receive_1500", [113.21, 9.45, 4.08, 2.34]),
    ("msub_20", [93.82, 31.26, 22.46, 21.41]),
    ("msub_1360", [111.47, 7.85, 2.74, 1.10]),
    ("publish_20", [238.16, 42.34, 33.28, 32.91]),
    ("publish_256", [220.33, 18.13, 8.27, 5.39]),
    ("publish_1500", [217.90, 14.16, 4.24, 1.09]),
    ("jspr_signal", [186.82, 50.71, 44.12, 44.01]),
    ("jspr_message", [174.71, 38.55, 32.01, 30.00]),
    ("jspr_line", [147.14, 14.11, 7.47, 5.27]),
    ("hostile_payload", [109.00, 17.52, 11.76, 9.68]),
    ("hostile_crlf", [119.70, 20.28, 15.31, 13.65]),
    ("hostile_line", [140.33, 10.51, 4.11, 3.02]),
    ("hostile_short", [328.65, 207.42, 201.74, 246.40]),
    ("hostile_marks", [267.73, 153.77, 153.39, 153.35]),
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
