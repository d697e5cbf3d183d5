//! MQTT on TCP, read with the ears of the RockREMOTE driver: only what the
//! broker says has a meaning here.

use hayes::mqtt::Message;
use hayes_iridium::rockremote::{Decoder, Part, Violation};

use crate::{Reader, Seen, Unfinished, json};

/// Packets that answer one of the host, and what they answer (MQTT 3.1.1,
/// 2.2.1).
const ANSWERS: &[(u8, &[u8])] = &[
    (2, b"CONNECT"),
    (4, b"PUBLISH"),
    (7, b"PUBLISH"),
    (9, b"SUBSCRIBE"),
    (11, b"UNSUBSCRIBE"),
    (13, b"PINGREQ"),
];

/// A reader of raw MQTT packets.
#[derive(Debug, Default)]
pub struct Mqtt {
    decoder: Decoder,
    topic: Vec<u8>,
    payload: Vec<u8>,
    open: bool,
    broken: bool,
}

impl Reader for Mqtt {
    fn host(&mut self, _: &[u8], _: &mut Vec<String>) {}

    fn modem(&mut self, mut bytes: &[u8], seen: &mut Vec<String>) {
        while !self.broken {
            match self.decoder.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(Part::Publish(_))) => self.open = true,
                Ok(Some(Part::Topic(part))) => self.topic.extend_from_slice(part),
                Ok(Some(Part::Id(_))) => {}
                Ok(Some(Part::Payload(part))) => self.payload.extend_from_slice(part),
                Ok(Some(Part::End)) => {
                    let (topic, payload) = (&self.topic, &self.payload);
                    let message = Message { session: 0, topic, payload, delivery: None };
                    seen.push(json(&Seen::Message(message)));
                    self.clear();
                }
                Ok(Some(Part::Packet(kind, body))) => answer(kind, body, seen),
                Err(violation) => self.violated(violation, seen),
            }
        }
    }

    fn elapsed(&mut self, _: u32, _: &mut Vec<String>) {}

    fn finish(&mut self, seen: &mut Vec<String>) {
        if self.open {
            seen.push(json(&Seen::Incomplete(Unfinished::Message)));
        }
        *self = Self::default();
    }
}

impl Mqtt {
    fn clear(&mut self) {
        self.topic.clear();
        self.payload.clear();
        self.open = false;
    }

    fn violated(&mut self, violation: Violation, seen: &mut Vec<String>) {
        self.clear();
        self.broken = true;
        seen.push(json(&Seen::Incomplete(Unfinished::Violation(violation.name()))));
    }
}

fn answer(kind: u8, body: &[u8], seen: &mut Vec<String>) {
    let Some((_, name)) = ANSWERS.iter().find(|(number, _)| *number == kind) else { return };
    let code = match (kind, body) {
        (2, [_, code]) => Some(*code),
        (9, [_, _, codes @ ..]) => codes.iter().copied().find(|code| *code >= 0x80),
        _ => None,
    };
    let ok = matches!(code, None | Some(0));
    seen.push(json(&Seen::Result { name, ok, code: code.map(i32::from) }));
}
