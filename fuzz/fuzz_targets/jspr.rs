//! The lines of a 9704 are the same in any pieces, each is what stands between
//! two CRs, read from its first byte on; and a body that `serde_json` reads is
//! read the same.

#![cfg_attr(fuzzing, no_main)]

use hayes::{Instant, Machine as _};
use hayes_iridium::jspr::{self, Constellation, Frame, Line, Reader};
use serde_json::Value;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));

const LINE: usize = 64;

pub fn run(bytes: &[u8]) {
    let whole = frames(bytes, usize::MAX);
    for size in [1, 2, 7] {
        assert_eq!(frames(bytes, size), whole, "in pieces of {size}");
    }
    assert_eq!(whole, lines(bytes));
    signal(bytes);
}

/// The bytes as the body of a signal report. Only what `serde_json` takes is
/// compared: the driver need not refuse what a modem never says. It does refuse
/// what is nested deep.
fn signal(bytes: &[u8]) {
    let body = bytes.trim_ascii();
    if body.len() > 200 || body.iter().any(|byte| *byte < b' ') || !body.starts_with(b"{") {
        return;
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    let whole = |name: &str| value.get(name).and_then(Value::as_i64);
    let visible = value.get("constellation_visible").and_then(Value::as_bool);
    let bars = whole("signal_bars").and_then(|bars| u8::try_from(bars).ok());
    let level = whole("signal_level").and_then(|level| i16::try_from(level).ok());
    // A level without satellites is none.
    let level_dbm = level.filter(|_| visible == Some(true));
    let (Some(visible), Some(bars)) = (visible, bars) else { return };
    let plain = value.as_object().is_some_and(|all| {
        all.iter().all(|(name, value)| {
            let known = name.starts_with("signal_") || name == "constellation_visible";
            known && (value.is_boolean() || value.is_i64())
        })
    });
    // A name that comes twice, or is written with escapes, is read as the first.
    let once = |name: &[u8]| body.windows(name.len()).filter(|part| *part == name).count() == 1;
    if !plain || body.contains(&b'\\') || !once(b"constellation_visible") || !once(b"signal_bars") {
        return;
    }
    if body.windows(12).filter(|part| part == b"signal_level").count()
        != usize::from(level.is_some())
    {
        return;
    }
    let mut machine = jspr::machine::<512, 512>(Default::default());
    let line = [b"299 constellationState ", body, b"\r"].concat();
    machine.receive(&line, Instant::from_millis(0));
    let seen = machine.constellation();
    assert_eq!(seen, Some(Constellation { visible, bars, level_dbm }), "{value}");
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
