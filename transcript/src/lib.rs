//! Recorded dialogues with modems, as text. Reads and writes the format of
//! `tests/captures/FORMAT.md` and says what a record means, with the drivers'
//! own framer, grammar and tables. It knows the format and nothing of any
//! vendor; no firmware depends on it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod format;
mod json;
mod jspr;
mod mqtt;
mod observer;

pub use format::{FormatError, Item, Problem, parse, print};
pub use json::json;
pub use jspr::Jspr;
pub use mqtt::Mqtt;
pub use observer::{Observer, Seen, Unfinished};

use hayes::at::dialect::Dialect;

/// The longest line or command, in bytes: A76xx modems take 3,071.
pub const LINE: usize = 4_096;
/// Room for a message or a data phase, in bytes: modems take 10,240.
pub const INBOX: usize = 32_768;

/// Reads the bytes of both sides of a dialogue and says what they mean, as JSON
/// objects in the words of the format.
pub trait Reader {
    /// The host sent these bytes.
    fn host(&mut self, bytes: &[u8], seen: &mut Vec<String>);

    /// The modem sent these bytes.
    fn modem(&mut self, bytes: &[u8], seen: &mut Vec<String>);

    /// So many milliseconds pass.
    fn elapsed(&mut self, ms: u32, seen: &mut Vec<String>);

    /// The record, or this excerpt of it, ends here.
    fn finish(&mut self, seen: &mut Vec<String>);
}

impl<D: Dialect, const LINE: usize, const INBOX: usize> Reader for Observer<D, LINE, INBOX> {
    fn host(&mut self, bytes: &[u8], seen: &mut Vec<String>) {
        self.host(bytes, &mut |event| seen.push(json(&event)));
    }

    fn modem(&mut self, bytes: &[u8], seen: &mut Vec<String>) {
        self.modem(bytes, &mut |event| seen.push(json(&event)));
    }

    fn elapsed(&mut self, ms: u32, seen: &mut Vec<String>) {
        self.elapsed(ms, &mut |event| seen.push(json(&event)));
    }

    fn finish(&mut self, seen: &mut Vec<String>) {
        self.finish(&mut |event| seen.push(json(&event)));
    }
}

/// A reader of dialogues with AT modems of the dialect `D`.
#[must_use]
pub fn at<D: Dialect + 'static>() -> Box<dyn Reader> {
    Box::new(Observer::<D, LINE, INBOX>::new())
}

/// What the record `input` says to `reader`: one JSON object an event.
///
/// # Errors
/// If `input` is not in the format.
pub fn decode(mut reader: Box<dyn Reader>, input: &str) -> Result<Vec<String>, FormatError> {
    Ok(replay(&mut *reader, &parse(input)?))
}

/// As [`decode`], of a record that was parsed already.
#[must_use]
pub fn replay(reader: &mut dyn Reader, items: &[Item]) -> Vec<String> {
    let mut seen = Vec::new();
    for item in items {
        match item {
            Item::Host(bytes) => reader.host(bytes, &mut seen),
            Item::Modem(bytes) => reader.modem(bytes, &mut seen),
            Item::Pause(ms) => reader.elapsed(*ms, &mut seen),
            Item::Comment(text) if text.starts_with("# -- ") => reader.finish(&mut seen),
            Item::Comment(_) | Item::Read | Item::Expected { .. } => {}
        }
    }
    reader.finish(&mut seen);
    seen
}
