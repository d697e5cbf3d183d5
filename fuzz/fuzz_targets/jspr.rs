//! The lines of a 9704 are the same in any pieces, and each is what stands
//! between two CRs, read from its first byte on.

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

/// The same without a state: cut at each CR and each other control byte, which
/// makes the line before it a torn one; noise taken off the front.
fn lines(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    for byte in bytes {
        match byte {
            0..0x20 if line.is_empty() => {}
            b'\r' => lines.push(read(&std::mem::take(&mut line))),
            0..0x20 => {
                line.clear();
                lines.push("broken".to_owned());
            }
            0x7f.. if line.is_empty() => {}
            byte => line.push(*byte),
        }
    }
    lines
}

fn read(line: &[u8]) -> String {
    if line.len() > LINE {
        return "too long".to_owned();
    }
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (code, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default().trim_ascii();
    let number = std::str::from_utf8(code).ok().and_then(|code| code.parse::<u16>().ok());
    let named = (1..=30).contains(&target.len()) && target.iter().all(u8::is_ascii_alphabetic);
    match number.filter(|_| code.len() == 3 && code.iter().all(u8::is_ascii_digit)) {
        Some(code @ 200..=500) if named => {
            let target = String::from_utf8_lossy(target);
            words(&Line { code, target: &target, body })
        }
        _ => "broken".to_owned(),
    }
}
