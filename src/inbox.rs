//! Received messages and other events that nobody has taken yet: a byte ring.
//!
//! A message's place is reserved when its sizes are announced, so its topic
//! and payload lie in one piece and can be lent from where they arrived.
//! Nothing is lost in silence: what finds no place is counted, and the count
//! takes the next free place as an event of its own.

use core::fmt;

use crate::{
    machine::Verb,
    mqtt::{Delivery, Dropped, Event, Loss, Message, QoS},
};

const HEADER: usize = 12;
/// Room that messages leave for events without content.
const RESERVE: usize = 2 * HEADER;

/// What a record is. The number stands in its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// The ring goes on at its beginning.
    Wrap = 0,
    /// Taken already.
    Dead,
    /// A message whose parts still come in.
    Open,
    Message,
    Lost,
    NetworkLost,
    Restarted,
    /// One message, its topic known.
    Dropped,
    /// Messages of which only the count is known.
    DroppedMany,
    Unknown,
    Urc,
    Undelivered,
    Missed,
}

const KINDS: [Kind; 13] = [
    Kind::Wrap,
    Kind::Dead,
    Kind::Open,
    Kind::Message,
    Kind::Lost,
    Kind::NetworkLost,
    Kind::Restarted,
    Kind::Dropped,
    Kind::DroppedMany,
    Kind::Unknown,
    Kind::Urc,
    Kind::Undelivered,
    Kind::Missed,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: Kind,
    /// Session and delivery, or verb.
    tag: u8,
    /// Length of the topic, or kind of loss.
    topic: u16,
    /// Length of the payload as announced, or another number.
    value: u32,
    /// How many bytes of the ring follow the header.
    room: u32,
}

/// A message that is being received.
#[derive(Clone, Copy, Debug)]
struct Incoming {
    /// Where its record is; `None` if it is only counted.
    at: Option<usize>,
    topic: u16,
    topic_got: u32,
    payload: u32,
    payload_got: u32,
    /// How much of both the record has room for.
    room: u32,
}

/// `N` bytes of messages and events.
#[derive(Clone)]
pub struct Inbox<const N: usize> {
    ring: [u8; N],
    head: usize,
    tail: usize,
    records: u16,
    /// Records that are neither open nor taken.
    ready: u16,
    /// The record lent by the last [`Self::front`].
    lent: Option<usize>,
    incoming: [Option<Incoming>; 2],
    dropped: u32,
    dropped_bytes: u32,
    missed: u32,
}

impl<const N: usize> fmt::Debug for Inbox<N> {
    /// Without what it holds, lines that nobody asked for among it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("records", &self.records)
            .field("ready", &self.ready)
            .field("incoming", &self.incoming)
            .field("dropped", &self.dropped)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

impl<const N: usize> Default for Inbox<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Inbox<N> {
    /// An empty inbox.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ring: [0; N],
            head: 0,
            tail: 0,
            records: 0,
            ready: 0,
            lent: None,
            incoming: [None; 2],
            dropped: 0,
            dropped_bytes: 0,
            missed: 0,
        }
    }

    /// Makes room for a message of `session`. One that was open is cut short.
    pub fn begin(&mut self, session: u8, topic: u32, payload: u32) {
        self.begin_tagged(session, session, topic, payload);
    }

    /// The same for a message of whose delivery more is known.
    pub fn begin_delivery(&mut self, delivery: Delivery, topic: u32, payload: u32) {
        self.begin_tagged(0, delivery_tag(delivery), topic, payload);
    }

    /// The same for one of two messages that come in mixed; `payload` is how
    /// long it may get.
    pub fn begin_slot(&mut self, slot: u8, topic: &[u8], payload: u32) {
        self.begin_tagged(slot, 0, length(topic), payload);
        self.topic(slot, topic);
    }

    fn begin_tagged(&mut self, session: u8, tag: u8, topic: u32, payload: u32) {
        self.cut(session);
        let kept = u16::try_from(topic).ok();
        let placed = kept.and_then(|topic| {
            let whole = u32::from(topic).checked_add(payload)?;
            // What can never fit keeps its topic, to say what was dropped.
            let never = usize::try_from(whole).ok()?.checked_add(HEADER + RESERVE)? > N;
            let room = if never { topic.into() } else { whole };
            let header = Header { kind: Kind::Open, tag, topic, value: payload, room };
            Some((self.push(header, RESERVE)?, room))
        });
        let (at, room) = placed.unzip();
        let (topic, room) = (kept.unwrap_or(0), room.unwrap_or(0));
        if let Some(slot) = self.incoming.get_mut(usize::from(session)) {
            *slot = Some(Incoming { at, topic, topic_got: 0, payload, payload_got: 0, room });
        }
    }

    /// Whether a message of `session` is being received.
    #[must_use]
    pub fn is_open(&self, session: u8) -> bool {
        self.incoming.get(usize::from(session)).is_some_and(Option::is_some)
    }

    /// Takes a part of the topic.
    pub fn topic(&mut self, session: u8, part: &[u8]) {
        let Some(Some(open)) = self.incoming.get_mut(usize::from(session)) else { return };
        let from = open.topic_got;
        open.topic_got = from.saturating_add(length(part));
        if open.topic_got <= u32::from(open.topic) {
            if let Some(at) = open.at {
                self.fill(at, from, part);
            }
        }
    }

    /// Takes a part of the payload.
    #[inline]
    pub fn payload(&mut self, session: u8, part: &[u8]) {
        let Some(Some(open)) = self.incoming.get_mut(usize::from(session)) else { return };
        let from = u32::from(open.topic).saturating_add(open.payload_got);
        open.payload_got = open.payload_got.saturating_add(length(part));
        if from.saturating_add(length(part)) <= open.room {
            if let Some(at) = open.at {
                self.fill(at, from, part);
            }
        }
    }

    /// Puts a part of the payload of the message in `slot` where it belongs,
    /// in any order; nothing if it would not lie within.
    pub fn place(&mut self, slot: u8, offset: u32, part: &[u8]) {
        let Some(Some(open)) = self.incoming.get_mut(usize::from(slot)) else { return };
        let Some(end) = offset.checked_add(length(part)).filter(|end| *end <= open.payload) else {
            return;
        };
        open.payload_got = open.payload_got.max(end);
        let from = u32::from(open.topic).saturating_add(offset);
        if u32::from(open.topic).saturating_add(end) <= open.room {
            if let Some(at) = open.at {
                self.fill(at, from, part);
            }
        }
    }

    /// The payload of the message in `slot` up to the last byte that was
    /// [placed](Self::place), if it was kept.
    #[must_use]
    pub fn placed(&self, slot: u8) -> Option<&[u8]> {
        let open = self.incoming.get(usize::from(slot))?.as_ref()?;
        let at = open.at?;
        let end = u32::from(open.topic).saturating_add(open.payload_got);
        if end > open.room {
            return None;
        }
        self.ring.get(after(at, open.topic.into())..after(at, end))
    }

    /// The message in `slot` has no more payload than was placed, less the
    /// last `trim` bytes; `true` if it can be delivered.
    pub fn end_placed(&mut self, slot: u8, trim: u32) -> bool {
        if let Some(Some(open)) = self.incoming.get_mut(usize::from(slot)) {
            let payload = open.payload_got.saturating_sub(trim);
            open.payload = payload;
            open.payload_got = payload;
            // The record keeps the room it took; only less of it is lent.
            if let Some((at, header)) = open.at.and_then(|at| Some((at, self.header(at)?))) {
                self.write_header(at, Header { value: payload, ..header });
            }
        }
        self.end(slot)
    }

    /// The message of `session` is complete; `true` if it can be delivered.
    pub fn end(&mut self, session: u8) -> bool {
        let Some(open) = self.incoming.get_mut(usize::from(session)).and_then(Option::take) else {
            // Its beginning was lost, and its sizes with it.
            self.count_dropped(1, 0);
            return false;
        };
        let topic_whole = open.topic_got == u32::from(open.topic);
        let Some((at, header)) = open.at.and_then(|at| Some((at, self.header(at)?))) else {
            self.count_dropped(1, open.payload);
            return false;
        };
        let kept = header.room >= u32::from(open.topic).saturating_add(open.payload);
        if topic_whole && kept && open.payload_got == open.payload {
            self.set_kind(at, Kind::Message);
            self.ready = self.ready.saturating_add(1);
            return true;
        }
        if topic_whole && open.topic > 0 {
            self.set_kind(at, Kind::Dropped);
            self.ready = self.ready.saturating_add(1);
        } else {
            self.set_kind(at, Kind::Dead);
            self.free();
            self.count_dropped(1, open.payload);
        }
        false
    }

    /// The message of `session`, if one is open, will not be completed.
    pub fn cut(&mut self, session: u8) {
        if let Some(Some(open)) = self.incoming.get_mut(usize::from(session)) {
            // Never whole, whatever came.
            open.payload_got = u32::MAX;
            self.end(session);
        }
    }

    /// The message of `session`, if one is open, is of no interest: it was
    /// delivered before.
    pub fn discard(&mut self, session: u8) {
        let open = self.incoming.get_mut(usize::from(session)).and_then(Option::take);
        if let Some(at) = open.and_then(|open| open.at) {
            self.set_kind(at, Kind::Dead);
            self.free();
        }
    }

    /// A connection was lost.
    pub fn lost(&mut self, session: u8, loss: Loss) {
        let (kind, code) = match loss {
            Loss::Closed(code) => (0, code),
            Loss::KeepAlive(code) => (1, code),
            Loss::Network => (2, None),
            Loss::Restart => (3, None),
            Loss::NoResult => (4, None),
            Loss::Found(code) => (5, Some(code)),
            Loss::Protocol => (6, None),
            Loss::Abandoned => (7, None),
        };
        let value = code.unwrap_or(i32::MIN).cast_unsigned();
        self.note(Kind::Lost, session, kind, value);
    }

    /// The network was lost.
    pub fn network_lost(&mut self) {
        self.note(Kind::NetworkLost, 0, 0, 0);
    }

    /// The modem restarted.
    pub fn restarted(&mut self) {
        self.note(Kind::Restarted, 0, 0, 0);
    }

    /// The outcome of an operation will never be known.
    pub fn unknown(&mut self, verb: Verb) {
        self.note(Kind::Unknown, verb as u8, 0, 0);
    }

    /// A line that nobody asked for.
    pub fn urc(&mut self, line: &[u8]) {
        self.text(Kind::Urc, line);
    }

    /// A message that was handed over will not be delivered, for this reason.
    pub fn undelivered(&mut self, reason: &[u8]) {
        self.text(Kind::Undelivered, reason);
    }

    /// A message on `topic` with so many bytes was received and not kept.
    pub fn drop_message(&mut self, topic: &[u8], bytes: u32) {
        let room = length(topic);
        let placed = u16::try_from(room).ok().and_then(|topic| {
            self.push(Header { kind: Kind::Dropped, tag: 0, topic, value: bytes, room }, RESERVE)
        });
        match placed {
            Some(at) => self.fill(at, 0, topic),
            None => self.count_dropped(1, bytes),
        }
    }

    fn text(&mut self, kind: Kind, text: &[u8]) {
        let room = length(text);
        match self.push(Header { kind, tag: 0, topic: 0, value: 0, room }, RESERVE) {
            Some(at) => self.fill(at, 0, text),
            None => self.miss(),
        }
    }

    /// The next event, lent from here until the next call.
    pub fn front(&mut self) -> Option<Event<'_>> {
        self.take_back();
        self.flush_counts(0);
        if self.ready == 0 {
            return None;
        }
        let (at, header) = self.first_ready()?;
        self.ready = self.ready.saturating_sub(1);
        self.lent = Some(at);
        Some(self.event(at, header))
    }

    /// Whether [`front`](Self::front) has an event.
    #[must_use]
    #[inline]
    pub fn has_event(&self) -> bool {
        self.dropped | self.missed | u32::from(self.ready) != 0
    }

    fn event(&self, at: usize, header: Header) -> Event<'_> {
        let body = self.body(at, header);
        let (topic, payload) = body.split_at_checked(header.topic.into()).unwrap_or((body, &[]));
        match header.kind {
            Kind::Message => {
                let payload = payload.get(..header.value as usize).unwrap_or(payload);
                let (session, delivery) = (header.tag & SESSION, delivery(header.tag));
                Event::Message(Message { session, topic, payload, delivery })
            }
            Kind::Lost => Event::Lost { session: header.tag, loss: loss(header) },
            Kind::NetworkLost => Event::NetworkLost,
            Kind::Restarted => Event::Restarted,
            Kind::Dropped => {
                Event::Dropped(Dropped { count: 1, bytes: header.value, topic: Some(topic) })
            }
            Kind::DroppedMany => {
                let count = body.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
                Event::Dropped(Dropped { count, bytes: header.value, topic: None })
            }
            Kind::Unknown => Event::Unknown(Verb::name_of(header.tag)),
            Kind::Urc => Event::Urc(body),
            Kind::Undelivered => Event::Undelivered(body),
            Kind::Missed | Kind::Wrap | Kind::Dead | Kind::Open => Event::Missed(header.value),
        }
    }

    /// An event without content; counted if even that finds no room.
    fn note(&mut self, kind: Kind, tag: u8, topic: u16, value: u32) {
        if self.push(Header { kind, tag, topic, value, room: 0 }, 0).is_none() {
            self.miss();
        }
    }

    /// Something was said that is not here: it found no room, or could not be
    /// read.
    pub fn miss(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }

    /// So many messages were received and not kept.
    pub fn count_dropped(&mut self, count: u32, bytes: u32) {
        self.dropped = self.dropped.saturating_add(count);
        self.dropped_bytes = self.dropped_bytes.saturating_add(bytes);
    }

    /// Turns counts into events if they find room and leave `spare` bytes.
    fn flush_counts(&mut self, spare: usize) {
        if self.dropped > 0 {
            let kind = Kind::DroppedMany;
            let value = self.dropped_bytes;
            if let Some(at) = self.alloc(Header { kind, tag: 0, topic: 0, value, room: 4 }, spare) {
                self.fill(at, 0, &self.dropped.to_le_bytes());
                self.dropped = 0;
                self.dropped_bytes = 0;
            }
        }
        if self.missed > 0 {
            let header =
                Header { kind: Kind::Missed, tag: 0, topic: 0, value: self.missed, room: 0 };
            if self.alloc(header, spare).is_some() {
                self.missed = 0;
            }
        }
    }

    /// What was lent is not any more: whoever calls has the inbox for itself.
    fn take_back(&mut self) {
        if let Some(at) = self.lent.take() {
            self.set_kind(at, Kind::Dead);
            self.free();
        }
    }

    /// Places a record behind the counts that wait for their place; neither
    /// if not both fit.
    fn push(&mut self, header: Header, spare: usize) -> Option<usize> {
        self.take_back();
        let room = usize::try_from(header.room).ok()?;
        self.flush_counts(room.checked_add(HEADER)?.checked_add(spare)?);
        if self.dropped > 0 || self.missed > 0 {
            return None;
        }
        self.alloc(header, spare)
    }

    /// Places a record if `spare` bytes more than it needs are free in one
    /// piece.
    fn alloc(&mut self, header: Header, spare: usize) -> Option<usize> {
        let size = HEADER.checked_add(usize::try_from(header.room).ok()?)?;
        let wanted = size.checked_add(spare)?;
        if self.records == 0 {
            self.head = 0;
            self.tail = 0;
        }
        let records = self.records.checked_add(1)?;
        let wrapped = self.records > 0 && self.tail <= self.head;
        let end = if wrapped { self.head } else { N };
        if wanted > end.saturating_sub(self.tail) {
            // The reserve was for the place at the end, which is given up.
            if wrapped || size >= self.head {
                return None;
            }
            if let Some(kind) = self.ring.get_mut(self.tail) {
                *kind = Kind::Wrap as u8;
            }
            self.tail = 0;
        }
        let at = self.tail;
        self.tail = at.wrapping_add(size);
        self.records = records;
        if header.kind != Kind::Open {
            self.ready = self.ready.saturating_add(1);
        }
        self.write_header(at, header);
        Some(at)
    }

    /// Gives back the records at the front that were taken.
    fn free(&mut self) {
        while self.records > 0 {
            match self.header(self.head) {
                Some(Header { kind: Kind::Dead, room, .. }) => {
                    self.head = after(self.head, room);
                    self.records = self.records.saturating_sub(1);
                }
                Some(Header { kind: Kind::Wrap, .. }) | None => self.head = 0,
                Some(_) => return,
            }
        }
    }

    fn first_ready(&self) -> Option<(usize, Header)> {
        let mut at = self.head;
        let mut left = self.records;
        while left > 0 {
            match self.header(at) {
                Some(Header { kind: Kind::Wrap, .. }) | None => at = 0,
                Some(header @ Header { kind: Kind::Dead | Kind::Open, .. }) => {
                    at = after(at, header.room);
                    left = left.saturating_sub(1);
                }
                Some(header) => return Some((at, header)),
            }
        }
        None
    }

    /// The header at `at`; one that would not fit there was never written.
    fn header(&self, at: usize) -> Option<Header> {
        let kind = *KINDS.get(usize::from(*self.ring.get(at)?))?;
        let bytes = self.ring.get(at..)?.first_chunk::<HEADER>()?;
        let [_, tag, t0, t1, v0, v1, v2, v3, r0, r1, r2, r3] = bytes;
        Some(Header {
            kind,
            tag: *tag,
            topic: u16::from_le_bytes([*t0, *t1]),
            value: u32::from_le_bytes([*v0, *v1, *v2, *v3]),
            room: u32::from_le_bytes([*r0, *r1, *r2, *r3]),
        })
    }

    fn write_header(&mut self, at: usize, header: Header) {
        let [t0, t1] = header.topic.to_le_bytes();
        let [v0, v1, v2, v3] = header.value.to_le_bytes();
        let [r0, r1, r2, r3] = header.room.to_le_bytes();
        let bytes = [header.kind as u8, header.tag, t0, t1, v0, v1, v2, v3, r0, r1, r2, r3];
        if let Some(room) = self.ring.get_mut(at..).and_then(|r| r.first_chunk_mut::<HEADER>()) {
            *room = bytes;
        }
    }

    fn set_kind(&mut self, at: usize, kind: Kind) {
        if let Some(byte) = self.ring.get_mut(at) {
            *byte = kind as u8;
        }
    }

    fn body(&self, at: usize, header: Header) -> &[u8] {
        self.ring.get(at.wrapping_add(HEADER)..after(at, header.room)).unwrap_or_default()
    }

    /// Writes `part` at `from` behind the header at `at`.
    #[inline]
    fn fill(&mut self, at: usize, from: u32, part: &[u8]) {
        let start = after(at, from);
        if let Some(room) = self.ring.get_mut(start..start.wrapping_add(part.len())) {
            room.copy_from_slice(part);
        }
    }
}

/// The bits of a message's tag: its session, and how it was delivered.
const SESSION: u8 = 1;
const KNOWN: u8 = 1 << 1;
const RETAINED: u8 = 1 << 2;
const DUPLICATE: u8 = 1 << 3;
const QOS_SHIFT: u32 = 4;

fn delivery_tag(delivery: Delivery) -> u8 {
    let Delivery { qos, retained, duplicate } = delivery;
    let flag = |yes, bit| if yes { bit } else { 0 };
    KNOWN
        | flag(retained, RETAINED)
        | flag(duplicate, DUPLICATE)
        | qos.level().wrapping_shl(QOS_SHIFT)
}

fn delivery(tag: u8) -> Option<Delivery> {
    let qos = QoS::from_level(tag.wrapping_shr(QOS_SHIFT)).filter(|_| tag & KNOWN != 0)?;
    Some(Delivery { qos, retained: tag & RETAINED != 0, duplicate: tag & DUPLICATE != 0 })
}

/// Where the byte `offset` behind the header at `at` lies.
const fn after(at: usize, offset: u32) -> usize {
    at.wrapping_add(HEADER).wrapping_add(offset as usize)
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn loss(header: Header) -> Loss {
    let code = header.value.cast_signed();
    let given = Some(code).filter(|code| *code != i32::MIN);
    match header.topic {
        0 => Loss::Closed(given),
        1 => Loss::KeepAlive(given),
        2 => Loss::Network,
        3 => Loss::Restart,
        4 => Loss::NoResult,
        6 => Loss::Protocol,
        7 => Loss::Abandoned,
        _ => Loss::Found(code),
    }
}

#[cfg(test)]
mod tests {
    use std::{string::String, vec::Vec};

    use super::*;

    fn deliver<const N: usize>(inbox: &mut Inbox<N>, topic: &str, payload: &[u8]) -> bool {
        inbox.begin(0, topic.len() as u32, payload.len() as u32);
        inbox.topic(0, topic.as_bytes());
        inbox.payload(0, payload);
        inbox.end(0)
    }

    fn drain<const N: usize>(inbox: &mut Inbox<N>) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = inbox.front() {
            events.push(match event {
                Event::Message(m) => std::format!("{}={}", m.topic_str().unwrap(), m.payload.len()),
                Event::Dropped(d) => std::format!("dropped {} of {}", d.count, d.bytes),
                other => std::format!("{other:?}"),
            });
        }
        events
    }

    #[test]
    fn messages_come_out_in_order_and_whole_however_the_ring_turns() {
        let mut inbox = Inbox::<128>::new();
        for round in 0..200_usize {
            let payload = std::vec![round as u8; round % 50];
            assert!(deliver(&mut inbox, "t", &payload));
            assert!(deliver(&mut inbox, "u/v", b""));
            let Some(Event::Message(m)) = inbox.front() else { panic!("round {round}") };
            assert_eq!((m.topic, m.payload), (b"t".as_slice(), payload.as_slice()));
            assert_eq!(drain(&mut inbox), ["u/v=0"]);
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_announced_in_its_place() {
        let mut inbox = Inbox::<128>::new();
        assert!(deliver(&mut inbox, "a", &[1; 60]));
        assert!(!deliver(&mut inbox, "b", &[2; 60]));
        assert!(!deliver(&mut inbox, "c", &[3; 50]));
        let Some(Event::Message(_)) = inbox.front() else { panic!() };
        assert_eq!(drain(&mut inbox), ["dropped 2 of 110"]);
        assert!(deliver(&mut inbox, "d", &[4; 60]));
        assert_eq!(drain(&mut inbox), ["d=60"]);
    }

    #[test]
    fn a_message_that_was_taken_makes_room_at_once() {
        let mut inbox = Inbox::<128>::new();
        for round in 0..10 {
            assert!(deliver(&mut inbox, "t", &[round; 60]));
            assert!(matches!(inbox.front(), Some(Event::Message(m)) if m.payload == [round; 60]));
        }
    }

    #[test]
    fn what_can_never_fit_is_announced_with_its_topic() {
        let mut inbox = Inbox::<128>::new();
        assert!(!deliver(&mut inbox, "big", &[0; 4000]));
        let dropped = Dropped { count: 1, bytes: 4000, topic: Some(b"big") };
        assert_eq!(inbox.front(), Some(Event::Dropped(dropped)));
        assert_eq!(inbox.front(), None);
    }

    #[test]
    fn a_message_without_room_leaves_its_neighbours_alone_in_any_pieces() {
        for size in [1, 7, 400] {
            let mut inbox = Inbox::<128>::new();
            inbox.begin(0, 3, 400);
            inbox.topic(0, b"big");
            inbox.urc(b"next");
            for piece in [b'x'; 400].chunks(size) {
                inbox.payload(0, piece);
            }
            assert_eq!(inbox.front(), Some(Event::Urc(b"next")), "{size}");
            assert!(!inbox.end(0));
            assert_eq!(drain(&mut inbox), ["dropped 1 of 400"]);
        }
    }

    #[test]
    fn a_cut_message_is_never_delivered() {
        let mut inbox = Inbox::<128>::new();
        inbox.begin(0, 1, 3);
        inbox.topic(0, b"t");
        inbox.payload(0, b"ab");
        assert!(deliver(&mut inbox, "u", b"x"));
        let dropped = Dropped { count: 1, bytes: 3, topic: Some(b"t") };
        assert_eq!(inbox.front(), Some(Event::Dropped(dropped)));
        assert_eq!(drain(&mut inbox), ["u=1"]);
    }

    #[test]
    fn parts_that_exceed_what_was_announced_do_not_make_a_message() {
        let mut inbox = Inbox::<128>::new();
        inbox.begin(0, 1, 3);
        inbox.topic(0, b"t");
        inbox.payload(0, b"abcd");
        assert!(!inbox.end(0));
        assert_eq!(drain(&mut inbox), ["dropped 1 of 3"]);
    }

    #[test]
    fn a_message_whose_beginning_was_lost_is_announced() {
        let mut inbox = Inbox::<128>::new();
        inbox.topic(0, b"t");
        inbox.payload(0, b"ab");
        assert!(!inbox.end(0));
        assert_eq!(drain(&mut inbox), ["dropped 1 of 0"]);
    }

    #[test]
    fn two_sessions_may_be_open_at_once() {
        let mut inbox = Inbox::<256>::new();
        inbox.begin(0, 1, 2);
        inbox.begin(1, 1, 2);
        inbox.topic(1, b"b");
        inbox.topic(0, b"a");
        inbox.payload(1, b"11");
        assert!(inbox.end(1));
        assert_eq!(drain(&mut inbox), ["b=2"]);
        inbox.payload(0, b"00");
        assert!(inbox.end(0));
        assert_eq!(drain(&mut inbox), ["a=2"]);
    }

    #[test]
    fn how_a_message_was_delivered_is_kept_with_it() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for (retained, duplicate) in [(false, false), (true, false), (false, true)] {
                let mut inbox = Inbox::<96>::new();
                let told = Delivery { qos, retained, duplicate };
                inbox.begin_delivery(told, 1, 1);
                inbox.topic(0, b"t");
                inbox.payload(0, b"x");
                assert!(inbox.end(0));
                let Some(Event::Message(message)) = inbox.front() else { panic!() };
                assert_eq!((message.session, message.delivery), (0, Some(told)));
            }
        }
    }

    #[test]
    fn two_messages_may_come_in_mixed_in_any_order_and_shorter_than_feared() {
        let mut inbox = Inbox::<256>::new();
        inbox.begin_slot(0, b"a", 20);
        inbox.begin_slot(1, b"b", 4);
        inbox.place(0, 3, b"lo..");
        inbox.place(1, 0, b"hi..");
        inbox.place(0, 0, b"hel");
        inbox.place(0, 18, b"beyond");
        inbox.place(0, u32::MAX, b"x");
        assert_eq!(inbox.placed(0), Some(b"hello..".as_slice()));
        assert_eq!(inbox.placed(1), Some(b"hi..".as_slice()));
        assert!(inbox.end_placed(0, 2));
        assert!(inbox.end_placed(1, 2));
        let Some(Event::Message(message)) = inbox.front() else { panic!() };
        assert_eq!((message.topic, message.payload), (b"a".as_slice(), b"hello".as_slice()));
        let Some(Event::Message(message)) = inbox.front() else { panic!() };
        assert_eq!((message.topic, message.payload), (b"b".as_slice(), b"hi".as_slice()));
    }

    #[test]
    fn a_discarded_message_leaves_no_trace() {
        let mut inbox = Inbox::<96>::new();
        inbox.begin(0, 1, 30);
        inbox.topic(0, b"t");
        inbox.discard(0);
        assert!(deliver(&mut inbox, "u", &[1; 40]));
        assert_eq!(drain(&mut inbox), ["u=40"]);
    }

    #[test]
    fn a_placed_message_that_can_never_fit_is_announced_with_its_topic() {
        let mut inbox = Inbox::<128>::new();
        inbox.begin_slot(1, b"big", 4_000);
        for at in 0..40 {
            inbox.place(1, at * 100, &[0; 100]);
            assert_eq!(inbox.placed(1), None);
        }
        assert!(!inbox.end_placed(1, 2));
        let dropped = Dropped { count: 1, bytes: 3_998, topic: Some(b"big") };
        assert_eq!(inbox.front(), Some(Event::Dropped(dropped)));
    }

    #[test]
    fn a_message_that_is_not_wanted_is_announced_with_its_topic_while_there_is_room() {
        let mut inbox = Inbox::<96>::new();
        inbox.drop_message(b"t/a", 7);
        inbox.drop_message(&[b'x'; 200], 9);
        let dropped = Dropped { count: 1, bytes: 7, topic: Some(b"t/a") };
        assert_eq!(inbox.front(), Some(Event::Dropped(dropped)));
        assert_eq!(drain(&mut inbox), ["dropped 1 of 9"]);
    }

    #[test]
    fn events_find_room_when_messages_do_not_and_are_counted_beyond_that() {
        let mut inbox = Inbox::<96>::new();
        assert!(deliver(&mut inbox, "t", &[0; 40]));
        assert!(!deliver(&mut inbox, "u", &[0; 40]));
        for _ in 0..10 {
            inbox.lost(1, Loss::Closed(Some(-7)));
        }
        let events = drain(&mut inbox);
        assert_eq!(events.first().unwrap(), "t=40");
        assert!(events.contains(&String::from("dropped 1 of 40")));
        assert!(events.contains(&String::from("Lost { session: 1, loss: Closed(Some(-7)) }")));
        let lost = events.iter().filter(|e| e.starts_with("Lost")).count();
        assert_eq!(*events.last().unwrap(), std::format!("Missed({})", 10 - lost));
    }

    #[test]
    fn the_largest_message_leaves_room_for_two_events() {
        let fits = |size: usize| deliver(&mut Inbox::<96>::new(), "t", &std::vec![0; size]);
        assert!(fits(59) && !fits(60));
        let mut inbox = Inbox::<96>::new();
        deliver(&mut inbox, "t", &[0; 59]);
        inbox.network_lost();
        inbox.restarted();
        inbox.network_lost();
        assert_eq!(drain(&mut inbox), ["t=59", "NetworkLost", "Restarted", "Missed(1)"]);
    }

    #[test]
    fn a_count_is_told_before_what_came_after_it() {
        let mut inbox = Inbox::<128>::new();
        assert!(deliver(&mut inbox, "a", &[1; 50]));
        assert!(!deliver(&mut inbox, "b", &[2; 60]));
        inbox.urc(b"later");
        assert_eq!(drain(&mut inbox), ["a=50", "dropped 1 of 60", "Urc([108, 97, 116, 101, 114])"]);
        // Where both do not fit, the later one is counted too.
        let mut inbox = Inbox::<96>::new();
        assert!(deliver(&mut inbox, "a", &[1; 59]));
        assert!(!deliver(&mut inbox, "b", b"2"));
        inbox.restarted();
        assert_eq!(drain(&mut inbox), ["a=59", "dropped 1 of 1", "Missed(1)"]);
        let mut inbox = Inbox::<96>::new();
        assert!(deliver(&mut inbox, "a", &[1; 59]));
        inbox.restarted();
        inbox.miss();
        inbox.network_lost();
        assert_eq!(drain(&mut inbox), ["a=59", "Restarted", "Missed(2)"]);
    }

    #[test]
    fn a_count_alone_is_an_event() {
        let mut inbox = Inbox::<96>::new();
        assert!(!inbox.has_event());
        inbox.count_dropped(1, 5);
        assert!(inbox.has_event());
        inbox.miss();
        assert!(inbox.has_event());
        assert_eq!(drain(&mut inbox), ["dropped 1 of 5", "Missed(1)"]);
        assert!(!inbox.has_event());
        // As many as there are messages.
        assert!(deliver(&mut inbox, "t", b"x"));
        inbox.miss();
        assert!(inbox.has_event());
    }

    #[test]
    fn a_dropped_message_tells_its_topic_only_if_all_of_it_came() {
        for (announced, came, told) in
            [(3, b"a/b".as_slice(), Some(b"a/b".as_slice())), (3, b"a/", None), (0, b"", None)]
        {
            let mut inbox = Inbox::<96>::new();
            inbox.begin(0, announced, 400);
            inbox.topic(0, came);
            assert!(!inbox.end(0));
            let dropped = Dropped { count: 1, bytes: 400, topic: told };
            assert_eq!(inbox.front(), Some(Event::Dropped(dropped)));
        }
    }

    #[test]
    fn how_full_an_inbox_is_may_be_shown_and_what_it_holds_not() {
        let mut inbox = Inbox::<96>::new();
        inbox.urc(b"s3cret");
        inbox.miss();
        let shown = std::format!("{inbox:?}");
        assert!(shown.contains("records: 1, ready: 1") && shown.contains("missed: 1"), "{shown}");
        assert!(!shown.contains("s3cret") && !shown.contains("115, 51"), "{shown}");
    }

    #[test]
    fn why_a_message_will_not_be_delivered_is_passed_on() {
        let mut inbox = Inbox::<96>::new();
        inbox.undelivered(b"message_discarded");
        assert_eq!(inbox.front(), Some(Event::Undelivered(b"message_discarded")));
    }

    #[test]
    fn what_waits_is_whole_while_more_comes_and_finds_room_or_none() {
        let mut inbox = Inbox::<160>::new();
        let mut waiting = std::collections::VecDeque::new();
        let mut dropped = 0;
        for round in 0..620_usize {
            let payload = std::vec![round as u8; round * 7 % 40];
            match deliver(&mut inbox, "t", &payload) {
                true => waiting.push_back(payload),
                false => dropped += 1,
            }
            // As many as come, by turns more and fewer.
            for _ in 0..round / 20 % 3 {
                match inbox.front() {
                    Some(Event::Message(m)) => {
                        assert_eq!(m.payload, waiting.pop_front().unwrap(), "{round}");
                        assert_eq!((m.session, m.delivery), (0, None));
                    }
                    Some(Event::Dropped(d)) => dropped -= d.count,
                    other => assert_eq!(other, None),
                }
            }
        }
        assert!(!waiting.is_empty());
        while let Some(event) = inbox.front() {
            match event {
                Event::Message(m) => assert_eq!(m.payload, waiting.pop_front().unwrap()),
                Event::Dropped(d) => dropped -= d.count,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((waiting.len(), dropped), (0, 0));
    }

    #[test]
    fn why_a_connection_was_lost_is_kept() {
        for loss in [
            Loss::Closed(Some(2)),
            Loss::Closed(None),
            Loss::KeepAlive(Some(-7)),
            Loss::KeepAlive(None),
            Loss::Network,
            Loss::Restart,
            Loss::NoResult,
            Loss::Found(11),
            Loss::Protocol,
            Loss::Abandoned,
        ] {
            let mut inbox = Inbox::<96>::new();
            inbox.lost(1, loss);
            assert_eq!(inbox.front(), Some(Event::Lost { session: 1, loss }));
        }
    }
}
