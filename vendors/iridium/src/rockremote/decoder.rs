//! Bytes from the broker into packets (MQTT 3.1.1, chapters 2 and 3), each
//! byte looked at once and none kept but those of the small packets: a
//! PUBLISH of any size passes through in parts. Knows no session.

use hayes::mqtt::Utf8;

/// How a broker broke the protocol. The connection cannot be used after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// A packet that does not exist, or that a server never sends (2.2.1).
    PacketType,
    /// Reserved flags that are not as they must be, or QoS 3 (2.2.2, 3.3.1.2).
    Flags,
    /// A remaining length of more than four bytes (2.2.3).
    RemainingLength,
    /// A length that the kind of packet cannot have.
    Length,
    /// A topic that is empty, is not UTF-8, or has a NUL or a wildcard
    /// (1.5.3, 3.3.2.1, 4.7.3).
    Topic,
    /// Packet identifier 0 (2.3.1).
    PacketId,
    /// A return code or reserved bits that the standard does not have
    /// (3.2.2, 3.9.3).
    ReturnCode,
    /// A packet that cannot come at this point: anything before CONNACK, a
    /// second CONNACK, a session present that was to be clean (3.2, 3.2.2.2).
    Order,
    /// More messages under way at once than can be remembered here.
    Window,
}

impl Violation {
    /// The violation in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PacketType => "a packet type that no server sends",
            Self::Flags => "bad flags in a fixed header",
            Self::RemainingLength => "a remaining length of more than four bytes",
            Self::Length => "a packet of an impossible length",
            Self::Topic => "a bad topic",
            Self::PacketId => "packet identifier 0",
            Self::ReturnCode => "an undefined return code",
            Self::Order => "a packet out of order",
            Self::Window => "too many messages under way at once",
        }
    }
}

/// A packet type, by its number (2.2.1).
pub(super) mod kind {
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const UNSUBACK: u8 = 11;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
}

/// A part of what the broker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A whole packet other than PUBLISH: its type and what follows the fixed
    /// header.
    Packet(u8, &'a [u8]),
    /// The beginning of a PUBLISH.
    Publish(Heading),
    /// A part of its topic.
    Topic(&'a [u8]),
    /// Its packet identifier; not with QoS 0.
    Id(u16),
    /// A part of its payload.
    Payload(&'a [u8]),
    /// It is complete.
    End,
}

/// What the fixed header of a PUBLISH and its topic length say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// 0 to 2.
    pub qos: u8,
    /// Kept by the broker.
    pub retain: bool,
    /// May have been sent before.
    pub dup: bool,
    /// Length of the topic, in bytes.
    pub topic: u16,
    /// Length of the payload, in bytes.
    pub payload: u32,
}

/// The longest of the small packets: SUBACK for as many filters as are asked
/// for at once.
const SMALL: usize = 2 + hayes::mqtt::Granted::FILTERS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    First,
    /// The remaining length; so many bits of it are known.
    Length(u32),
    Small,
    TopicLength,
    Topic,
    Id,
    Payload,
}

/// Takes the bytes of one connection, in any pieces.
#[derive(Clone, Debug)]
pub struct Decoder {
    stage: Stage,
    first: u8,
    /// How much of the packet is still to come.
    left: u32,
    topic_left: u16,
    utf8: Utf8,
    small: [u8; SMALL],
    have: u8,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// At the beginning of a connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stage: Stage::First,
            first: 0,
            left: 0,
            topic_left: 0,
            utf8: Utf8::new(),
            small: [0; SMALL],
            have: 0,
        }
    }

    /// The next part that `input` completes; takes from `input` what it used.
    /// `None` when all is used.
    ///
    /// # Errors
    /// [`Violation`]. Nothing that follows has a meaning then.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Part<'a>>, Violation> {
        loop {
            match self.stage {
                Stage::Topic if self.topic_left > 0 => {
                    let Some(part) = take(input, self.topic_left.into()) else { return Ok(None) };
                    self.use_up(part);
                    self.topic_left = self.topic_left.saturating_sub(length(part) as u16);
                    check_topic(&mut self.utf8, part, self.topic_left == 0)?;
                    return Ok(Some(Part::Topic(part)));
                }
                Stage::Topic => {
                    self.stage = if self.qos() > 0 { Stage::Id } else { Stage::Payload };
                    continue;
                }
                Stage::Payload if self.left > 0 => {
                    let Some(part) = take(input, self.left) else { return Ok(None) };
                    self.use_up(part);
                    return Ok(Some(Part::Payload(part)));
                }
                Stage::Payload => {
                    self.stage = Stage::First;
                    return Ok(Some(Part::End));
                }
                Stage::Small if self.left == 0 => {
                    self.stage = Stage::First;
                    let have = usize::from(core::mem::take(&mut self.have));
                    let body = self.small.get(..have).unwrap_or_default();
                    return Ok(Some(Part::Packet(self.first >> 4, body)));
                }
                _ => {}
            }
            let Some((byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            if let Some(part) = self.byte(*byte)? {
                return Ok(Some(part));
            }
        }
    }

    /// Takes one byte of a header or of a small packet.
    fn byte(&mut self, byte: u8) -> Result<Option<Part<'static>>, Violation> {
        match self.stage {
            Stage::First => {
                check_first(byte)?;
                self.first = byte;
                self.left = 0;
                self.stage = Stage::Length(0);
            }
            Stage::Length(bits) => {
                self.left |= u32::from(byte & 0x7f).wrapping_shl(bits);
                let bits = bits.saturating_add(7);
                if byte & 0x80 == 0 {
                    self.begin()?;
                } else if bits < 28 {
                    self.stage = Stage::Length(bits);
                } else {
                    return Err(Violation::RemainingLength);
                }
            }
            Stage::Small => {
                self.keep(byte);
                self.left = self.left.saturating_sub(1);
            }
            Stage::TopicLength | Stage::Id => {
                self.left = self.left.saturating_sub(1);
                self.keep(byte);
                if self.have == 2 {
                    self.have = 0;
                    let [high, low, ..] = self.small;
                    return self.number(u16::from_be_bytes([high, low])).map(Some);
                }
            }
            Stage::Topic | Stage::Payload => {}
        }
        Ok(None)
    }

    /// The fixed header is complete.
    fn begin(&mut self) -> Result<(), Violation> {
        let (kind, left) = (self.first >> 4, self.left);
        let possible = match kind {
            kind::PUBLISH => left > 2,
            kind::SUBACK => left > 2 && left <= SMALL as u32,
            kind::PINGRESP => left == 0,
            _ => left == 2,
        };
        if !possible {
            return Err(Violation::Length);
        }
        self.have = 0;
        self.stage = if kind == kind::PUBLISH { Stage::TopicLength } else { Stage::Small };
        Ok(())
    }

    /// A topic length or a packet identifier is complete.
    fn number(&mut self, number: u16) -> Result<Part<'static>, Violation> {
        if self.stage == Stage::Id {
            self.stage = Stage::Payload;
            return if number == 0 { Err(Violation::PacketId) } else { Ok(Part::Id(number)) };
        }
        let qos = self.qos();
        let id = if qos > 0 { 2 } else { 0 };
        let payload =
            self.left.checked_sub(u32::from(number)).and_then(|left| left.checked_sub(id));
        let payload = payload.ok_or(Violation::Length)?;
        if number == 0 {
            return Err(Violation::Topic);
        }
        self.topic_left = number;
        self.utf8 = Utf8::new();
        self.stage = Stage::Topic;
        let (retain, dup) = (self.first & 1 != 0, self.first & 8 != 0);
        Ok(Part::Publish(Heading { qos, retain, dup, topic: number, payload }))
    }

    const fn qos(&self) -> u8 {
        (self.first >> 1) & 3
    }

    fn keep(&mut self, byte: u8) {
        if let Some(slot) = self.small.get_mut(usize::from(self.have)) {
            *slot = byte;
            self.have = self.have.saturating_add(1);
        }
    }

    fn use_up(&mut self, part: &[u8]) {
        self.left = self.left.saturating_sub(length(part));
    }
}

/// Refuses types that a server does not send, and bad flags (2.2.2).
fn check_first(byte: u8) -> Result<(), Violation> {
    let flags = byte & 0xf;
    let wanted = match byte >> 4 {
        kind::PUBLISH if flags & 6 == 6 => return Err(Violation::Flags),
        // A message with QoS 0 is never a duplicate (3.3.1.1).
        kind::PUBLISH if flags & 14 == 8 => return Err(Violation::Flags),
        kind::PUBLISH => flags,
        kind::PUBREL => 2,
        kind::CONNACK | kind::PUBACK | kind::PUBREC | kind::PUBCOMP => 0,
        kind::SUBACK | kind::UNSUBACK | kind::PINGRESP => 0,
        _ => return Err(Violation::PacketType),
    };
    if flags == wanted { Ok(()) } else { Err(Violation::Flags) }
}

/// At most `most` bytes of `input`, taken from it; none if there are none.
fn take<'a>(input: &mut &'a [u8], most: u32) -> Option<&'a [u8]> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let (part, rest) = input.split_at_checked(most).unwrap_or((*input, &[]));
    *input = rest;
    (!part.is_empty()).then_some(part)
}

fn length(part: &[u8]) -> u32 {
    u32::try_from(part.len()).unwrap_or(u32::MAX)
}

/// Checks a part of a topic as it comes in: UTF-8, no NUL, no wildcard.
fn check_topic(utf8: &mut Utf8, part: &[u8], last: bool) -> Result<(), Violation> {
    let fits = |byte: &u8| !matches!(*byte, 0 | b'+' | b'#') && utf8.take(*byte);
    let whole = part.iter().all(fits) && (!last || utf8.may_end());
    if whole { Ok(()) } else { Err(Violation::Topic) }
}

#[cfg(test)]
mod tests {
    use std::{format, string::String, vec, vec::Vec};

    use super::*;

    /// What `bytes` say, in pieces of `size`; payloads and topics joined.
    fn read(bytes: &[u8], size: usize) -> (Vec<String>, Option<Violation>) {
        let mut decoder = Decoder::new();
        let (mut said, mut text) = (Vec::new(), Vec::new());
        for mut piece in bytes.chunks(size) {
            loop {
                match decoder.next(&mut piece) {
                    Ok(None) => break,
                    Ok(Some(Part::Topic(part) | Part::Payload(part))) => text.extend(part),
                    Ok(Some(part)) => {
                        if !text.is_empty() {
                            said.push(format!("{}", text.escape_ascii()));
                            text.clear();
                        }
                        said.push(format!("{part:?}"));
                    }
                    Err(violation) => return (said, Some(violation)),
                }
            }
        }
        (said, None)
    }

    // Each row: bytes, and the section of MQTT 3.1.1 that says they are wrong.
    const BROKEN: &[(&[u8], Violation)] = &[
        (b"\x00\x00", Violation::PacketType),         // 2.2.1
        (b"\xf0\x00", Violation::PacketType),         // 2.2.1
        (b"\x10\x00", Violation::PacketType),         // CONNECT goes to the server
        (b"\xc0\x00", Violation::PacketType),         // PINGREQ as well
        (b"\x21\x02\0\0", Violation::Flags),          // 2.2.2
        (b"\x60\x02\0\x01", Violation::Flags),        // PUBREL is 0110 0010
        (b"\x36\x05\0\x01t\0\x01", Violation::Flags), // 3.3.1-4
        (b"\x38\x03\0\x01t", Violation::Flags),       // 3.3.1-2
        (b"\x30\xff\xff\xff\xff\x01", Violation::RemainingLength), // 2.2.3
        (b"\x20\x03\0\0\0", Violation::Length),       // 3.2.1
        (b"\x40\x00", Violation::Length),             // 3.4.1
        (b"\x90\x02\0\x01", Violation::Length),       // 3.9.3
        (b"\xd0\x01\0", Violation::Length),           // 3.13.1
        (b"\x30\x02\0\0", Violation::Length),         // no topic, 4.7.3-1
        (b"\x30\x03\0\0x", Violation::Topic),         // 4.7.3-1
        (b"\x30\x03\0\x02t", Violation::Length),      // topic beyond the packet
        (b"\x32\x04\0\x01t\0", Violation::Length),    // the same, by the length alone
        (b"\x32\x05\0\x02tt\0", Violation::Length),   // no room for the identifier
        (b"\x32\x05\0\x01t\0\0", Violation::PacketId), // 2.3.1-1
        (b"\x30\x03\0\x01\0", Violation::Topic),      // 1.5.3-2
        (b"\x30\x03\0\x01#", Violation::Topic),       // 3.3.2-2
        (b"\x30\x04\0\x02a+", Violation::Topic),      // 3.3.2-2
        (b"\x30\x03\0\x01\xff", Violation::Topic),    // 1.5.3-1
        (b"\x30\x04\0\x02\xc0\xaf", Violation::Topic), // overlong
        (b"\x30\x05\0\x03\xed\xa0\x80", Violation::Topic), // a surrogate
        (b"\x30\x05\0\x03a\xe2\x82", Violation::Topic), // ends within a character
    ];

    #[test]
    fn what_the_standard_forbids_is_a_violation_in_any_split() {
        for (bytes, violation) in BROKEN {
            for size in [1, 2, 3, bytes.len()] {
                assert_eq!(read(bytes, size).1, Some(*violation), "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn packets_are_the_same_in_any_split() {
        let stream = b"\x20\x02\x01\0\x3d\x0d\0\x06gr\xc3\xb6\xc3\x9f\0\x07\r\n\0\x30\x03\0\x01t\
                       \x90\x04\0\x02\x01\x80\xd0\0\x62\x02\x12\x34";
        let whole = read(stream, stream.len());
        assert_eq!(whole.1, None);
        assert_eq!(
            whole.0,
            [
                "Packet(2, [1, 0])",
                "Publish(Heading { qos: 2, retain: true, dup: true, topic: 6, payload: 3 })",
                r"gr\xc3\xb6\xc3\x9f",
                "Id(7)",
                r"\r\n\x00",
                "End",
                "Publish(Heading { qos: 0, retain: false, dup: false, topic: 1, payload: 0 })",
                "t",
                "End",
                "Packet(9, [0, 2, 1, 128])",
                "Packet(13, [])",
                "Packet(6, [18, 52])",
            ]
        );
        for size in 1..stream.len() {
            assert_eq!(read(stream, size), whole, "{size}");
        }
    }

    /// 1.5.3, 3.3.2-2. What UTF-8 is, the standard library says.
    #[test]
    fn a_topic_is_any_text_without_nul_and_wildcards() {
        let edges = [0, 0x2b, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
        for first in 0..=255 {
            for second in edges {
                for tail in [&b""[..], b"\x80", b"\xbf\xbf", b"\xbf\x7f", b"a"] {
                    let topic = [&[first, second][..], tail].concat();
                    let legal = std::str::from_utf8(&topic)
                        .is_ok_and(|text| !text.contains(['\0', '+', '#']));
                    let length = topic.len() as u8;
                    let packet = [&[0x30, length + 2, 0, length][..], &topic].concat();
                    let violation = (!legal).then_some(Violation::Topic);
                    assert_eq!(read(&packet, 1).1, violation, "{}", topic.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn each_violation_has_words_of_its_own() {
        let mut words: Vec<_> = BROKEN.iter().map(|(_, violation)| violation.name()).collect();
        words.extend(
            [Violation::ReturnCode, Violation::Order, Violation::Window].map(Violation::name),
        );
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 9);
        assert!(words.iter().all(|words| words.contains(' ')), "{words:?}");
    }

    #[test]
    fn a_remaining_length_has_up_to_four_bytes() {
        // 2.2.3 does not ask for the shortest form.
        for length in [&b"\x03"[..], b"\x83\x00", b"\x83\x80\x00", b"\x83\x80\x80\x00"] {
            let packet = [b"\x30", length, b"\0\x01t"].concat();
            let heading =
                "Publish(Heading { qos: 0, retain: false, dup: false, topic: 1, payload: 0 })";
            let expected = vec![heading.into(), "t".into(), "End".into()];
            assert_eq!(read(&packet, 1), (expected, None), "{}", length.escape_ascii());
        }
        assert_eq!(read(b"\x30\x83\x80\x80\x80\x00", 1).1, Some(Violation::RemainingLength));
    }
}
