//! What a message costs over the satellite and when it leaves, from sizes and
//! the settings of the box. All numbers are of the vendor's page "IMT and IoT
//! Gateway"; how messages are packed is not public, so packing and
//! compression are not counted. Knows no connection.

use hayes::mqtt::Publish;

/// The least that one satellite message (IMT) is billed for, in bytes.
const MINIMUM: u32 = 500;

/// The rules by which the box empties its queue, as set on its IoT Gateway
/// page; they cannot be set over MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Max Queue Size: leaves when the payloads in the queue reach so many
    /// bytes; 0 for never.
    pub size: u32,
    /// Max Queue Age: leaves when the oldest message is so many seconds old; 0
    /// for never.
    pub age: u32,
}

impl Queue {
    /// "Send Messages Immediately": each message by itself, at once.
    pub const IMMEDIATE: Self = Self { size: 0, age: 0 };
}

impl Default for Queue {
    /// 50,000 bytes, 60 s.
    fn default() -> Self {
        Self { size: 50_000, age: 60 }
    }
}

/// What messages cost with given settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Economics {
    queue: Queue,
}

/// What one message costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Topic and payload: the topic travels with every message.
    pub bytes: u32,
    /// What is billed if it travels alone, in bytes.
    pub alone: u32,
    /// When it leaves an otherwise empty queue.
    pub departure: Departure,
    /// A warning: the topic costs more than the payload.
    pub topic_dominates: bool,
}

/// When a message leaves the box for the satellite, at the earliest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// As soon as there is sky.
    AtOnce,
    /// After so many seconds, or when others fill the queue before.
    After(u32),
    /// When others bring so many bytes of payload more, and not before.
    WhenJoined(u32),
}

impl Economics {
    /// With a queue that is emptied by these rules.
    #[must_use]
    pub const fn new(queue: Queue) -> Self {
        Self { queue }
    }

    /// What `message` costs.
    #[must_use]
    pub fn cost(&self, message: &Publish<'_>) -> Cost {
        let (topic, payload) = (size(message.topic.as_str().as_bytes()), size(message.payload));
        let bytes = topic.saturating_add(payload);
        Cost {
            bytes,
            alone: bytes.max(MINIMUM),
            departure: self.departure(payload),
            topic_dominates: topic > payload,
        }
    }

    /// What is billed for `count` messages like `message` that travel
    /// together, in bytes.
    #[must_use]
    pub fn together(&self, count: u32, message: &Publish<'_>) -> u32 {
        self.cost(message).bytes.saturating_mul(count).max(MINIMUM)
    }

    const fn departure(&self, payload: u32) -> Departure {
        let Queue { size, age } = self.queue;
        match size.saturating_sub(payload) {
            _ if size == 0 && age == 0 => Departure::AtOnce,
            0 if size > 0 => Departure::AtOnce,
            missing if age == 0 => Departure::WhenJoined(missing),
            _ => Departure::After(age),
        }
    }
}

fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departure(size: u32, age: u32, payload: &[u8]) -> Departure {
        let message = Publish::new("t", payload).unwrap();
        Economics::new(Queue { size, age }).cost(&message).departure
    }

    #[test]
    fn a_message_leaves_by_whichever_rule_fires_first() {
        assert_eq!(departure(50_000, 60, &[0; 30]), Departure::After(60));
        assert_eq!(departure(500, 60, &[0; 500]), Departure::AtOnce);
        assert_eq!(departure(500, 0, &[0; 30]), Departure::WhenJoined(470));
        assert_eq!(departure(0, 60, &[0; 90_000]), Departure::After(60));
        assert_eq!(departure(0, 0, &[0; 30]), Departure::AtOnce);
    }

    #[test]
    fn a_small_message_alone_is_billed_as_500_bytes() {
        let message =
            Publish::new("a/topic/of/forty/bytes/is/80/per/cent/ov", b"0123456789").unwrap();
        let cost = Economics::new(Queue::IMMEDIATE).cost(&message);
        assert_eq!((cost.bytes, cost.alone, cost.topic_dominates), (50, 500, true));
        let even = Publish::new("up", b"42").unwrap();
        assert!(!Economics::default().cost(&even).topic_dominates);
        assert_eq!(Economics::default().together(10, &message), 500);
        assert_eq!(Economics::default().together(11, &message), 550);
    }
}
