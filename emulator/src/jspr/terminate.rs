//! Messages from the network: announcing them, their segments, and what may go wrong with them.
//! The modem pushes once, keeps nothing and wants no acknowledgement. Knows nothing of the broker.

use std::collections::VecDeque;

use super::body::{Announcement, FinalMt, MtStatus, Segment};
use super::{Config, Modem, Timer, line, segments};

/// What becomes of a message from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// It arrives.
    #[default]
    Complete,
    /// It is said to be complete, and its CRC is wrong.
    BrokenCrc,
    /// `crc_error_in_transfer`, with broken data.
    CrcErrorInTransfer,
    /// `message_timed_out`, after half of the segments.
    TimedOut,
    /// `message_cancelled`, after half of the segments.
    Cancelled,
    /// All segments, and no status.
    NoStatus,
    /// The modem restarts after half of the segments.
    Restart,
}

/// The messages that are on their way to the host.
pub(super) struct Queue {
    messages: VecDeque<Message>,
    /// The next step has its time.
    ticks: bool,
    next_id: u8,
    pub fates: VecDeque<Fate>,
}

struct Message {
    steps: VecDeque<Step>,
    /// It comes whatever the sky.
    forced: bool,
}

enum Step {
    Line(Vec<u8>),
    Restart,
}

impl Queue {
    pub fn new(config: &Config) -> Self {
        Queue {
            messages: VecDeque::new(),
            ticks: false,
            next_id: config.mt.first_id,
            fates: VecDeque::new(),
        }
    }

    /// What was on its way is lost: the network counts it as delivered.
    pub fn restarts(&mut self, config: &Config) {
        self.messages.clear();
        self.ticks = false;
        self.next_id = config.mt.first_id;
    }
}

impl Modem {
    /// Begins with the messages that the network holds, if there is a sky and room.
    pub(super) fn delivers(&mut self) {
        while self.seen().visible && self.mt.messages.len() < self.config.mt.at_once.max(1) {
            let known = |id: u16| self.topics.iter().any(|topic| topic.topic_id == id);
            let Some(at) = self.gateway.mail.iter().position(|(id, _)| known(*id)) else {
                break;
            };
            if let Some((topic, payload)) = self.gateway.mail.remove(at) {
                let fate = self.mt.fates.pop_front().unwrap_or_default();
                self.begins(topic, &payload, fate, false);
            }
        }
        self.ticks(self.config.delays.incoming);
    }

    pub(super) fn begins(&mut self, topic_id: u16, payload: &[u8], fate: Fate, forced: bool) {
        let steps = self.steps(topic_id, payload, fate);
        self.mt.messages.push_back(Message { steps, forced });
        let delay = if forced { 0 } else { self.config.delays.incoming };
        self.ticks(delay);
    }

    fn steps(&mut self, topic_id: u16, payload: &[u8], fate: Fate) -> VecDeque<Step> {
        let message_id = self.mt.next_id;
        self.mt.next_id = message_id.wrapping_add(1);
        let mut bytes = segments::sealed(payload);
        if matches!(fate, Fate::BrokenCrc | Fate::CrcErrorInTransfer) {
            bytes[payload.len() / 3] ^= 1;
        }
        let mut cut = segments::cut(bytes.len(), &self.config.mt.segments, &mut self.dice);
        if matches!(fate, Fate::TimedOut | Fate::Cancelled | Fate::Restart) {
            cut.truncate(cut.len() / 2);
        }
        let message_length_max =
            (bytes.len() + self.config.mt.slack as usize).min(segments::PAYLOAD + 2);
        let announcement = Announcement { topic_id, message_id, message_length_max };
        let mut steps = VecDeque::from([Step::Line(line(299, "messageTerminate", &announcement))]);
        steps.extend(cut.into_iter().map(|range| {
            let segment = Segment {
                topic_id,
                message_id,
                segment_length: range.len(),
                segment_start: range.start,
                data: segments::encode(&bytes[range]),
            };
            Step::Line(line(299, "messageTerminateSegment", &segment))
        }));
        let status = |final_mt_status| {
            let status = MtStatus { topic_id, message_id, final_mt_status };
            Step::Line(line(299, "messageTerminateStatus", &status))
        };
        steps.extend(match fate {
            Fate::Complete | Fate::BrokenCrc => Some(status(FinalMt::Complete)),
            Fate::CrcErrorInTransfer => Some(status(FinalMt::CrcErrorInTransfer)),
            Fate::TimedOut => Some(status(FinalMt::MessageTimedOut)),
            Fate::Cancelled => Some(status(FinalMt::MessageCancelled)),
            Fate::NoStatus => None,
            Fate::Restart => Some(Step::Restart),
        });
        steps
    }

    /// The next message whose turn it is and that can go on.
    fn next_turn(&self) -> Option<usize> {
        let visible = self.seen().visible;
        self.mt.messages.iter().position(|message| message.forced || visible)
    }

    fn ticks(&mut self, delay: u64) {
        if !self.mt.ticks && self.next_turn().is_some() {
            self.mt.ticks = true;
            self.port.set_timer(self.port.now + delay, Timer::MtStep);
        }
    }

    pub(super) fn mt_goes_on(&mut self) {
        self.mt.ticks = false;
        let turn = self.next_turn().and_then(|at| self.mt.messages.remove(at));
        let Some(mut message) = turn else { return };
        match message.steps.pop_front() {
            Some(Step::Line(line)) => self.port.out.unasked(self.port.now, line),
            Some(Step::Restart) => return self.start(),
            None => {}
        }
        if message.steps.is_empty() {
            return self.delivers();
        }
        // Messages that come at once take turns; a forced one waits for none of them.
        self.mt.messages.push_back(message);
        self.ticks(self.config.delays.mt_segment);
    }
}
