//! What is sent: one request at a time, from a template and numbers. No text
//! of the caller's can get into a line; a payload goes out as base64, encoded
//! piece by piece from where the caller has it.

use core::fmt;

use base64ct::{Base64, Encoding};
use crc::{CRC_16_XMODEM, Crc, NoTable};

/// How many bytes of a message are encoded at once; a multiple of three.
const PIECE: usize = 192;
/// So many characters that makes; the longest request is shorter.
const BUFFER: usize = 256;

const CRC: Crc<u16, NoTable> = Crc::<u16, NoTable>::new(&CRC_16_XMODEM);

/// The two bytes that follow a payload. Over both the CRC is zero.
pub(super) fn crc(payload: &[u8]) -> [u8; 2] {
    CRC.checksum(payload).to_be_bytes()
}

/// A number in decimal.
pub(super) fn digits(number: u32, room: &mut [u8; 10]) -> &[u8] {
    let mut left = number;
    let mut first = room.len();
    for (at, digit) in room.iter_mut().enumerate().rev() {
        *digit = b'0'.wrapping_add(u8::try_from(left.wrapping_rem(10)).unwrap_or_default());
        left = left.wrapping_div(10);
        first = at;
        if left == 0 {
            break;
        }
    }
    room.get(first..).unwrap_or_default()
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Versions,
    Version,
    Sim,
    SimStatus,
    State,
    Inactive,
    Active,
    /// The state once more, after a change of it was not allowed.
    Confirm,
    Hardware,
    Firmware,
    Topics,
    Originate,
    Segment,
    Cancel,
}

impl Ask {
    /// The line; each `%` is a number. JSON has a blank after each colon and
    /// comma: firmware is known that wants it so.
    const fn template(self) -> &'static str {
        match self {
            Self::Versions => "GET apiVersion {}\r",
            Self::Version => {
                "PUT apiVersion {\"active_version\": {\"major\": %, \"minor\": %, \"patch\": %}}\r"
            }
            Self::Sim => "PUT simConfig {\"interface\": \"internal\"}\r",
            Self::SimStatus => "GET simStatus {}\r",
            Self::State | Self::Confirm => "GET operationalState {}\r",
            Self::Inactive => "PUT operationalState {\"state\": \"inactive\"}\r",
            Self::Active => "PUT operationalState {\"state\": \"active\"}\r",
            Self::Hardware => "GET hwInfo {}\r",
            Self::Firmware => "GET firmware {\"slot\": \"primary\"}\r",
            Self::Topics => "GET messageProvisioning {}\r",
            Self::Originate => {
                "PUT messageOriginate {\"topic_id\": %, \"message_length\": %, \
                 \"request_reference\": %}\r"
            }
            Self::Segment => {
                "PUT messageOriginateSegment {\"topic_id\": %, \"message_id\": %, \
                 \"segment_length\": %, \"segment_start\": %, \"data\": \""
            }
            Self::Cancel => {
                "PUT messageOriginateStatus {\"topic_id\": %, \"message_id\": %, \
                 \"action\": \"cancel\"}\r"
            }
        }
    }

    /// The resource that is asked.
    pub fn target(self) -> &'static str {
        self.template().split(' ').nth(1).unwrap_or_default().trim_end()
    }
}

/// The end of a segment's line.
const TRAILER: &[u8] = b"\"}\r";

/// A part of a message that consists of the payload and its CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub start: u32,
    pub end: u32,
}

/// The line that goes out.
pub(super) struct Outgoing {
    buffer: [u8; BUFFER],
    sent: usize,
    filled: usize,
    /// What of a message is still to be encoded, and whether the end of the
    /// line follows.
    rest: Option<Range>,
    begun: bool,
}

impl fmt::Debug for Outgoing {
    /// Without the line: it may hold a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("sent", &self.sent)
            .field("filled", &self.filled)
            .field("rest", &self.rest)
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}

impl Outgoing {
    pub const fn new() -> Self {
        Self { buffer: [0; BUFFER], sent: 0, filled: 0, rest: None, begun: false }
    }

    /// Whether there is no line, or none any more.
    pub fn is_done(&self) -> bool {
        self.sent >= self.filled && self.rest.is_none()
    }

    /// Whether any of the line was sent.
    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// Forgets the line.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Begins a line.
    pub fn ask(&mut self, ask: Ask, numbers: &[u32]) {
        self.clear();
        self.add(ask, numbers);
    }

    /// Begins the line that hands over a part of a message.
    pub fn segment(&mut self, topic: u16, message: u8, range: Range) {
        let length = range.end.saturating_sub(range.start);
        self.ask(Ask::Segment, &[topic.into(), message.into(), length, range.start]);
        self.rest = Some(range);
    }

    /// Begins an empty line, which ends whatever went before.
    pub fn flush(&mut self) {
        self.clear();
        self.put(b"\r");
    }

    fn add(&mut self, ask: Ask, numbers: &[u32]) {
        let mut numbers = numbers.iter();
        for (at, text) in ask.template().split('%').enumerate() {
            if at > 0 {
                let number = numbers.next().copied().unwrap_or_default();
                self.put(digits(number, &mut [0; 10]));
            }
            self.put(text.as_bytes());
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.filled.saturating_add(bytes.len());
        if let Some(room) = self.buffer.get_mut(self.filled..end) {
            room.copy_from_slice(bytes);
            self.filled = end;
        }
    }

    /// The next bytes of the line. The message's are encoded when they are
    /// due, from `payload`; without it the line stands still.
    pub fn next(&mut self, payload: Option<(&[u8], [u8; 2])>) -> Option<&[u8]> {
        if self.sent >= self.filled {
            let range = self.rest?;
            let (payload, crc) = payload?;
            self.sent = 0;
            self.filled = 0;
            self.rest = self.encode(range, payload, crc);
        }
        self.buffer.get(self.sent..self.filled)
    }

    /// The first `count` bytes of what came next were sent.
    pub fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count);
        self.begun |= count > 0;
    }

    /// Fills the buffer from `range`; what of it is left.
    fn encode(&mut self, range: Range, payload: &[u8], crc: [u8; 2]) -> Option<Range> {
        let mut both = [0; PIECE];
        let start = usize::try_from(range.start).ok()?;
        let end = usize::try_from(range.end).ok()?.min(start.saturating_add(PIECE));
        let piece = match payload.get(start..end) {
            Some(piece) => piece,
            None => {
                let tail = payload.get(start..).unwrap_or_default();
                let skip = start.saturating_sub(payload.len());
                let bytes = tail.iter().chain(crc.iter().skip(skip));
                let length = end.saturating_sub(start);
                for (room, byte) in both.iter_mut().zip(bytes.take(length)) {
                    *room = *byte;
                }
                both.get(..length)?
            }
        };
        self.filled = Base64::encode(piece, &mut self.buffer).map_or(0, str::len);
        let next = u32::try_from(end).ok()?;
        if next < range.end {
            return Some(Range { start: next, end: range.end });
        }
        if piece.is_empty() {
            self.put(TRAILER);
            return None;
        }
        Some(Range { start: next, end: next })
    }
}

#[cfg(test)]
mod tests {
    use std::{string::String, vec::Vec};

    use super::*;

    fn line(ask: Ask, numbers: &[u32]) -> String {
        let mut out = Outgoing::new();
        out.ask(ask, numbers);
        sent(&mut out, None, usize::MAX)
    }

    fn sent(out: &mut Outgoing, payload: Option<&[u8]>, step: usize) -> String {
        let mut all = Vec::new();
        while let Some(bytes) = out.next(payload.map(|payload| (payload, crc(payload)))) {
            let count = bytes.len().min(step);
            all.extend_from_slice(&bytes[..count]);
            out.sent(count);
        }
        assert!(out.is_done());
        String::from_utf8(all).unwrap()
    }

    /// The lines of captures 01, 03 and 11.
    #[test]
    fn requests_are_those_that_were_seen_to_work() {
        assert_eq!(line(Ask::Versions, &[]), "GET apiVersion {}\r");
        assert_eq!(
            line(Ask::Version, &[1, 7, 0]),
            "PUT apiVersion {\"active_version\": {\"major\": 1, \"minor\": 7, \"patch\": 0}}\r"
        );
        assert_eq!(line(Ask::Sim, &[]), "PUT simConfig {\"interface\": \"internal\"}\r");
        assert_eq!(line(Ask::Active, &[]), "PUT operationalState {\"state\": \"active\"}\r");
        assert_eq!(
            line(Ask::Originate, &[244, 42, 1]),
            "PUT messageOriginate {\"topic_id\": 244, \"message_length\": 42, \
             \"request_reference\": 1}\r"
        );
        assert_eq!(
            line(Ask::Cancel, &[244, 23]),
            "PUT messageOriginateStatus {\"topic_id\": 244, \"message_id\": 23, \
             \"action\": \"cancel\"}\r"
        );
    }

    #[test]
    fn the_longest_request_fits() {
        let longest = [u32::MAX; 4];
        for ask in [Ask::Version, Ask::Originate, Ask::Cancel] {
            assert!(line(ask, &longest).ends_with('\r'), "{ask:?}");
        }
        assert_eq!(Ask::Cancel.target(), "messageOriginateStatus");
        assert_eq!(Ask::Topics.target(), "messageProvisioning");
    }

    /// Capture 03.
    #[test]
    fn a_segment_carries_the_payload_and_its_crc() {
        let mut out = Outgoing::new();
        out.segment(244, 5, Range { start: 0, end: 42 });
        let payload = b"MeshSat laptop test 2026-03-24T18:28:01Z";
        let expected = "PUT messageOriginateSegment {\"topic_id\": 244, \"message_id\": 5, \
            \"segment_length\": 42, \"segment_start\": 0, \
            \"data\": \"TWVzaFNhdCBsYXB0b3AgdGVzdCAyMDI2LTAzLTI0VDE4OjI4OjAxWqrr\"}\r";
        assert_eq!(sent(&mut out, Some(payload), usize::MAX), expected);
    }

    #[test]
    fn any_part_is_encoded_as_one_piece_would_be() {
        let payload: Vec<u8> = (0..=255).cycle().take(700).collect();
        let whole: Vec<u8> = payload.iter().copied().chain(crc(&payload)).collect();
        for (start, end) in [
            (0, 702),
            (0, 1),
            (0, 192),
            (0, 193),
            (5, 389),
            (509, 702),
            (698, 701),
            (699, 702),
            (700, 702),
            (701, 702),
        ] {
            for step in [1, 100, usize::MAX] {
                let mut out = Outgoing::new();
                out.segment(64, 0, Range { start, end });
                let line = sent(&mut out, Some(&payload), step);
                let data = line.split("\"data\": \"").nth(1).unwrap().strip_suffix("\"}\r");
                let part = &whole[start as usize..end as usize];
                let mut room = [0; 1024];
                let expected = Base64::encode(part, &mut room).unwrap();
                assert_eq!(data, Some(expected), "{start} {end} {step}");
            }
        }
    }
}
