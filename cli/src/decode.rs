//! `hayes decode`: a captured dialogue in the format of
//! `tests/captures/FORMAT.md`, and what it means, one JSON object a line. It
//! knows files and standard streams; `hayes-transcript` knows the format.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Write, stdin, stdout};

use crate::vendor::Vendor;

/// Decodes the file at `path`, or standard input if that is `-`.
pub fn run(vendor: Vendor, path: &str) -> io::Result<()> {
    let mut input = String::new();
    match path {
        "-" => stdin().read_to_string(&mut input)?,
        _ => File::open(path)?.read_to_string(&mut input)?,
    };
    let events = hayes_transcript::decode((vendor.row().reader)(), &input);
    let events = events.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    match print(&events) {
        // Nobody reads the output any more.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn print(events: &[String]) -> io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    for event in events {
        writeln!(out, "{event}")?;
    }
    out.flush()
}
