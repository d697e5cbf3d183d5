//! Packets for the broker (MQTT 3.1.1, chapter 3), as pieces: what the caller
//! lent goes out from where it lies, only headers are made here. Knows no
//! session.

use hayes::{
    Operation,
    mqtt::{ConnectOptions, Publish, Subscription, TopicFilter},
};
use heapless::Vec;

use super::decoder::kind;

/// The longest header: CONNECT up to its client identifier.
const HEADER: usize = 17;

/// A piece of a packet.
pub enum Piece<'a> {
    /// Made for it.
    Made(Made),
    /// The caller's.
    Lent(&'a [u8]),
}

/// A few bytes.
pub type Made = Vec<u8, HEADER, u8>;

impl<'a> Piece<'a> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Made(made) => made,
            Self::Lent(bytes) => bytes,
        }
    }

    const EMPTY: Self = Self::Lent(&[]);
}

/// A packet of a type, flags and a packet identifier alone.
pub fn short(kind: u8, flags: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [first(kind, flags), 2, high, low]
}

/// The piece with that index of the packet for `operation`; none behind the
/// last.
pub fn piece<'a>(operation: &Operation<'a>, id: u16, dup: bool, index: usize) -> Option<Piece<'a>> {
    match operation {
        Operation::Connect(options) => connect(options, index),
        Operation::Publish(message) => publish(message, id, dup, index),
        Operation::Subscribe(filters) => subscribe(filters, id, index),
        Operation::Unsubscribe(filters) => unsubscribe(filters, id, index),
        Operation::Disconnect if index == 0 => Some(header(kind::DISCONNECT, 0, 0)),
        _ => None,
    }
}

/// 3.1.
fn connect<'a>(options: &ConnectOptions<'a>, index: usize) -> Option<Piece<'a>> {
    let will = options.will.as_ref();
    let fields = [
        Some(options.client_id.as_str().as_bytes()),
        will.map(|will| will.topic.as_str().as_bytes()),
        will.map(|will| will.payload),
        options.user().map(str::as_bytes),
        options.password().map(str::as_bytes),
    ];
    if index > 0 {
        // Each field is two pieces: its length, itself.
        let field = fields.get(index.wrapping_sub(1) >> 1)?;
        return Some(match field {
            None => Piece::EMPTY,
            Some(field) if index & 1 == 1 => prefix(field),
            Some(field) => Piece::Lent(field),
        });
    }
    let mut flags = if options.clean_session { 0x02 } else { 0 };
    if let Some(will) = will {
        flags |= 0x04 | will.qos.level().wrapping_shl(3) | if will.retain { 0x20 } else { 0 };
    }
    flags |= if options.user().is_some() { 0x80 } else { 0 };
    flags |= if options.password().is_some() { 0x40 } else { 0 };
    let length = fields.iter().flatten().fold(10, |sum, field| prefixed(sum, field.len()));
    let mut made = start(kind::CONNECT, 0, length);
    extend(&mut made, b"\0\x04MQTT\x04");
    extend(&mut made, &[flags]);
    extend(&mut made, &options.keep_alive.to_be_bytes());
    Some(Piece::Made(made))
}

/// 3.3.
fn publish<'a>(message: &Publish<'a>, id: u16, dup: bool, index: usize) -> Option<Piece<'a>> {
    let topic = message.topic.as_str().as_bytes();
    let qos = message.qos.level();
    match index {
        0 => {
            let flags =
                qos.wrapping_shl(1) | if dup { 8 } else { 0 } | if message.retain { 1 } else { 0 };
            let length = message.payload.len().saturating_add(if qos > 0 { 2 } else { 0 });
            let mut made = start(kind::PUBLISH, flags, prefixed(length, topic.len()));
            extend(&mut made, &word(topic.len()));
            Some(Piece::Made(made))
        }
        1 => Some(Piece::Lent(topic)),
        2 if qos > 0 => Some(made(&id.to_be_bytes())),
        2 => Some(Piece::EMPTY),
        3 => Some(Piece::Lent(message.payload)),
        _ => None,
    }
}

/// 3.8.
fn subscribe<'a>(filters: &[Subscription<'a>], id: u16, index: usize) -> Option<Piece<'a>> {
    if index == 0 {
        let one = |sum, one: &Subscription<'_>| prefixed(sum, one.filter.as_str().len());
        let length = filters.iter().fold(filters.len().saturating_add(2), one);
        return Some(with_id(kind::SUBSCRIBE, length, id));
    }
    // Three pieces each: length, filter, QoS.
    let at = index.wrapping_sub(1);
    let one = filters.get(at / 3)?;
    let filter = one.filter.as_str().as_bytes();
    Some(match at % 3 {
        0 => prefix(filter),
        1 => Piece::Lent(filter),
        _ => made(&[one.qos.level()]),
    })
}

/// 3.10.
fn unsubscribe<'a>(filters: &[TopicFilter<'a>], id: u16, index: usize) -> Option<Piece<'a>> {
    if index == 0 {
        let length = filters.iter().fold(2, |sum, one| prefixed(sum, one.as_str().len()));
        return Some(with_id(kind::UNSUBSCRIBE, length, id));
    }
    let filter = filters.get(index.wrapping_sub(1) >> 1)?.as_str().as_bytes();
    Some(if index & 1 == 1 { prefix(filter) } else { Piece::Lent(filter) })
}

const fn first(kind: u8, flags: u8) -> u8 {
    kind << 4 | flags
}

fn header<'a>(kind: u8, flags: u8, length: usize) -> Piece<'a> {
    Piece::Made(start(kind, flags, length))
}

fn with_id<'a>(kind: u8, length: usize, id: u16) -> Piece<'a> {
    let mut made = start(kind, 2, length);
    extend(&mut made, &id.to_be_bytes());
    Piece::Made(made)
}

/// The fixed header (2.2): type, flags, remaining length.
fn start(kind: u8, flags: u8, length: usize) -> Made {
    let mut made = Made::new();
    extend(&mut made, &[first(kind, flags)]);
    let mut rest = length;
    loop {
        let more = rest > 0x7f;
        extend(&mut made, &[(rest & 0x7f) as u8 | if more { 0x80 } else { 0 }]);
        rest >>= 7;
        if !more {
            return made;
        }
    }
}

fn prefix<'a>(field: &[u8]) -> Piece<'a> {
    made(&word(field.len()))
}

fn made<'a>(bytes: &[u8]) -> Piece<'a> {
    let mut made = Made::new();
    extend(&mut made, bytes);
    Piece::Made(made)
}

/// Nothing that is made is longer than its room.
fn extend(made: &mut Made, bytes: &[u8]) {
    let _ = made.extend_from_slice(bytes);
}

/// `sum` and a field of `length` bytes with its length before it.
const fn prefixed(sum: usize, length: usize) -> usize {
    sum.saturating_add(length).saturating_add(2)
}

/// Lengths were checked against 65,535 before.
fn word(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use hayes::mqtt::{QoS, Will};

    use super::*;

    fn packet(operation: &Operation<'_>, id: u16, dup: bool) -> Vec<u8> {
        let pieces = (0..).map_while(|index| piece(operation, id, dup, index));
        pieces.flat_map(|piece| piece.bytes().to_vec()).collect()
    }

    #[test]
    fn packets_are_as_the_capture_shows_them() {
        // Capture 20-rockremote-mqtt311-packets.
        let options = ConnectOptions::new("192.168.250.1", 1883, "dev1").unwrap();
        let options = options.credentials("username", Some("password")).unwrap();
        assert_eq!(
            packet(&Operation::Connect(&options), 0, false),
            b"\x10$\x00\x04MQTT\x04\xc2\x00<\x00\x04dev1\x00\x08username\x00\x08password"
        );
        let message = Publish::new("this/is/my/topic", b"Hello World").unwrap();
        assert_eq!(
            packet(&Operation::Publish(&message), 9, false),
            b"0\x1d\x00\x10this/is/my/topicHello World"
        );
        let message = message.qos(QoS::AtLeastOnce).retain(true);
        assert_eq!(
            packet(&Operation::Publish(&message), 1, false),
            b"3\x1f\x00\x10this/is/my/topic\x00\x01Hello World"
        );
        let filters = [Subscription::new("dn/#", QoS::AtLeastOnce).unwrap()];
        assert_eq!(
            packet(&Operation::Subscribe(&filters), 2, false),
            b"\x82\t\x00\x02\x00\x04dn/#\x01"
        );
        let filters = [TopicFilter::new("dn/t1").unwrap()];
        assert_eq!(
            packet(&Operation::Unsubscribe(&filters), 3, false),
            b"\xa2\t\x00\x03\x00\x05dn/t1"
        );
        assert_eq!(packet(&Operation::Disconnect, 0, false), b"\xe0\x00");
        assert_eq!(short(kind::PUBACK, 0, 7), *b"@\x02\x00\x07");
    }

    #[test]
    fn a_will_and_a_repeated_message_have_their_flags() {
        let will = Will::new("w", b"gone").unwrap().qos(QoS::ExactlyOnce).retain(true);
        let options = ConnectOptions::new("h", 1883, "").unwrap().keep_alive(300).last_will(will);
        // 3.1.2.3: will retain 0x20, will QoS 2 0x10, will 0x04, clean 0x02.
        assert_eq!(
            packet(&Operation::Connect(&options), 0, false),
            b"\x10\x15\x00\x04MQTT\x04\x36\x01\x2c\x00\x00\x00\x01w\x00\x04gone"
        );
        let message = Publish::new("t", b"").unwrap().qos(QoS::ExactlyOnce);
        assert_eq!(
            packet(&Operation::Publish(&message), 0x1234, true),
            b"\x3c\x05\x00\x01t\x12\x34"
        );
    }

    #[test]
    fn a_remaining_length_grows_byte_by_byte() {
        // 2.2.3, table 2.4: where one more byte is needed.
        for (payload, header) in [
            (124, b"0\x7f".as_slice()),
            (125, b"0\x80\x01"),
            (16_380, b"0\xff\x7f"),
            (16_381, b"0\x80\x80\x01"),
            (2_097_148, b"0\xff\xff\x7f"),
            (2_097_149, b"0\x80\x80\x80\x01"),
        ] {
            let payload = std::vec![0; payload];
            let message = Publish::new("t", &payload).unwrap();
            let all = packet(&Operation::Publish(&message), 0, false);
            assert!(all.starts_with(header), "{:x?}", &all[..5]);
            assert_eq!(all.len(), header.len() + 3 + payload.len());
        }
    }
}
