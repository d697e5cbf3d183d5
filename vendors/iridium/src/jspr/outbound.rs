//! The one message that is on its way out: from the request to originate it
//! until the modem says what became of it.

use hayes::{Instant, mqtt::QoS};
use heapless::Deque;

use super::{
    body::{Final, Wanted},
    coverage::Coverage,
    request::Range,
};

/// How many parts the modem may ask for, or not have acknowledged, at once.
const PARTS: usize = 4;

/// How many parts are sent again because the modem did not understand them.
const REPEATS: u8 = 3;

/// Who waits for what becomes of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A publish, which lends the payload.
    Caller(QoS),
    /// A publish with QoS 0 that was told that the message is handed over.
    HandedOver,
    /// Nobody: whether it was published is reported as unknown already.
    Nobody,
}

/// Where its cancellation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    No,
    /// To be sent as soon as the message has an id.
    Due,
    /// Sent; the final status is awaited.
    Sent,
}

#[derive(Debug)]
pub(super) struct Outbound {
    pub topic: u16,
    pub reference: u8,
    /// Known once it was accepted.
    pub id: Option<u8>,
    pub owner: Owner,
    pub cancel: Cancel,
    /// When the cancellation falls due, or its final status.
    pub until: Option<Instant>,
    /// When a message that the modem has all of counts as handed over.
    pub handed_over: Option<Instant>,
    /// What follows the payload.
    pub crc: [u8; 2],
    /// Bytes of the payload and its CRC.
    length: u32,
    wanted: Deque<Wanted, PARTS>,
    unacknowledged: Deque<Range, PARTS>,
    supplied: Coverage,
    repeats: u8,
}

impl Outbound {
    pub const fn new(topic: u16, reference: u8, length: u32, crc: [u8; 2], qos: QoS) -> Self {
        Self {
            topic,
            reference,
            id: None,
            owner: Owner::Caller(qos),
            cancel: Cancel::No,
            until: None,
            handed_over: None,
            crc,
            length,
            wanted: Deque::new(),
            unacknowledged: Deque::new(),
            supplied: Coverage::new(),
            repeats: 0,
        }
    }

    /// The length to announce: the CRC counts.
    pub const fn length(&self) -> u32 {
        self.length
    }

    pub fn is_ended_by(&self, status: &Final<'_>) -> bool {
        status.topic_id == self.topic && Some(status.message_id) == self.id
    }

    /// The modem asks for a part. One that arrives before the acceptance is
    /// kept until that tells whether it is meant.
    pub fn want(&mut self, wanted: Wanted) {
        let other = self.id.is_some_and(|id| id != wanted.message_id);
        if other || wanted.topic_id != self.topic {
            return;
        }
        if matches!(self.owner, Owner::Caller(_)) {
            self.handed_over = None;
            // With a full queue it is not answered, which the modem survives.
            let _full = self.wanted.push_back(wanted);
        } else if self.id.is_some() && self.cancel == Cancel::No {
            // The payload is not lent any more.
            self.cancel = Cancel::Due;
        }
    }

    /// The part to hand over next. What the message does not have is never
    /// answered, and the modem gives the message up.
    pub fn next_part(&mut self) -> Option<(u8, Range)> {
        let id = self.id?;
        if !matches!(self.owner, Owner::Caller(_)) || self.cancel != Cancel::No {
            return None;
        }
        loop {
            let wanted = self.wanted.pop_front()?;
            let start = wanted.segment_start;
            let end = start.checked_add(wanted.segment_length).filter(|end| *end <= self.length);
            if let Some(end) = end.filter(|end| *end > start && wanted.message_id == id) {
                return Some((id, Range { start, end }));
            }
        }
    }

    /// A part was sent.
    pub fn handed(&mut self, range: Range) {
        if self.unacknowledged.is_full() {
            self.unacknowledged.pop_front();
        }
        let _fits = self.unacknowledged.push_back(range);
    }

    /// The modem says that it has the part that was sent first, or refuses it,
    /// which has it sent again.
    pub fn acknowledged(&mut self, taken: bool) {
        let Some(range) = self.unacknowledged.pop_front() else { return };
        if taken {
            self.supplied.add(range);
        } else if let Some(id) = self.id.filter(|_| self.repeats < REPEATS) {
            self.repeats = self.repeats.saturating_add(1);
            let wanted = Wanted {
                topic_id: self.topic,
                message_id: id,
                segment_length: range.end.saturating_sub(range.start),
                segment_start: range.start,
            };
            let _full = self.wanted.push_front(wanted);
        }
    }

    /// Whether an answer to a part that was sent is awaited.
    pub fn is_owed(&self) -> bool {
        !self.unacknowledged.is_empty()
    }

    /// Whether the modem has all of it and asks for nothing.
    pub fn is_complete(&self) -> bool {
        self.wanted.is_empty() && !self.is_owed() && self.supplied.is_whole(self.length)
    }

    /// Nobody lends the payload any more: it is cancelled.
    pub fn leave(&mut self) {
        self.owner = Owner::Nobody;
        self.handed_over = None;
        if self.cancel == Cancel::No {
            self.cancel = Cancel::Due;
        }
    }
}
