//! The Iridium 9704, as in the RockBLOCK 9704, over a UART: JSPR, lines of
//! JSON, with messages of up to 100,000 bytes (IMT).
//!
//! ```no_run
//! # async fn example<R, W, C>(rx: R, tx: W, clock: C) -> Result<(), hayes::ClientError<R::Error>>
//! # where R: embedded_io_async::Read, W: embedded_io_async::Write<Error = R::Error>, C: hayes::Clock {
//! use hayes::{MqttClient, mqtt::{ConnectOptions, Event, Network, Publish, QoS}};
//! use hayes_iridium::jspr;
//!
//! // 4,096 bytes for a line, 4,096 for messages that wait.
//! let mut modem = jspr::client::<4096, 4096, _, _, _>(rx, tx, clock, Default::default());
//! modem.bring_up(&Network::new()).await?;
//! modem.connect(&ConnectOptions::new("iridium", 0, "device-7")?).await?;
//! modem.subscribe("#", QoS::AtMostOnce).await?;
//! modem.publish(&Publish::new("RAW", b"21.5")?.qos(QoS::AtLeastOnce)).await?;
//! while let Event::Message(message) = modem.next_event().await? {
//!     // message.topic, message.payload
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The UART runs at 230,400 baud, 8N1, without flow control; nothing else is
//! offered. Under Linux the USB adapter needs a driver that can set that rate
//! (`TCSETS2`), and its latency timer set from 16 ms to 1.
//!
//! # What is MQTT here
//!
//! There is no broker and no session on this link: a message travels with the
//! number of a topic that was provisioned for the modem. So
//!
//! | call | does |
//! |---|---|
//! | bring-up | selects the API, the SIM and the active state, reads the topics. PIN and access point mean nothing here and are ignored |
//! | connect | the bring-up if it was not done, else a look whether the modem is still active. Host, port, client id and keep-alive mean nothing here and are ignored |
//! | publish | on a topic's provisioned name, or `imt/<number>`. An empty table is [`Error::NotProvisioned`]: first provisioning takes 10 to 30 minutes with a view of the sky |
//! | subscribe | sets a filter of ours: the network sends what it has, whatever we say. What no filter wants is announced as [`Event::Dropped`]. Up to 8 filters of 64 bytes; granted is QoS 0 |
//! | disconnect | forgets the filters. The modem stays registered unless [`Settings::deactivate`]; a message that was handed over stays under way |
//! | status | operational state and SIM, before a bring-up also model and firmware, and the radio stays as it is; the signal is that of the modem's last word, since questions during a message disturb it |
//!
//! # What success proves
//!
//! With QoS 0 that the modem has all of the message ([`Assurance::HandedOver`]).
//! If it gives it up later, [`Event::Undelivered`] has its reason; if it does
//! not know, [`Event::Unknown`] says so. Parts that the modem asks for twice are
//! supplied twice, up to 100 ms after it had everything; then the payload is
//! not lent any more, and should the modem ask for a part as late as that,
//! which none was seen to do, the message is cancelled.
//!
//! With QoS 1 that the network has it ([`Assurance::NetworkAck`]), not the
//! receiver. Whoever repeats a publish that failed with [`Error::NoResult`] may
//! be heard twice. QoS 2, retained messages, empty ones, a will, credentials,
//! TLS and kept sessions are [`Error::Unsupported`].
//!
//! One message is under way at a time; a second publish waits until it is known
//! what became of the first. A message takes seconds to hours; after
//! [`Settings::publish_timeout`] it is cancelled, and the modem's last word on
//! it awaited for 5 s. Do not wait for signal bars before publishing.
//!
//! # What must be polled
//!
//! The modem gives a message 300 ms for each part that it asks for, and pushes
//! what it receives once, without acknowledgement: it keeps no copy. Whatever
//! comes in while neither a call runs nor
//! [`next_event`](hayes::MqttClient::next_event) is awaited is in the UART's
//! buffer or lost.
//!
//! After [`Error::Unresponsive`] with power and wiring right, the modem needs
//! its `I_EN` line switched off and on: wait for `I_BTD` to follow each time,
//! or it may be damaged.
//!
//! [`Assurance::HandedOver`]: hayes::mqtt::Assurance::HandedOver
//! [`Assurance::NetworkAck`]: hayes::mqtt::Assurance::NetworkAck
//! [`Error::NoResult`]: hayes::mqtt::Error::NoResult
//! [`Error::NotProvisioned`]: hayes::mqtt::Error::NotProvisioned
//! [`Error::Unresponsive`]: hayes::mqtt::Error::Unresponsive
//! [`Error::Unsupported`]: hayes::mqtt::Error::Unsupported
//! [`Event::Dropped`]: hayes::mqtt::Event::Dropped
//! [`Event::Undelivered`]: hayes::mqtt::Event::Undelivered
//! [`Event::Unknown`]: hayes::mqtt::Event::Unknown

mod body;
mod codes;
mod coverage;
mod inbound;
mod line;
mod machine;
mod modem;
mod outbound;
mod request;

pub use line::{Frame, Line, Reader};
pub use machine::Machine;
pub use modem::{Constellation, ProvisionedTopic};

use hayes::Client;

/// A machine for one modem.
#[must_use]
pub const fn machine<const LINE: usize, const INBOX: usize>(
    settings: Settings,
) -> Machine<LINE, INBOX> {
    Machine::new(settings)
}

/// A client for one modem, over the halves of its transport.
pub const fn client<const LINE: usize, const INBOX: usize, R, W, C>(
    reader: R,
    writer: W,
    clock: C,
    settings: Settings,
) -> Client<R, W, C, Machine<LINE, INBOX>>
where
    R: embedded_io_async::Read,
    W: embedded_io_async::Write<Error = R::Error>,
    C: hayes::Clock,
{
    Client::new(reader, writer, clock, machine(settings))
}

/// What can be chosen for a modem. The default suits most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    deactivate: bool,
    publish_timeout: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl Settings {
    /// The modem stays active after a disconnect; a message has 10 minutes.
    #[must_use]
    pub const fn new() -> Self {
        Self { deactivate: false, publish_timeout: Some(600_000) }
    }

    /// Whether a disconnect makes the modem inactive. A message that is under
    /// way is cancelled first.
    #[must_use]
    pub const fn deactivate(mut self, yes: bool) -> Self {
        self.deactivate = yes;
        self
    }

    /// How long a message may be under way before it is cancelled, in seconds,
    /// also after it was handed over; with `None` until the modem gives it up,
    /// after 6 hours at most. Seconds are too short: a message that is given up
    /// may be on the air already.
    #[must_use]
    pub const fn publish_timeout(mut self, seconds: Option<u32>) -> Self {
        self.publish_timeout = match seconds {
            Some(seconds) => Some(seconds.saturating_mul(1_000)),
            None => None,
        };
        self
    }
}
