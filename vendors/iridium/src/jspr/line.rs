//! Bytes → finished lines of JSPR: `code SP target [SP json] CR`. Looks at
//! each byte once, unless a line was torn, and knows nothing of what a line
//! means.

use core::fmt;

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
    /// A line that does not begin as one, or does not end as one: its head or
    /// its end was lost, or it is noise.
    Broken,
    /// The beginning of a line that was longer than the buffer, if it reads as
    /// one; the rest was swallowed.
    TooLong(Option<Line<'a>>),
}

/// Collects lines of up to `LINE` bytes.
#[derive(Clone)]
pub struct Reader<const LINE: usize> {
    buffer: [u8; LINE],
    length: usize,
    too_long: bool,
    /// The line in the buffer was handed out.
    done: bool,
    /// Where in the buffer the line begins that follows a torn one.
    next: Option<usize>,
}

impl<const LINE: usize> fmt::Debug for Reader<LINE> {
    /// Without the line: it may hold a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("length", &self.length)
            .field("too_long", &self.too_long)
            .field("done", &self.done)
            .field("next", &self.next)
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
        Self { buffer: [0; LINE], length: 0, too_long: false, done: false, next: None }
    }

    /// Forgets the beginning of a line.
    pub fn clear(&mut self) {
        self.length = 0;
        self.too_long = false;
        self.done = false;
        self.next = None;
    }

    /// Takes from `input` up to the end of the next line that is not empty.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Frame<'_>> {
        if let Some(start) = self.next.take() {
            return self.buffer.get(start..self.length).and_then(parse).map(Frame::Line);
        }
        if self.done {
            self.clear();
        }
        while !self.done {
            if self.length == 0 && !self.too_long {
                *input = without_noise(input);
            }
            let end = input.iter().position(|byte| *byte == b'\r');
            let (part, rest) = input.split_at_checked(end.unwrap_or(input.len()))?;
            self.keep(part);
            *input = rest.get(1..).unwrap_or_default();
            end?;
            self.done = self.length > 0 || self.too_long;
        }
        let text = self.buffer.get(..self.length).unwrap_or_default();
        let line = parse(text);
        if !self.too_long && !line.is_some_and(|line| is_whole(line.body)) {
            self.next = behind_torn(text);
        }
        Some(match line {
            line if self.too_long => Frame::TooLong(line),
            Some(line) if self.next.is_none() => Frame::Line(line),
            _ => Frame::Broken,
        })
    }

    fn keep(&mut self, part: &[u8]) {
        let room = self.buffer.get_mut(self.length..).unwrap_or_default();
        let fits = part.len().min(room.len());
        self.too_long |= fits < part.len();
        if let (Some(room), Some(part)) = (room.get_mut(..fits), part.get(..fits)) {
            room.copy_from_slice(part);
            self.length = self.length.saturating_add(fits);
        }
    }
}

/// Control and non-ASCII bytes may precede a code, as DC1 and NUL do after a
/// boot (seen in logs).
fn without_noise(input: &[u8]) -> &[u8] {
    let noise = |byte: &u8| *byte != b'\r' && !(0x20..0x7f).contains(byte);
    let start = input.iter().position(|byte| !noise(byte)).unwrap_or(input.len());
    input.get(start..).unwrap_or_default()
}

/// Whether there can be no other line in a body. Only torn ones and names of
/// topics have blanks.
fn is_whole(body: &[u8]) -> bool {
    !body.contains(&b' ') || is_object(body)
}

/// Where the line begins that follows one without an end, as when the modem
/// loses its power within a line, or the UART was cut off. What only looks like
/// a line, in the name of a topic, does not end where its line does.
fn behind_torn(text: &[u8]) -> Option<usize> {
    let blanks = text.iter().enumerate().rev().filter(|(_, byte)| **byte == b' ');
    let mut starts = blanks.filter_map(|(at, _)| at.checked_sub(3).filter(|start| *start > 0));
    starts.find(|start| {
        let line = text.get(*start..).and_then(parse);
        line.is_some_and(|line| is_object(line.body))
    })
}

/// Whether a JSON object begins with the first byte and ends with the last.
fn is_object(body: &[u8]) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in body.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth = depth.saturating_add(1),
            b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at > 0 && at.saturating_add(1) == body.len();
        }
    }
    false
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

    /// Dossier 2.1, rules 1 to 7.
    #[test]
    fn lines_are_read_alike_however_they_are_cut() {
        let bytes = b"\x00\x11405 MALFORMED {}\r\r\n\xff299 bootInfo {\"a\":1}\r200 x\r\
            ,\"patch\":200 x {}\r20 x {}\r2000 x {}\r199 x {}\r501 x {}\r200 x1 {}\r200  {}\r\
            \x20200 x {}\r402 simConfig {}\r";
        let expected = [
            "405 MALFORMED {}",
            "299 bootInfo {\"a\":1}",
            "200 x ",
            "broken",
            "200 x {}",
            "broken",
            "broken",
            "broken",
            "broken",
            "broken",
            "broken",
            "broken",
            "200 x {}",
            "402 simConfig {}",
        ];
        for size in 1..=bytes.len() {
            assert_eq!(read::<64>(bytes, size), expected, "{size}");
        }
    }

    /// A power loss within a line, and the noise of the start behind it.
    #[test]
    fn a_torn_line_costs_only_itself() {
        let torn = b"299 messageTerminateSegment {\"segment_start\":0,\"data\":\"aA==\"}";
        let next: [&[u8]; 3] = [
            b"299 bootInfo {\"image_type\":\"production\",\"version\":{\"major\":1}}\r",
            b"405 MALFORMED {}\r",
            b"200 x {\"a\":\"}{ 299 y {\"}\r",
        ];
        for next in next {
            let whole = read::<256>(next, 1);
            for at in 1..=torn.len() {
                for noise in [&b""[..], b"\x11", b"\x00\x11"] {
                    let bytes = [&torn[..at], noise, next].concat();
                    for size in [1, 7, bytes.len()] {
                        let seen = read::<256>(&bytes, size);
                        assert_eq!(seen, ["broken", &whole[0]], "{}", bytes.escape_ascii());
                    }
                }
            }
        }
    }

    #[test]
    fn what_looks_like_a_line_within_a_line_is_none() {
        for name in ["299 bootInfo {}", "{ 299 bootInfo {", "299 x {\\\"a\\\":1}", "} 299 x {"] {
            let line = std::format!("200 topics {{\"all\":[{{\"name\":\"{name}\",\"id\":1}}]}}");
            assert_eq!(read::<128>(std::format!("{line}\r").as_bytes(), 5), [line]);
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

    #[test]
    fn noise_without_end_takes_no_room() {
        let mut bytes = std::vec![0x80; 10_000];
        bytes.extend_from_slice(b"200 x {}\r");
        assert_eq!(read::<16>(&bytes, 1), ["200 x {}"]);
    }
}
