//! Bytes → finished lines of JSPR: `code SP target [SP json] CR`. Looks at
//! each byte once, and knows nothing of what a line means.

use core::fmt;

use heapless::Vec;

/// The code of a line that nobody asked for.
pub(super) const UNSOLICITED: u16 = 299;
/// The longest target, in bytes.
const TARGET: usize = 30;

/// A line from the modem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// 200 to 500; 299 if nobody asked for the line.
    pub code: u16,
    /// The resource, or `MALFORMED`. Newer firmware may have new ones.
    pub target: &'a str,
    /// The JSON object, not looked at yet; may be empty.
    pub body: &'a [u8],
}

/// What has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A line.
    Line(Line<'a>),
    /// A line that does not begin as one: its head was lost, or it is noise.
    Broken,
    /// The beginning of a line that was longer than the buffer, if it reads as
    /// one; the rest was swallowed.
    TooLong(Option<Line<'a>>),
}

/// Collects lines of up to `LINE` bytes.
#[derive(Clone)]
pub struct Reader<const LINE: usize> {
    line: Vec<u8, LINE>,
    too_long: bool,
    /// A control byte stands where the line was torn off.
    torn: bool,
    /// The line in the buffer was handed out.
    done: bool,
}

impl<const LINE: usize> fmt::Debug for Reader<LINE> {
    /// Without the line: it may hold a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("length", &self.line.len())
            .field("too_long", &self.too_long)
            .field("torn", &self.torn)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl<const LINE: usize> Default for Reader<LINE> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const LINE: usize> Reader<LINE> {
    /// A reader at the start of a line.
    #[must_use]
    pub const fn new() -> Self {
        Self { line: Vec::new(), too_long: false, torn: false, done: false }
    }

    /// Whether a line has begun that has no end yet.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !self.line.is_empty() && !self.done && !self.too_long
    }

    /// Forgets the beginning of a line.
    pub fn clear(&mut self) {
        self.line.clear();
        self.too_long = false;
        self.torn = false;
        self.done = false;
    }

    /// Takes from `input` up to the end of the next line that is not empty.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Frame<'_>> {
        if self.done {
            self.clear();
        }
        while !self.done {
            if self.line.is_empty() && !self.too_long {
                *input = without_noise(input);
            }
            // No line has a control byte inside: a modem that boots begins
            // with one, and the line before it has lost its end.
            let end = input.iter().position(|byte| *byte < b' ');
            let (part, rest) = input.split_at_checked(end.unwrap_or(input.len()))?;
            self.keep(part);
            self.torn = rest.first().is_some_and(|byte| *byte != b'\r');
            *input = rest.get(1..).unwrap_or_default();
            end?;
            self.done = !self.line.is_empty() || self.too_long;
        }
        let line = parse(&self.line);
        Some(match line {
            _ if self.torn => Frame::Broken,
            line if self.too_long => Frame::TooLong(line),
            Some(line) => Frame::Line(line),
            None => Frame::Broken,
        })
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LINE.saturating_sub(self.line.len());
        let kept = part.get(..room).unwrap_or(part);
        self.too_long |= kept.len() < part.len();
        let _fits = self.line.extend_from_slice(kept);
    }
}

/// Control and non-ASCII bytes may precede a code, as DC1 and NUL do after a
/// boot (seen in logs).
fn without_noise(input: &[u8]) -> &[u8] {
    let noise = |byte: &u8| *byte != b'\r' && !(0x20..0x7f).contains(byte);
    let start = input.iter().position(|byte| !noise(byte)).unwrap_or(input.len());
    input.get(start..).unwrap_or_default()
}

/// Reads a line from its first byte on: a code further inside is none.
fn parse(line: &[u8]) -> Option<Line<'_>> {
    let ([a, b, c, b' '], rest) = line.split_first_chunk()? else { return None };
    let code = [a, b, c].into_iter().try_fold(0_u16, |code, digit| {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        Some(code.saturating_mul(10).saturating_add(digit.into()))
    })?;
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let (target, body) = rest.split_at_checked(end)?;
    let named = (1..=TARGET).contains(&end) && target.iter().all(u8::is_ascii_alphabetic);
    let target = core::str::from_utf8(target).ok().filter(|_| named)?;
    (200..=500).contains(&code).then_some(Line { code, target, body: body.trim_ascii() })
}

#[cfg(test)]
mod tests {
    use std::{
        string::{String, ToString},
        vec::Vec,
    };

    use super::*;

    fn read<const LINE: usize>(bytes: &[u8], size: usize) -> Vec<String> {
        let mut reader = Reader::<LINE>::new();
        let mut seen = Vec::new();
        for mut piece in bytes.chunks(size) {
            while let Some(frame) = reader.next(&mut piece) {
                seen.push(match frame {
                    Frame::Line(line) => {
                        let body = String::from_utf8_lossy(line.body);
                        std::format!("{} {} {body}", line.code, line.target)
                    }
                    Frame::Broken => "broken".to_string(),
                    Frame::TooLong(line) => std::format!("too long: {:?}", line.map(|l| l.target)),
                });
            }
        }
        seen
    }

    /// The lines of the vendor's library; the noise before them and the halves
    /// of them that third parties' captures have.
    #[test]
    fn lines_are_read_alike_however_they_are_cut() {
        let bytes = b"\x00\x11405 MALFORMED {}\r\r\n\xff299 bootInfo {\"a\":1}\r200 x\r\
            ,\"patch\":200 x {}\r20 x {}\r2000 x {}\r199 x {}\r501 x {}\r200 x1 {}\r200  {}\r\
            \x20200 x {}\r402 simConfig {}\r299 simStatus\x11299 bootInfo {}\r";
        let expected = [
            "405 MALFORMED {}",
            "299 bootInfo {\"a\":1}",
            "200 x ",
            "broken",
            "broken",
            "broken",
            "broken",
            "broken",
            "broken",
            "broken",
            "broken",
            "402 simConfig {}",
            "broken",
            "299 bootInfo {}",
        ];
        for size in 1..=bytes.len() {
            assert_eq!(read::<64>(bytes, size), expected, "{size}");
        }
    }

    #[test]
    fn a_line_too_long_is_swallowed_to_its_end_and_told_once() {
        let bytes = b"200 messageProvisioning {\"provisioning\":[]}\r200 x {}\r";
        for size in 1..=bytes.len() {
            let expected = ["too long: Some(\"messageProvisioning\")", "200 x {}"];
            assert_eq!(read::<30>(bytes, size), expected, "{size}");
        }
        let expected = ["200 messageProvisioning {\"provisioning\":[]}", "200 x {}"];
        assert_eq!(read::<43>(bytes, 7), expected);
    }

    /// One that is too long is known to be none before its end comes.
    #[test]
    fn a_line_has_begun_from_its_first_byte_to_its_end() {
        let mut reader = Reader::<16>::new();
        for (bytes, inside) in [
            (&b""[..], false),
            (b"\x11\0\r", false),
            (b"2", true),
            (b"00 x {}", true),
            (b"\r", false),
            (b"200 x {\"a\":1}   ", true),
            (b"  ", false),
            (b"\r200", true),
        ] {
            let mut input = bytes;
            while reader.next(&mut input).is_some() {}
            assert_eq!(reader.is_inside(), inside, "{}", bytes.escape_ascii());
        }
        reader.clear();
        assert!(!reader.is_inside());
    }

    #[test]
    fn noise_without_end_takes_no_room() {
        let mut bytes = std::vec![0x80; 10_000];
        bytes.extend_from_slice(b"200 x {}\r");
        assert_eq!(read::<16>(&bytes, 1), ["200 x {}"]);
    }

    #[test]
    fn how_full_a_reader_is_may_be_shown_and_what_it_holds_not() {
        let mut reader = Reader::<16>::new();
        assert!(reader.next(&mut b"s3cret".as_slice()).is_none());
        let shown = std::format!("{reader:?}");
        assert!(shown.contains("length: 6") && !shown.contains("s3cret"), "{shown}");
    }
}
