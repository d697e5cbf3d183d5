//! Bytes to packets and back. `rumqttc` does the work; it is a client and lenient, so what a
//! server has to refuse (MQTT 3.1.1, 4.8) is refused here. Knows no state.

use rumqttc::mqttbytes::v4::Packet;
use rumqttc::mqttbytes::{self, Error};

use super::Message;

/// The longest packet that MQTT knows.
const MAX_PACKET: usize = 268_435_455;

/// What may stand in the first byte of a packet to a server (2.2); PUBLISH is 0x30 to 0x3D.
const FIRST_BYTES: &[u8] = &[0x10, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0];

/// The bytes are not MQTT 3.1.1: the connection is to be closed (4.8).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A packet for a server.
#[derive(Debug)]
pub(super) enum Incoming {
    Connect(Connect),
    /// A CONNECT of another version of MQTT.
    OtherVersion,
    Other(Packet),
}

/// A CONNECT, with more than `rumqttc` tells of it.
#[derive(Debug, Default)]
pub(super) struct Connect {
    pub client_id: String,
    pub clean: bool,
    pub keep_alive: u16,
    pub will: Option<Message>,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
}

/// The first packet of some bytes and its length, if it is there as a whole.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(usize, Incoming)>, Malformed> {
    match bytes.first() {
        None => return Ok(None),
        Some(first) if first & 0xF0 == 0x30 || FIRST_BYTES.contains(first) => {}
        Some(_) => return Err(Malformed),
    }
    let length = match mqttbytes::check(bytes.iter(), MAX_PACKET) {
        Ok(header) => header.frame_length(),
        Err(Error::InsufficientBytes(_)) => return Ok(None),
        Err(_) => return Err(Malformed),
    };
    let frame = &bytes[..length];
    let packet = match frame[0] {
        0x10 => connect(body(frame)).ok_or(Malformed)?,
        _ => Incoming::Other(other(frame)?),
    };
    Ok(Some((length, packet)))
}

/// The bytes of a packet.
pub(super) fn write(packet: &Packet) -> Vec<u8> {
    let mut buffer = Default::default();
    // The one reason to fail is a packet without its identifier, and the broker makes none.
    let _ = packet.write(&mut buffer, usize::MAX);
    buffer.to_vec()
}

/// A packet without its fixed header.
fn body(frame: &[u8]) -> &[u8] {
    let length_bytes = frame[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    &frame[1 + length_bytes..]
}

fn other(frame: &[u8]) -> Result<Packet, Malformed> {
    let mut stream = frame.into();
    let packet = Packet::read(&mut stream, MAX_PACKET).map_err(|_| Malformed)?;
    let sound = match &packet {
        Packet::Publish(publish) => {
            let at_most_once = publish.qos == mqttbytes::QoS::AtMostOnce;
            // 3.3.1-2, 3.3.2-2, 4.7.3-1
            !(at_most_once && publish.dup) && is_topic(&publish.topic)
        }
        Packet::Subscribe(subscribe) => {
            subscribe.pkid != 0 && subscribe.filters.iter().all(|filter| is_filter(&filter.path))
        }
        // 3.10.3-2
        Packet::Unsubscribe(unsubscribe) => unsubscribe.pkid != 0 && !unsubscribe.topics.is_empty(),
        _ => true,
    };
    // Whatever was read over (reserved bits, bytes too many) is not there when it is written.
    let again = write(&packet);
    match sound && body(&again) == body(frame) {
        true => Ok(packet),
        false => Err(Malformed),
    }
}

fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains('\0') && mqttbytes::valid_topic(topic)
}

fn is_filter(filter: &str) -> bool {
    !filter.contains('\0') && mqttbytes::valid_filter(filter)
}

/// MQTT 3.1.1, 3.1.
fn connect(body: &[u8]) -> Option<Incoming> {
    let mut fields = Fields(body);
    if fields.block()? != b"MQTT" {
        return None;
    }
    if fields.byte()? != 4 {
        return Some(Incoming::OtherVersion);
    }
    let flags = fields.byte()?;
    let [reserved, clean, will, _, _, retain, password, user] =
        std::array::from_fn(|bit| flags & (1 << bit) != 0);
    let qos = (flags >> 3) & 3;
    // 3.1.2-3, 3.1.2-11 to -15, 3.1.2-22
    if reserved || qos == 3 || (!will && (qos > 0 || retain)) || (password && !user) {
        return None;
    }
    let mut connect = Connect { clean, keep_alive: fields.number()?, ..Connect::default() };
    connect.client_id = fields.text()?;
    if will {
        let topic = fields.text().filter(|topic| is_topic(topic))?;
        connect.will = Some(Message { topic, payload: fields.block()?.to_vec(), qos, retain });
    }
    if user {
        connect.user = Some(fields.text()?);
    }
    if password {
        connect.password = Some(fields.block()?.to_vec());
    }
    fields.0.is_empty().then_some(Incoming::Connect(connect))
}

/// The fields of a packet, from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    fn block(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.number()?);
        let (block, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(block)
    }

    fn text(&mut self) -> Option<String> {
        let text = std::str::from_utf8(self.block()?).ok()?;
        // 1.5.3-2
        (!text.contains('\0')).then(|| text.to_owned())
    }
}
