//! The lines of a 9704 are the same in any pieces, and each is what stands
//! between two CRs, read from its first byte on; behind one that was torn off,
//! the last that is whole.

#![cfg_attr(fuzzing, no_main)]

use hayes_iridium::jspr::{Frame, Line, Reader};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));

const LINE: usize = 64;

pub fn run(bytes: &[u8]) {
    let whole = frames(bytes, usize::MAX);
    for size in [1, 2, 7] {
        assert_eq!(frames(bytes, size), whole, "in pieces of {size}");
    }
    assert_eq!(whole, lines(bytes));
}

fn frames(bytes: &[u8], size: usize) -> Vec<String> {
    let mut reader = Reader::<LINE>::new();
    let mut frames = Vec::new();
    for mut piece in bytes.chunks(size) {
        while let Some(frame) = reader.next(&mut piece) {
            frames.push(match frame {
                Frame::Line(line) => words(&line),
                Frame::Broken => "broken".to_owned(),
                Frame::TooLong(_) => "too long".to_owned(),
            });
        }
    }
    frames
}

fn words(line: &Line<'_>) -> String {
    let gap = if line.body.is_empty() { "" } else { " " };
    format!("{} {}{gap}{}", line.code, line.target, line.body.escape_ascii())
}

/// The same without a state: cut at each CR, noise taken off the front.
fn lines(bytes: &[u8]) -> Vec<String> {
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\r') else { return Vec::new() };
    let printable = |byte: &u8| (0x20..0x7f).contains(byte);
    let all = bytes[..end]
        .split(|byte| *byte == b'\r')
        .map(|line| &line[line.iter().position(printable).unwrap_or(line.len())..]);
    all.filter(|line| !line.is_empty()).flat_map(read).collect()
}

fn read(line: &[u8]) -> Vec<String> {
    if line.len() > LINE {
        return vec!["too long".to_owned()];
    }
    let first = parse(line);
    let whole = |body: &[u8]| !body.contains(&b' ') || is_object(body);
    let behind = |at: usize| parse(&line[at..]).filter(|(_, body)| is_object(body));
    let next = match &first {
        Some((_, body)) if whole(body) => None,
        _ => (1..line.len()).rev().find_map(behind),
    };
    match (first, next) {
        (Some((words, _)), None) => vec![words],
        (_, None) => vec!["broken".to_owned()],
        (_, Some((words, _))) => vec!["broken".to_owned(), words],
    }
}

fn parse(line: &[u8]) -> Option<(String, &[u8])> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (code, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default().trim_ascii();
    let number = std::str::from_utf8(code).ok().and_then(|code| code.parse::<u16>().ok());
    let named = (1..=30).contains(&target.len()) && target.iter().all(u8::is_ascii_alphabetic);
    match number.filter(|_| code.len() == 3 && code.iter().all(u8::is_ascii_digit)) {
        Some(code @ 200..=500) if named => {
            let target = String::from_utf8_lossy(target);
            Some((words(&Line { code, target: &target, body }), body))
        }
        _ => None,
    }
}

/// Its braces, those in strings left out, close with the last byte.
fn is_object(body: &[u8]) -> bool {
    let (mut braces, mut at) = (Vec::new(), 0);
    while at < body.len() {
        match body[at] {
            b'"' => {
                at += 1;
                while at < body.len() && body[at] != b'"' {
                    at += if body[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' => braces.push((at, 1_i32)),
            b'}' => braces.push((at, -1)),
            _ => {}
        }
        at += 1;
    }
    let mut depth = 0;
    let depths = braces.iter().map(|(at, way)| {
        depth += way;
        (*at, depth)
    });
    let closed = depths.filter(|(_, depth)| *depth <= 0).map(|(at, _)| at).next();
    body.starts_with(b"{") && closed == body.len().checked_sub(1)
}
