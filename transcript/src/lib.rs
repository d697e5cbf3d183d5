//! Recorded dialogues with modems, as text. Reads and writes the format of
//! `tests/captures/FORMAT.md` and says what a record means, with the drivers'
//! own framer, grammar and tables. It knows the format and nothing of any
//! vendor; no firmware depends on it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod format;
mod json;
mod observer;

pub use format::{FormatError, Item, Problem, parse, print};
pub use json::json;
pub use observer::{Observer, Seen, Unfinished};

use hayes::at::dialect::Dialect;

/// The longest line or command, in bytes: A76xx modems take 3,071.
pub const LINE: usize = 4_096;
/// Room for a message or a data phase, in bytes: modems take 10,240.
pub const INBOX: usize = 32_768;

/// What the record `input` says, read as a dialogue with a modem of the
/// dialect `D`: one JSON object an event, in the words of the format.
///
/// # Errors
/// If `input` is not in the format.
pub fn decode<D: Dialect>(input: &str) -> Result<Vec<String>, FormatError> {
    Ok(replay::<D>(&parse(input)?))
}

/// As [`decode`], of a record that was parsed already.
#[must_use]
pub fn replay<D: Dialect>(items: &[Item]) -> Vec<String> {
    let mut events = Vec::new();
    let mut observer = Box::new(Observer::<D, LINE, INBOX>::new());
    let mut seen = |event: Seen<'_>| events.push(json(&event));
    for item in items {
        match item {
            Item::Host(bytes) => observer.host(bytes, &mut seen),
            Item::Modem(bytes) => observer.modem(bytes, &mut seen),
            Item::Pause(ms) => observer.elapsed(*ms, &mut seen),
            Item::Comment(text) if text.starts_with("# -- ") => observer.finish(&mut seen),
            Item::Comment(_) | Item::Read | Item::Expected { .. } => {}
        }
    }
    observer.finish(&mut seen);
    events
}
