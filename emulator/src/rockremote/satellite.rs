//! The satellite side of the box: the MO queue, what is sent when, and what that costs. Knows no
//! client and no cloud. Facts: the vendor's page "IMT and IoT Gateway".
//!
//! How messages are packed into an IMT, and how they are compressed, is not public. Here an IMT is
//! as long as the topics and payloads in it.

use std::collections::{BTreeMap, VecDeque};

use super::config::Queue;
use super::{Config, Message};

/// The longest topic that gets through, in bytes of UTF-8. Whether the prefix of the account
/// counts is not stated; here it does not.
pub const MAX_TOPIC: usize = 100;

/// The longest payload that gets through.
pub const MAX_PAYLOAD: usize = 90_000;

/// The longest IMT.
const MAX_IMT: usize = 100_000;

/// The least that is billed for an IMT.
const MIN_BILLED: usize = 500;

/// What the box counts. In the vendor's page the counters go by IMT topic, of which this box has
/// one; here they go by MQTT topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// By topic as it is on the LAN.
    pub topics: BTreeMap<String, Count>,
    /// IMTs sent.
    pub imts: u64,
    /// Bytes billed for them.
    pub billed: u64,
}

/// The messages of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Sent to the cloud.
    pub sent: u64,
    /// Received from the cloud.
    pub received: u64,
    /// Dropped, in either direction, for whatever reason.
    pub dropped: u64,
}

/// One message over the satellite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imt {
    /// When it was sent, in milliseconds.
    pub at: u64,
    /// So many MQTT messages are in it.
    pub messages: usize,
    /// Their topics and payloads.
    pub bytes: usize,
    /// What is billed for it.
    pub billed: usize,
}

#[derive(Debug)]
pub(super) struct Satellite {
    rules: Queue,
    sky: bool,
    queue: VecDeque<Waiting>,
    /// Of the payloads in the queue.
    bytes: usize,
    counters: Counters,
    imts: Vec<Imt>,
}

#[derive(Debug)]
struct Waiting {
    since: u64,
    message: Message,
}

impl Satellite {
    pub fn new(config: &Config) -> Self {
        Satellite {
            rules: config.queue,
            sky: true,
            queue: VecDeque::new(),
            bytes: 0,
            counters: Counters::default(),
            imts: Vec::new(),
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn imts(&self) -> &[Imt] {
        &self.imts
    }

    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    pub fn queued_bytes(&self) -> usize {
        self.bytes
    }

    pub fn has_sky(&self) -> bool {
        self.sky
    }

    pub fn set_sky(&mut self, sky: bool) {
        self.sky = sky;
    }

    /// A restart that the queue does not survive. Its messages are lost, not dropped: nobody is
    /// left to count them.
    pub fn forget(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    /// Takes a message for the cloud. What is too large vanishes here, without a word to anybody.
    pub fn take(&mut self, now: u64, message: Message) {
        if !passes(&message) {
            return self.count(&message.topic).dropped += 1;
        }
        self.bytes += message.payload.len();
        self.queue.push_back(Waiting { since: now, message });
        while self.rules.overflow.is_some_and(|most| self.bytes > most) {
            self.drop_oldest();
        }
    }

    /// Whether a message from the cloud gets through; counts it.
    pub fn lets_in(&mut self, message: &Message) -> bool {
        let passes = passes(message);
        let count = self.count(&message.topic);
        match passes {
            true => count.received += 1,
            false => count.dropped += 1,
        }
        passes
    }

    /// When a rule strikes that goes by time.
    pub fn due(&self) -> Option<u64> {
        let since = self.queue.front()?.since;
        let age = Some(self.rules.max_age_s).filter(|age| self.sky && *age > 0);
        let seconds = [age, self.rules.ttl_s].into_iter().flatten().min()?;
        Some(since.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Applies the rules; gives what goes out now.
    pub fn settle(&mut self, now: u64) -> Vec<Message> {
        let sent = match self.sky && self.is_ripe(now) {
            true => self.send(now),
            false => Vec::new(),
        };
        while self.rules.ttl_s.is_some_and(|ttl| self.is_older(now, ttl)) {
            self.drop_oldest();
        }
        sent
    }

    fn is_ripe(&self, now: u64) -> bool {
        let Queue { max_size, max_age_s, .. } = self.rules;
        let large = max_size > 0 && self.bytes >= max_size;
        let old = max_age_s > 0 && self.is_older(now, max_age_s);
        !self.queue.is_empty() && (self.rules.is_immediate() || large || old)
    }

    fn is_older(&self, now: u64, seconds: u64) -> bool {
        let since = self.queue.front().map(|oldest| oldest.since);
        since.is_some_and(|since| now.saturating_sub(since) >= seconds.saturating_mul(1000))
    }

    /// Everything that waits, in as few IMTs as it fits.
    fn send(&mut self, now: u64) -> Vec<Message> {
        let empty = Imt { at: now, messages: 0, bytes: 0, billed: 0 };
        let mut imt = empty;
        let mut sent = Vec::new();
        while let Some(message) = self.pop() {
            let bytes = message.topic.len() + message.payload.len();
            let full = self.rules.is_immediate() || imt.bytes + bytes > MAX_IMT;
            if imt.messages > 0 && full {
                self.bill(std::mem::replace(&mut imt, empty));
            }
            imt.messages += 1;
            imt.bytes += bytes;
            self.count(&message.topic).sent += 1;
            sent.push(message);
        }
        self.bill(imt);
        sent
    }

    fn bill(&mut self, imt: Imt) {
        let billed = imt.bytes.max(MIN_BILLED);
        self.counters.imts += 1;
        self.counters.billed += billed as u64;
        self.imts.push(Imt { billed, ..imt });
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.pop() {
            self.count(&oldest.topic).dropped += 1;
        }
    }

    fn pop(&mut self) -> Option<Message> {
        let Waiting { message, .. } = self.queue.pop_front()?;
        self.bytes -= message.payload.len();
        Some(message)
    }

    fn count(&mut self, topic: &str) -> &mut Count {
        self.counters.topics.entry(topic.to_owned()).or_default()
    }
}

fn passes(message: &Message) -> bool {
    message.topic.len() <= MAX_TOPIC && message.payload.len() <= MAX_PAYLOAD
}
