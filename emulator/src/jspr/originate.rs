//! Messages to the network: accepting them, asking for their segments, their way through the sky,
//! and how they end. Knows nothing of the broker.

use std::collections::VecDeque;
use std::ops::Range;

use super::body::{
    self, FinalMo, MessageAction, MessageName, MoStatus, Originated, SegmentRequest,
};
use super::{
    Config, MessageResponse, Modem, Outcome, Overflow, Priority, Quirk, Resource, State, Timer,
    code, read, segments,
};

pub(super) const RESOURCES: &[Resource] = &[
    Resource { name: "messageOriginate", get: None, put: Some(Modem::put_message_originate) },
    Resource {
        name: "messageOriginateSegment",
        get: None,
        put: Some(Modem::put_message_originate_segment),
    },
    Resource {
        name: "messageOriginateStatus",
        get: None,
        put: Some(Modem::put_message_originate_status),
    },
];

/// Refused with 407 above this (reported).
const REFERENCE: u8 = 205;

/// The messages that have no final status yet, in the order of their acceptance.
pub(super) struct Queue {
    messages: Vec<Message>,
    /// The last one that is no more; its data may be asked for again.
    old: Option<Message>,
    next_id: u8,
    serials: u64,
    pub responses: VecDeque<MessageResponse>,
    pub outcomes: VecDeque<Outcome>,
}

/// A message to the network.
struct Message {
    serial: u64,
    topic: u16,
    id: u8,
    priority: Priority,
    /// Payload and CRC, as far as they are there.
    bytes: Vec<Option<u8>>,
    plan: VecDeque<Range<usize>>,
    asked: Option<Range<usize>>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its segments are being asked for, or will be.
    Fed,
    /// It is complete and waits for its turn and the sky.
    Stored,
    /// It is on the air.
    InTransit,
    /// The network has it, and the broker is about to.
    Handed,
    /// It was cancelled, and the host will be told.
    Cancelled,
}

impl Message {
    /// What to ask for next, if anything is missing.
    fn next_range(&mut self, size: usize) -> Option<Range<usize>> {
        self.plan.pop_front().or_else(|| {
            let start = self.bytes.iter().position(Option::is_none)?;
            let gap = self.bytes[start..].iter().take_while(|byte| byte.is_none()).count();
            Some(start..start + gap.min(size.max(1)))
        })
    }

    /// Whether the segment is the one that was asked for, and does not contradict an earlier one.
    fn takes(&mut self, asked: &Range<usize>, segment: &body::Segment) -> bool {
        let end = segment.segment_start.checked_add(segment.segment_length);
        if segment.segment_start != asked.start || end != Some(asked.end) {
            return false;
        }
        let Some(data) = segments::decode(&segment.data).filter(|data| data.len() == asked.len())
        else {
            return false;
        };
        self.bytes[asked.clone()]
            .iter_mut()
            .zip(data)
            .all(|(place, byte)| *place.get_or_insert(byte) == byte)
    }

    fn sealed(&self) -> Vec<u8> {
        self.bytes.iter().copied().flatten().collect()
    }
}

impl Queue {
    pub fn new(config: &Config) -> Self {
        Queue {
            messages: Vec::new(),
            old: None,
            next_id: config.mo.first_id,
            serials: 0,
            responses: VecDeque::new(),
            outcomes: config.mo.outcomes.iter().copied().collect(),
        }
    }

    /// The modem knows nothing of its messages any more. That the numbers begin anew is a guess.
    pub fn restarts(&mut self, config: &Config) {
        self.messages.clear();
        self.old = None;
        self.next_id = config.mo.first_id;
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    fn get(&mut self, serial: u64) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.serial == serial)
    }

    /// The same, or the last one that is no more.
    fn known(&mut self, serial: u64) -> Option<&mut Message> {
        self.messages.iter_mut().chain(&mut self.old).find(|message| message.serial == serial)
    }

    fn named(&mut self, topic: u16, id: u8) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| (message.topic, message.id) == (topic, id))
    }

    /// The oldest message of a topic that can still be discarded.
    fn discardable(&self, topic: u16) -> Option<u64> {
        let early = |stage| matches!(stage, Stage::Fed | Stage::Stored);
        let found = self.messages.iter().find(|m| m.topic == topic && early(m.stage));
        found.map(|message| message.serial)
    }
}

impl Modem {
    // ---- acceptance ---------------------------------------------------------------------------

    fn put_message_originate(&mut self, body: &str) -> Result<(), u16> {
        let wanted: body::Originate = read(body)?;
        let length = wanted.message_length as usize;
        let sound = wanted.topic_id >= 64
            && (3..=segments::PAYLOAD + 2).contains(&length)
            && wanted.request_reference <= REFERENCE;
        if !sound {
            return Err(code::BAD_JSON);
        }
        // With which code a modem refuses that is not active is not known.
        if self.state != State::Active {
            return Err(code::NOT_ALLOWED);
        }
        let topic = self.topics.iter().find(|topic| topic.topic_id == wanted.topic_id);
        let topic = topic.cloned().ok_or(code::NOT_PROVISIONED)?;
        if self.port.now < self.usable_at {
            return Err(code::NOT_PROVISIONED);
        }
        let on_topic = self.mo.messages.iter().filter(|m| m.topic == topic.topic_id).count();
        let full = on_topic >= usize::from(topic.max_queue_depth)
            || self.mo.messages.len() >= self.config.mo.most;
        let victim = match self.config.mo.overflow {
            Overflow::DropOldest if full => self.mo.discardable(topic.topic_id),
            _ => None,
        };
        let message_response = self.mo.responses.pop_front().unwrap_or(match full {
            true if victim.is_none() => MessageResponse::MessageDiscardedOnOverflow,
            _ => MessageResponse::MessageAccepted,
        });
        let message_id = self.mo.next_id;
        self.mo.next_id = message_id.wrapping_add(1);
        let reply = Originated {
            topic_id: topic.topic_id,
            request_reference: wanted.request_reference,
            message_id,
            message_response,
        };
        self.ok("messageOriginate", &reply);
        if message_response == MessageResponse::MessageAccepted {
            self.accepts(&topic, message_id, length);
            if let Some(victim) = victim {
                self.mo_ends(victim, FinalMo::MessageDiscardedOnOverflow);
            }
            self.asks_next();
        }
        Ok(())
    }

    fn accepts(&mut self, topic: &super::Topic, id: u8, length: usize) {
        self.mo.serials += 1;
        let serial = self.mo.serials;
        let expiry = u64::from(topic.discard_time_seconds) * 1000;
        let (after, status) = match self.config.mo.give_up {
            Some(patience) if patience < expiry => (patience, FinalMo::MessageTransferTimeout),
            _ => (expiry, FinalMo::MessageExpired),
        };
        self.port.set_timer(self.port.now + after, Timer::Expired(serial, status));
        let plan = match &self.config.mo.plan[..] {
            [] => segments::cut(length, &self.config.mo.segments, &mut self.dice),
            plan => plan.iter().filter_map(|part| within(*part, length)).collect(),
        };
        self.mo.messages.push(Message {
            serial,
            topic: topic.topic_id,
            id,
            priority: topic.priority,
            bytes: vec![None; length],
            plan,
            asked: None,
            stage: Stage::Fed,
        });
    }

    // ---- segments -----------------------------------------------------------------------------

    /// Asks for the next segment of the first message that lacks some, unless one is on its way.
    /// Whether a modem feeds on several messages at a time is not known.
    fn asks_next(&mut self) {
        let size = self.config.mo.segments.size as usize;
        let mut fed = self.mo.messages.iter_mut().filter(|m| m.stage == Stage::Fed);
        let Some(message) = fed.next().filter(|message| message.asked.is_none()) else {
            return;
        };
        let serial = message.serial;
        match message.next_range(size) {
            Some(range) => self.asks(serial, range),
            None => self.is_complete(serial),
        }
    }

    fn asks(&mut self, serial: u64, range: Range<usize>) {
        let Some(message) = self.mo.known(serial) else { return };
        message.asked = Some(range.clone());
        let request = SegmentRequest {
            topic_id: message.topic,
            message_id: message.id,
            segment_length: range.len(),
            segment_start: range.start,
        };
        let delays = self.config.delays;
        let at = self.after_reply() + delays.segment_request;
        self.says_at(at, "messageOriginateSegment", &request);
        // In the last millisecond of the window it is not too late.
        self.port.set_timer(at + delays.segment_window + 1, Timer::NotSupplied(serial));
    }

    fn put_message_originate_segment(&mut self, body: &str) -> Result<(), u16> {
        let segment: body::Segment = read(body)?;
        let name = MessageName {
            topic_id: Some(segment.topic_id),
            message_id: segment.message_id,
            cancellation_response: None,
        };
        let waits = |m: &&mut Message| {
            (m.topic, m.id) == (segment.topic_id, segment.message_id) && m.asked.is_some()
        };
        let queue = &mut self.mo;
        let mut all = queue.messages.iter_mut().chain(&mut queue.old);
        // How a segment is refused that nobody has asked for is not known.
        let message = all.find(waits).ok_or(code::FAILED)?;
        let serial = message.serial;
        let asked = message.asked.take().unwrap_or_default();
        let good = message.takes(&asked, &segment);
        self.port.drop_timers(|timer| *timer == Timer::NotSupplied(serial));
        // Whether a wrong segment is refused by a code as well is not known.
        self.ok("messageOriginateSegment", &name);
        match good {
            true => self.asks_next(),
            false => self.mo_ends(serial, FinalMo::SegmentIncorrect),
        }
        Ok(())
    }

    pub(super) fn is_not_supplied(&mut self, serial: u64) {
        if let Some(message) = self.mo.known(serial) {
            message.asked = None;
        }
        self.mo_ends(serial, FinalMo::SegmentNotSupplied);
    }

    fn is_complete(&mut self, serial: u64) {
        let Some(message) = self.mo.get(serial) else { return };
        message.stage = Stage::Stored;
        if segments::crc(&message.sealed()) != 0 {
            return self.mo_ends(serial, FinalMo::MessageDroppedLocalCrcError);
        }
        if let Some(again) = self.config.mo.again {
            self.port.set_timer(self.after_reply() + again, Timer::Again(serial));
        }
        self.transmits();
        self.asks_next();
    }

    pub(super) fn asks_again(&mut self, serial: u64) {
        let size = (self.config.mo.segments.size as usize).max(1);
        let Some(message) = self.mo.known(serial) else { return };
        let first = 0..message.bytes.len().min(size);
        self.asks(serial, first);
    }

    /// The oddity of a modem that is asked for something while it asks for segments.
    pub(super) fn forgets_fed(&mut self) {
        let (fed, kept) =
            std::mem::take(&mut self.mo.messages).into_iter().partition(|m| m.stage == Stage::Fed);
        self.mo.messages = kept;
        let fed: Vec<Message> = fed;
        for message in fed {
            self.port.drop_timers(|timer| timer.is_of(message.serial));
        }
    }

    // ---- transit ------------------------------------------------------------------------------

    /// Sends the next message, if there is a sky: by priority, then in order.
    pub(super) fn transmits(&mut self) {
        let busy = |m: &Message| matches!(m.stage, Stage::InTransit | Stage::Handed);
        if !self.is_on_air() || self.mo.messages.iter().any(busy) {
            return;
        }
        let stored = self.mo.messages.iter_mut().filter(|m| m.stage == Stage::Stored);
        let Some(message) = stored.min_by_key(|m| (m.priority, m.serial)) else {
            return;
        };
        message.stage = Stage::InTransit;
        let (serial, length) = (message.serial, message.bytes.len() as u64);
        let delays = self.config.delays;
        let at = self.after_reply() + delays.transit + length * delays.transit_per_1000 / 1000;
        self.port.set_timer(at, Timer::Arrived(serial));
    }

    fn is_on_air(&self) -> bool {
        self.seen().visible && self.gateway.is_up()
    }

    pub(super) fn mo_arrives(&mut self, serial: u64) {
        let on_air = self.is_on_air();
        let Some(message) = self.mo.get(serial) else { return };
        if !on_air {
            // It begins again when it can.
            message.stage = Stage::Stored;
            return;
        }
        let Outcome { status, delivered } =
            self.mo.outcomes.pop_front().unwrap_or(Outcome::ACKNOWLEDGED);
        let Some(message) = self.mo.get(serial) else { return };
        if delivered {
            message.stage = Stage::Handed;
            let (topic, mut payload) = (message.topic, message.sealed());
            payload.truncate(payload.len() - 2);
            self.hands_over(serial, topic, payload, status);
        } else {
            self.mo_ends_with(serial, status);
        }
    }

    /// The network did not get it after all: the modem tries again.
    pub(super) fn mo_comes_back(&mut self, serial: u64, status: Option<FinalMo>) {
        if let Some(message) = self.mo.get(serial) {
            message.stage = Stage::Stored;
            self.mo.outcomes.push_front(Outcome { status, delivered: true });
        }
    }

    // ---- the end ------------------------------------------------------------------------------

    pub(super) fn mo_ends(&mut self, serial: u64, status: FinalMo) {
        self.mo_ends_with(serial, Some(status));
    }

    pub(super) fn mo_ends_with(&mut self, serial: u64, status: Option<FinalMo>) {
        let Some(at) = self.mo.messages.iter().position(|m| m.serial == serial) else {
            return;
        };
        let message = self.mo.messages.remove(at);
        self.port.drop_timers(|timer| timer.is_of(serial) && *timer != Timer::Again(serial));
        let status = status.filter(|_| !self.has(Quirk::NoFinalStatus));
        if let Some(final_mo_status) = status {
            let (topic_id, message_id) = (message.topic, message.id);
            let status = MoStatus { topic_id, message_id, final_mo_status };
            self.says("messageOriginateStatus", &status);
        }
        self.mo.old = Some(message);
        self.transmits();
        self.asks_next();
    }

    fn put_message_originate_status(&mut self, body: &str) -> Result<(), u16> {
        let MessageAction { topic_id, message_id, .. } = read(body)?;
        // How a cancel is refused that comes too late, or for nothing, is not known.
        let message = self.mo.named(topic_id, message_id).ok_or(code::FAILED)?;
        let (serial, stage) = (message.serial, message.stage);
        let too_late = self.has(Quirk::CancelTooLate);
        let status = match stage {
            Stage::Fed | Stage::Stored => Some(FinalMo::MessageCancelledPreTransit),
            Stage::InTransit if !too_late => Some(FinalMo::MessageCancelledInTransit),
            Stage::InTransit | Stage::Handed | Stage::Cancelled => None,
        };
        let bare = self.has(Quirk::CancelBare);
        // That of the 9770; what the 9704 says is not public.
        let name = MessageName {
            topic_id: (!bare).then_some(topic_id),
            message_id,
            cancellation_response: (!bare).then_some("cancelling_message"),
        };
        self.ok("messageOriginateStatus", &name);
        if let Some(status) = status {
            self.port.drop_timers(|timer| timer.is_of(serial));
            if let Some(message) = self.mo.get(serial) {
                message.stage = Stage::Cancelled;
                message.asked = None;
            }
            let at = self.after_reply() + self.config.delays.cancel;
            self.port.set_timer(at, Timer::Cancelled(serial, status));
            self.asks_next();
        }
        Ok(())
    }
}

impl Timer {
    /// Whether it is one of this message to the network.
    fn is_of(&self, message: u64) -> bool {
        match self {
            Timer::NotSupplied(serial)
            | Timer::Again(serial)
            | Timer::Arrived(serial)
            | Timer::Expired(serial, _)
            | Timer::Cancelled(serial, _) => *serial == message,
            _ => false,
        }
    }
}

/// What a message of this length has of a range (start, length).
fn within((start, count): (u32, u32), length: usize) -> Option<Range<usize>> {
    let start = start as usize;
    let end = start.saturating_add(count as usize).min(length);
    (start < end).then_some(start..end)
}
