//! Events as JSON, in the words of `FORMAT.md`.

use std::fmt::Write;

use crate::{Seen, Unfinished};
use hayes::mqtt::{Loss, Message};

/// One event as one JSON object, without blanks.
#[must_use]
pub fn json(event: &Seen<'_>) -> String {
    match event {
        Seen::Result { name, ok, code } => {
            format!("{{\"result\":{},\"ok\":{ok},\"code\":{}}}", string(name), number(*code))
        }
        Seen::Message(message) => self::message(message),
        Seen::Lost { loss: Loss::Closed(code) | Loss::KeepAlive(code), .. } => {
            format!("{{\"link\":\"lost\",\"code\":{}}}", number(*code))
        }
        Seen::Lost { .. } => "{\"link\":\"lost\",\"code\":null}".to_owned(),
        Seen::Waiting(slot) => format!("{{\"notification\":{{\"cached_slot\":{slot}}}}}"),
        Seen::NetworkLost => "{\"network\":\"lost\"}".to_owned(),
        Seen::Restarted => "{\"modem\":\"restarted\"}".to_owned(),
        Seen::Info(line) => format!("{{\"info\":{}}}", string(line)),
        Seen::Urc(line) => format!("{{\"urc\":{}}}", string(line)),
        Seen::Incomplete(what) => incomplete(&unfinished(*what)),
        Seen::Dropped(dropped) => {
            let topic =
                dropped.topic.map(|topic| format!(" for {}", String::from_utf8_lossy(topic)));
            incomplete(&format!(
                "a message of {} bytes{} was cut or does not add up",
                dropped.bytes,
                topic.unwrap_or_default(),
            ))
        }
        Seen::Overflow(length) => incomplete(&format!("a line of {length} bytes is too long")),
    }
}

fn message(message: &Message<'_>) -> String {
    let topic = match message.topic_str() {
        Some(topic) => string(topic.as_bytes()),
        None => format!("null,\"topic_hex\":\"{}\"", hex(message.topic)),
    };
    let payload = hex(message.payload);
    format!("{{\"message\":{{\"topic\":{topic},\"payload_hex\":\"{payload}\"}}}}")
}

fn unfinished(what: Unfinished<'_>) -> String {
    match what {
        Unfinished::Message => "a message was being received".to_owned(),
        Unfinished::Data(name) => format!("{} waits for its data or its end", text(name)),
        Unfinished::Command(name) => format!("{} has no final result", text(name)),
        Unfinished::Result(name) => format!("{} was accepted and has no result", text(name)),
        Unfinished::Violation(how) => format!("the protocol was broken: {how}"),
        Unfinished::Line => "the last line has no end".to_owned(),
    }
}

fn incomplete(what: &str) -> String {
    format!("{{\"incomplete\":{}}}", string(what.as_bytes()))
}

fn number(number: Option<i32>) -> String {
    number.map_or("null".to_owned(), |number| number.to_string())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes as a JSON string. What is not UTF-8 becomes U+FFFD.
pub(crate) fn string(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for char in String::from_utf8_lossy(bytes).chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_a_topic_that_is_no_text_is_in_hex() {
        assert_eq!(json(&Seen::Info(b"\x024 \"\\\t")), r#"{"info":"\u00024 \"\\\t"}"#);
        let message = Message { session: 0, topic: b"\xf7", payload: b"\0", delivery: None };
        let expected = r#"{"message":{"topic":null,"topic_hex":"f7","payload_hex":"00"}}"#;
        assert_eq!(json(&Seen::Message(message)), expected);
    }
}
