//! What goes out, what comes in, and what each of them proves.

use core::fmt;

use super::{FieldError, Topic};

/// Quality of service (MQTT 3.1.1, 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum QoS {
    /// QoS 0.
    #[default]
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

impl QoS {
    /// 0, 1 or 2.
    #[must_use]
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The quality of service with that number.
    #[must_use]
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// One message to publish. The payload is borrowed and written to the modem
/// straight from the caller's slice.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// Where to.
    pub topic: Topic<'a>,
    /// What: any bytes, also none.
    pub payload: &'a [u8],
    /// How surely; 0 unless set.
    pub qos: QoS,
    /// Whether the broker shall keep it; false unless set.
    pub retain: bool,
    /// Whether it was published before, with an unknown outcome; false unless
    /// set.
    pub repeat: bool,
}

impl<'a> Publish<'a> {
    /// A message for `topic` with QoS 0, not retained.
    ///
    /// # Errors
    /// As [`Topic::new`].
    pub const fn new(topic: &'a str, payload: &'a [u8]) -> Result<Self, FieldError> {
        match Topic::new(topic) {
            Ok(topic) => {
                Ok(Self { topic, payload, qos: QoS::AtMostOnce, retain: false, repeat: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Sets the quality of service.
    #[must_use]
    pub const fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Sets the retain flag.
    #[must_use]
    pub const fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// Says that this is the last publish again, whose outcome was unknown.
    /// Where the session goes on and the backend speaks MQTT itself, it goes
    /// out with the same packet identifier and the DUP flag, so that a broker
    /// takes a QoS 2 message once (MQTT 3.1.1, 4.4); elsewhere it is one more
    /// message.
    #[must_use]
    pub const fn repeat(mut self) -> Self {
        self.repeat = true;
        self
    }
}

/// What a successful publish proves, from little to much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Assurance {
    /// The modem took it and handed it to its socket or its radio.
    HandedOver,
    /// A broker on the way (in the same box, on the LAN) acknowledged it.
    LocalBrokerAck,
    /// The network acknowledged it.
    NetworkAck,
    /// The broker acknowledged it, end to end.
    BrokerAck,
}

/// How a message was delivered, where the modem passes that on (MQTT 3.1.1,
/// 3.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Delivery {
    /// The quality of service of this delivery.
    pub qos: QoS,
    /// The broker had kept it: it was sent for a new subscription.
    pub retained: bool,
    /// It may have been delivered before.
    pub duplicate: bool,
}

/// A received message, lent from the inbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Which session of the modem it came in on; 0 where there is one.
    pub session: u8,
    /// The topic, as it came. Mostly UTF-8, but no modem vouches for it.
    pub topic: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// How it was delivered; `None` where the modem does not tell.
    pub delivery: Option<Delivery>,
}

impl<'a> Message<'a> {
    /// The topic as text, if it is UTF-8.
    #[must_use]
    pub fn topic_str(&self) -> Option<&'a str> {
        core::str::from_utf8(self.topic).ok()
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("session", &self.session)
            .field("topic", &format_args!("\"{}\"", self.topic.escape_ascii()))
            .field("payload", &format_args!("\"{}\"", self.payload.escape_ascii()))
            .field("delivery", &self.delivery)
            .finish()
    }
}

/// Received messages that could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped<'a> {
    /// How many messages.
    pub count: u32,
    /// Their payloads together, in bytes, as announced by the modem.
    pub bytes: u32,
    /// The topic, where one message is meant and its topic was received.
    pub topic: Option<&'a [u8]>,
}

/// Why a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Loss {
    /// The peer or the modem's stack closed it; the code as printed.
    Closed(Option<i32>),
    /// The keep-alive was not answered; the code as printed.
    KeepAlive(Option<i32>),
    /// The network or the bearer went away.
    Network,
    /// The modem restarted.
    Restart,
    /// The modem stopped giving results; its state is not known.
    NoResult,
    /// A command said that there is no connection; the code as printed.
    Found(i32),
    /// The broker broke the protocol.
    Protocol,
    /// A future was dropped in the middle of a packet, which cannot be
    /// finished without it.
    Abandoned,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, code) = match self {
            Self::Closed(code) => ("closed", *code),
            Self::KeepAlive(code) => ("keep-alive not answered", *code),
            Self::Network => ("network lost", None),
            Self::Restart => ("modem restarted", None),
            Self::NoResult => ("modem gave no result", None),
            Self::Found(code) => ("found disconnected", Some(*code)),
            Self::Protocol => ("broker broke the protocol", None),
            Self::Abandoned => ("a packet was left unfinished", None),
        };
        f.write_str(what)?;
        match code {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}

/// What happens without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message was received.
    Message(Message<'a>),
    /// The connection of `session` is gone; connect again.
    Lost {
        /// Which session.
        session: u8,
        /// Why.
        loss: Loss,
    },
    /// The bearer or the attachment is gone. A lost connection follows only
    /// if the modem says so.
    NetworkLost,
    /// The modem restarted: all its sessions are gone.
    Restarted,
    /// Messages were received and could not be kept.
    Dropped(Dropped<'a>),
    /// The future of an operation was dropped, or its result never came:
    /// whether it took place is not known.
    Unknown(&'static str),
    /// A message that was handed over will not be delivered; the reason as the
    /// modem printed it.
    Undelivered(&'a [u8]),
    /// A line that nobody asked for, where the settings ask for these.
    Urc(&'a [u8]),
    /// So many events are missing here: they found no room, or came in lines
    /// too long for the line buffer.
    Missed(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_what_it_holds() {
        let message = Message { session: 0, topic: b"t", payload: b"a\r\n\0", delivery: None };
        let expected =
            r#"Message { session: 0, topic: "t", payload: "a\r\n\x00", delivery: None }"#;
        assert_eq!(std::format!("{message:?}"), expected);
    }
}
