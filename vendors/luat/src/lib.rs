//! Luat (OpenLuat, AirM2M) modems with the standard AT firmware: Air724 and
//! its kin; Air780E, Air780EP and theirs; Air700EAQ and the other V20xx.
//!
//! ```no_run
//! # async fn example<R, W, C>(rx: R, tx: W, clock: C) -> Result<(), hayes::ClientError<R::Error>>
//! # where R: embedded_io_async::Read, W: embedded_io_async::Write<Error = R::Error>, C: hayes::Clock {
//! use hayes::{MqttClient, mqtt::{ConnectOptions, Event, Network, Publish, QoS}};
//!
//! // 256 bytes for a line, 1,024 for messages that wait.
//! let mut modem = hayes_luat::client::<256, 1024, _, _, _>(rx, tx, clock, Default::default());
//! modem.bring_up(&Network::new()).await?;
//! modem.connect(&ConnectOptions::new("broker.example", 1883, "device-7")?.keep_alive(120)).await?;
//! modem.subscribe("device-7/cmd", QoS::AtLeastOnce).await?;
//! modem.publish(&Publish::new("device-7/temp", b"21.5")?.qos(QoS::AtLeastOnce)).await?;
//! while let Event::Message(message) = modem.next_event().await? {
//!     // message.topic, message.payload
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The vendor recommends a keep-alive of 60 to 240 s: base stations drop what
//! is idle for longer.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(test)]
extern crate std;

mod codes;
mod lines;
mod modem;
mod scripts;

pub use codes::advice;
pub use modem::Luat;

use hayes::{Client, at::engine::Engine, mqtt::Limits};

/// A Luat modem without transport and clock, see [`Machine`](hayes::Machine).
/// `LINE` is the longest line that can be read in bytes: 24 more than the
/// longest topic that is received, and 64 at least. `INBOX` is the bytes for
/// messages and events that wait.
pub type Machine<const LINE: usize, const INBOX: usize> = Engine<Luat, LINE, INBOX>;

/// A machine for one modem.
#[must_use]
pub const fn machine<const LINE: usize, const INBOX: usize>(
    settings: Settings,
) -> Machine<LINE, INBOX> {
    Engine::new(Luat::new(settings))
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

/// The families, which have the same commands and other limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// To be identified; until then the limits that all of them have.
    #[default]
    Unknown,
    /// Air724UG, Air720U, Air722UG, Air820UG, Air795UG (RDA8910): payloads of
    /// 2,384 bytes (change log of V838).
    Air724,
    /// Air780E, Air780EX, Air780EG, Air600E from V1149 on, Air780EP, Air780EPV,
    /// Air780EE, and V20xx before V2015: 4,100 bytes (manual since V1.2.6,
    /// July 2023).
    Air780e,
    /// Air700EAQ, Air700ECQ, Air700EMQ, Air780EQ from V2015 on: 5,120 bytes
    /// (change log of V2015).
    V2015plus,
}

impl Family {
    /// Limits by the manual V1.6.3; the payload as documented for the family.
    const fn limits(self) -> Limits {
        let mut limits = Limits::MQTT;
        limits.client_id = 256;
        // Not stated; the longest name that DNS has.
        limits.host = 255;
        limits.user = 256;
        limits.password = 256;
        limits.keep_alive_min = 1;
        limits.topic = 256;
        limits.filter = 256;
        limits.payload = match self {
            Self::Unknown | Self::Air724 => 2_384,
            Self::Air780e => 4_100,
            Self::V2015plus => 5_120,
        };
        limits.will_topic = 256;
        limits.will_payload = 1_360;
        // In 255 pieces; what the flash holds is less and not told.
        limits.file = 255 * 10_240;
        limits
    }
}

/// How a payload is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publishing {
    /// By `AT+MPUBEX` with its length, any bytes as they are, where the
    /// firmware has that command; empty payloads by `AT+MPUB`.
    Counted,
    /// By `AT+MPUB`, text only, with escapes. A publish that is dropped
    /// half-way is then never published in part.
    Escaped,
}

/// How received messages are handed over (`AT+MQTTMSGSET`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiving {
    /// At once.
    Direct,
    /// The modem keeps the last four until they are fetched, which is done as
    /// soon as its note of them is heard, and by
    /// [`status`](hayes::MqttClient::status). For hosts that sleep: a note is
    /// short, and what is overwritten is announced as dropped.
    Cached,
}

/// The suites of TLS that the firmware names (manual V1.6.3, SSLCFG).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherSuite {
    /// All that it has.
    All,
    /// RSA-AES128-CBC-SHA.
    RsaAes128CbcSha,
    /// RSA-AES256-CBC-SHA.
    RsaAes256CbcSha,
    /// RSA-AES256-CBC-SHA256.
    RsaAes256CbcSha256,
}

/// What can be chosen for a modem. The default suits most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    family: Family,
    publishing: Publishing,
    escapes_count: bool,
    receiving: Receiving,
    cipher_suite: Option<CipherSuite>,
    bring_up_timeout: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl Settings {
    /// The family identified, payloads counted, messages shown at once, 180 s
    /// for bring-up.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            family: Family::Unknown,
            publishing: Publishing::Counted,
            escapes_count: true,
            receiving: Receiving::Direct,
            cipher_suite: None,
            bring_up_timeout: 180,
        }
    }

    /// Takes the modem for one of this family, whatever it calls itself.
    #[must_use]
    pub const fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// How payloads are handed over.
    #[must_use]
    pub const fn publishing(mut self, publishing: Publishing) -> Self {
        self.publishing = publishing;
        self
    }

    /// Whether the limit of an `AT+MPUB` message is that of its escaped form,
    /// where each quote, backslash and line end counts three. Nobody documents
    /// it, so it is the smaller one unless set.
    #[must_use]
    pub const fn escapes_count(mut self, yes: bool) -> Self {
        self.escapes_count = yes;
        self
    }

    /// How received messages are handed over.
    #[must_use]
    pub const fn receiving(mut self, receiving: Receiving) -> Self {
        self.receiving = receiving;
        self
    }

    /// The suites of TLS to offer; the firmware's own choice unless set. None
    /// of those documented is ECDHE or GCM, which many brokers insist on.
    #[must_use]
    pub const fn cipher_suite(mut self, suite: CipherSuite) -> Self {
        self.cipher_suite = Some(suite);
        self
    }

    /// How long bring-up may take in all, in seconds; the vendor gives up to
    /// two minutes for the attachment.
    #[must_use]
    pub const fn bring_up_timeout(mut self, seconds: u16) -> Self {
        self.bring_up_timeout = seconds;
        self
    }
}

#[cfg(test)]
mod tests {
    use hayes::{
        Instant, Machine as _, Operation,
        mqtt::{ConnectOptions, Error, Feature, Tls},
    };

    use super::*;

    #[test]
    fn tls_is_refused_exactly_where_it_was_left_out() {
        let mut machine = machine::<128, 256>(Settings::new());
        let options = ConnectOptions::new("broker.example", 8883, "id").unwrap();
        let options = options.tls(Tls::insecure());
        let started = machine.start(&Operation::Connect(&options), Instant::from_millis(0));
        let refused = started == Err(Error::Unsupported(Feature::Tls));
        assert_eq!(refused, !cfg!(feature = "tls"), "{started:?}");
        let deleted = machine.start(&Operation::Delete("ca.pem"), Instant::from_millis(0));
        let refused = deleted == Err(Error::Unsupported(Feature::Files));
        assert_eq!(refused, !cfg!(feature = "tls"), "{deleted:?}");
    }

    #[test]
    fn status_is_refused_exactly_where_it_was_left_out() {
        let mut machine = machine::<128, 256>(Settings::new());
        let started = machine.start(&Operation::Status, Instant::from_millis(0));
        let refused = started == Err(Error::Unsupported(Feature::Operation));
        assert_eq!(refused, !cfg!(feature = "status"), "{started:?}");
    }
}
