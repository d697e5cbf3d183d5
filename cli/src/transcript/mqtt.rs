//! MQTT packets for the eye: one row for each, read by `rumqttc`'s codec and
//! not by the driver's. Passwords are hidden.

use bytes::BytesMut;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::Packet;

use super::{Rows, View, readable};

/// Larger packets are not read.
const LARGEST: usize = 1 << 20;

/// The rows of MQTT packets.
#[derive(Default)]
pub struct Packets {
    host: BytesMut,
    modem: BytesMut,
}

impl View for Packets {
    fn host(&mut self, bytes: &[u8]) -> Rows {
        rows('>', &mut self.host, bytes)
    }

    fn modem(&mut self, bytes: &[u8]) -> Rows {
        rows('<', &mut self.modem, bytes)
    }
}

fn rows(mark: char, stream: &mut BytesMut, bytes: &[u8]) -> Rows {
    stream.extend_from_slice(bytes);
    let mut rows = Rows::new();
    loop {
        match Packet::read(stream, LARGEST) {
            Ok(packet) => rows.push((mark, words(&packet))),
            Err(Error::InsufficientBytes(_)) => return rows,
            Err(error) => {
                let bytes = readable(&std::mem::take(stream));
                rows.push((mark, format!("no MQTT packet ({error:?}): {bytes}")));
                return rows;
            }
        }
    }
}

fn words(packet: &Packet) -> String {
    match packet {
        Packet::Connect(connect) => {
            let mut text =
                format!("CONNECT {:?} keep-alive {}", connect.client_id, connect.keep_alive);
            if connect.clean_session {
                text += " clean";
            }
            if let Some(login) = &connect.login {
                text += &format!(" user {:?} password ***", login.username);
            }
            if let Some(will) = &connect.last_will {
                text += &format!(" will {:?} {}", will.topic, readable(&will.message));
            }
            text
        }
        Packet::Publish(publish) => {
            let mut text = format!("PUBLISH QoS {}", publish.qos as u8);
            for (set, flag) in [(publish.retain, " retain"), (publish.dup, " dup")] {
                text += if set { flag } else { "" };
            }
            if publish.pkid > 0 {
                text += &format!(" {}", publish.pkid);
            }
            format!("{text} {:?} {}", publish.topic, readable(&publish.payload))
        }
        Packet::ConnAck(ack) => {
            let session = if ack.session_present { " session present" } else { "" };
            format!("CONNACK {:?}{session}", ack.code)
        }
        Packet::PubAck(ack) => format!("PUBACK {}", ack.pkid),
        Packet::PubRec(ack) => format!("PUBREC {}", ack.pkid),
        Packet::PubRel(ack) => format!("PUBREL {}", ack.pkid),
        Packet::PubComp(ack) => format!("PUBCOMP {}", ack.pkid),
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter();
            let filters = filters.map(|one| format!(" {:?} QoS {}", one.path, one.qos as u8));
            format!("SUBSCRIBE {}{}", subscribe.pkid, filters.collect::<String>())
        }
        Packet::SubAck(ack) => format!("SUBACK {} {:?}", ack.pkid, ack.return_codes),
        Packet::Unsubscribe(unsubscribe) => {
            format!("UNSUBSCRIBE {} {:?}", unsubscribe.pkid, unsubscribe.topics)
        }
        Packet::UnsubAck(ack) => format!("UNSUBACK {}", ack.pkid),
        Packet::PingReq => "PINGREQ".to_owned(),
        Packet::PingResp => "PINGRESP".to_owned(),
        Packet::Disconnect => "DISCONNECT".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::transcript::tests::rows_of;
    use crate::vendor::Vendor;

    #[test]
    fn each_packet_has_a_row_and_no_password() {
        // Capture 20-rockremote-mqtt311-packets.
        let rows = rows_of(Vendor::Rockremote, |t| {
            t.host(b"\x10$\x00\x04MQTT\x04\xc2\x00<\x00\x04dev1\x00\x08username\x00\x08passw");
            t.host(b"ord3\x1f\x00\x10this/is/my/topic\x00\x01Hello World");
            t.modem(b" \x02\x00\x00@\x02\x00\x01\xd0\x00");
        });
        let expected = [
            "> CONNECT \"dev1\" keep-alive 60 clean user \"username\" password ***",
            "> PUBLISH QoS 1 retain 1 \"this/is/my/topic\" Hello World",
            "< CONNACK Success",
            "< PUBACK 1",
            "< PINGRESP",
        ];
        assert_eq!(rows, expected);
    }
}
