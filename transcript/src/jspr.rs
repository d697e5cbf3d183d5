//! JSPR of an Iridium 9704, read with the ears of its driver as far as lines
//! go; what they hold is read apart from it.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use crc::{CRC_16_XMODEM, Crc};
use hayes_iridium::jspr::{self, Frame, Line};
use serde_json::Value;

use crate::{LINE, Reader, json::hex, json::string};

/// Of two bytes, the higher first, behind each message.
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// Topic and number of a message.
type Key = (u64, u64);

/// A reader of JSPR.
#[derive(Debug, Default)]
pub struct Jspr {
    lines: Box<jspr::Reader<LINE>>,
    host: Vec<u8>,
    /// The message that the host is about to cancel.
    cancelled: Option<Key>,
    /// Messages to the network without a final status.
    outgoing: Vec<Key>,
    /// Messages from the network that still come in.
    incoming: BTreeMap<Key, Vec<u8>>,
}

impl Reader for Jspr {
    fn host(&mut self, bytes: &[u8], _: &mut Vec<String>) {
        for byte in bytes {
            if *byte != b'\r' {
                self.host.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.host);
            let body = line.strip_prefix(b"PUT messageOriginateStatus ");
            self.cancelled = body.and_then(read).and_then(|body| key(&body));
        }
    }

    fn modem(&mut self, mut bytes: &[u8], seen: &mut Vec<String>) {
        let mut lines = std::mem::take(&mut self.lines);
        while let Some(frame) = lines.next(&mut bytes) {
            match frame {
                Frame::Line(line) if line.code == 299 => self.unasked(&line, seen),
                Frame::Line(line) => self.reply(&line, seen),
                Frame::Broken => {}
                Frame::TooLong(_) => seen.push(incomplete("a line is too long")),
            }
        }
        self.lines = lines;
    }

    fn elapsed(&mut self, _: u32, _: &mut Vec<String>) {}

    fn finish(&mut self, seen: &mut Vec<String>) {
        self.cut(seen);
        if !self.outgoing.is_empty() {
            seen.push(incomplete("a message has no final status"));
        }
        *self = Self::default();
    }
}

impl Jspr {
    fn reply(&mut self, line: &Line<'_>, seen: &mut Vec<String>) {
        seen.push(format!(
            "{{\"reply\":{{\"code\":{},\"target\":{}}}}}",
            line.code,
            string(line.target.as_bytes())
        ));
        let body = read(line.body).filter(|_| line.code == 200);
        let accepted = body.filter(|body| body["message_response"] == "message_accepted");
        match (line.target, self.cancelled.take()) {
            ("messageOriginate", _) => self.outgoing.extend(accepted.as_ref().and_then(key)),
            ("messageOriginateStatus", cancelled) if line.code == 200 => {
                self.outgoing.extend(cancelled);
            }
            _ => {}
        }
    }

    fn unasked(&mut self, line: &Line<'_>, seen: &mut Vec<String>) {
        let body = read(line.body).unwrap_or_default();
        let key = key(&body);
        match (line.target, key) {
            ("bootInfo", _) => {
                seen.push("{\"modem\":\"restarted\"}".to_owned());
                self.outgoing.clear();
                self.cut(seen);
            }
            ("messageTerminate", Some(key)) => drop(self.incoming.insert(key, Vec::new())),
            ("messageTerminateSegment", Some(key)) => self.segment(key, &body),
            ("messageTerminateStatus", Some(key)) if body["final_mt_status"] == "complete" => {
                match self.incoming.remove(&key) {
                    Some(bytes) => seen.push(message(key, &bytes)),
                    None => seen.push(unsolicited(line)),
                }
            }
            ("messageOriginateStatus", Some((topic, id))) => {
                self.outgoing.retain(|open| *open != (topic, id));
                let status =
                    string(body["final_mo_status"].as_str().unwrap_or_default().as_bytes());
                seen.push(format!(
                    "{{\"sent\":{{\"topic_id\":{topic},\"message_id\":{id},\"status\":{status}}}}}"
                ));
            }
            _ => {
                if let ("messageTerminateStatus", Some(key)) = (line.target, key) {
                    self.incoming.remove(&key);
                }
                seen.push(unsolicited(line));
            }
        }
    }

    fn segment(&mut self, key: Key, body: &Value) {
        let data = body["data"].as_str().and_then(|data| BASE64_STANDARD.decode(data).ok());
        let start = body["segment_start"].as_u64().and_then(|start| usize::try_from(start).ok());
        let (Some(data), Some(start)) = (data, start) else { return };
        let Some(bytes) = self.incoming.get_mut(&key) else { return };
        let end = start.saturating_add(data.len());
        if end > LONGEST {
            return;
        }
        bytes.resize(end.max(bytes.len()), 0);
        bytes[start..end].copy_from_slice(&data);
    }

    /// What still came in will not be completed.
    fn cut(&mut self, seen: &mut Vec<String>) {
        for ((topic, id), _) in std::mem::take(&mut self.incoming) {
            seen.push(incomplete(&format!("message {id} on topic {topic} was under way")));
        }
    }
}

/// With its CRC, in bytes.
const LONGEST: usize = 100_002;

fn read(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

fn key(body: &Value) -> Option<Key> {
    Some((body["topic_id"].as_u64()?, body["message_id"].as_u64()?))
}

/// The CRC over a message and its own CRC is zero.
fn message((topic, id): Key, bytes: &[u8]) -> String {
    match bytes.split_last_chunk::<2>() {
        Some((payload, _)) if CRC.checksum(bytes) == 0 => {
            format!("{{\"message\":{{\"topic_id\":{topic},\"payload_hex\":\"{}\"}}}}", hex(payload))
        }
        _ => incomplete(&format!("message {id} on topic {topic} does not add up")),
    }
}

fn unsolicited(line: &Line<'_>) -> String {
    let target = string(line.target.as_bytes());
    let body = String::from_utf8_lossy(line.body);
    format!("{{\"unsolicited\":{{\"target\":{target},\"json\":{}}}}}", body.trim())
}

fn incomplete(what: &str) -> String {
    format!("{{\"incomplete\":{}}}", string(what.as_bytes()))
}
