//! SIMCom modems with the CMQTT commands: SIM7500, SIM7600, SIM7800; A76xx
//! (A7600, A7608, A7670, A7672, A7678); SIM767xx.
//!
//! ```no_run
//! # async fn example<R, W, C>(rx: R, tx: W, clock: C) -> Result<(), hayes::ClientError<R::Error>>
//! # where R: embedded_io_async::Read, W: embedded_io_async::Write<Error = R::Error>, C: hayes::Clock {
//! use hayes::{MqttClient, mqtt::{ConnectOptions, Event, Network, Publish, QoS}};
//!
//! // 256 bytes for a line, 1,024 for messages that wait.
//! let mut modem = hayes_simcom::client::<256, 1024, _, _, _>(rx, tx, clock, Default::default());
//! modem.bring_up(&Network::new().apn("iot.example")?).await?;
//! modem.connect(&ConnectOptions::new("broker.example", 1883, "device-7")?).await?;
//! modem.subscribe("device-7/cmd", QoS::AtLeastOnce).await?;
//! modem.publish(&Publish::new("device-7/temp", b"21.5")?.qos(QoS::AtLeastOnce)).await?;
//! while let Event::Message(message) = modem.next_event().await? {
//!     // message.topic, message.payload
//! }
//! # Ok(())
//! # }
//! ```

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
pub use modem::Simcom;

use hayes::{Client, at::engine::Engine, mqtt::Limits};

/// A SIMCom modem without transport and clock, see
/// [`Machine`](hayes::Machine). `LINE` is the longest line that can be read in
/// bytes (128 will do), `INBOX` the bytes for messages and events that wait.
pub type Machine<const LINE: usize, const INBOX: usize> = Engine<Simcom, LINE, INBOX>;

/// A machine for one modem.
#[must_use]
pub const fn machine<const LINE: usize, const INBOX: usize>(
    settings: Settings,
) -> Machine<LINE, INBOX> {
    Engine::new(Simcom::new(settings))
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

/// The families, which differ in commands and limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// To be identified; until then the limits that all of them have.
    #[default]
    Unknown,
    /// SIM7500, SIM7600, SIM7800.
    Sim7600,
    /// A7600, A7608, A7670, A7672, A7678.
    A76xx,
    /// SIM7670G, SIM7672 (SIM767XX).
    Sim767xx,
}

impl Family {
    fn of_model(name: &[u8]) -> Self {
        match name {
            [b'S', b'I', b'M', b'7', b'5' | b'8', ..] => Self::Sim7600,
            [b'S', b'I', b'M', b'7', b'6', b'0', ..] => Self::Sim7600,
            [b'S', b'I', b'M', b'7', b'6', b'7', ..] => Self::Sim767xx,
            [b'A', b'7', b'6', ..] => Self::A76xx,
            _ => Self::Unknown,
        }
    }

    /// Limits by the manuals; the modem's own test answers replace them where
    /// it gives any. The first one, M18: client id 23, keep-alive from 60 s.
    const fn limits(self) -> Limits {
        let mut limits = Limits::MQTT;
        limits.client_id = 128;
        // `tcp://` + host + `:65535` within 256 bytes.
        limits.host = 244;
        limits.user = 256;
        limits.password = 256;
        limits.keep_alive_min = 1;
        limits.keep_alive_max = 64_800;
        limits.topic = 1_024;
        limits.filter = 1_024;
        limits.payload = 10_240;
        limits.will_topic = 1_024;
        limits.will_payload = 1_024;
        limits.file = 10_240;
        limits.line = 3_071;
        match self {
            Self::A76xx => {}
            Self::Sim767xx => limits.payload = 4_096,
            Self::Sim7600 => limits.line = 559,
            Self::Unknown => {
                limits.client_id = 23;
                limits.keep_alive_min = 60;
                limits.payload = 1_024;
                limits.line = 559;
            }
        }
        limits
    }
}

/// The order of the arguments of `AT+CGAUTH`, on which manuals and public
/// drivers disagree. Look it up for your firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOrder {
    /// `AT+CGAUTH=1,1,"user","password"`
    UserFirst,
    /// `AT+CGAUTH=1,1,"password","user"`
    PasswordFirst,
}

/// What can be chosen for a modem. The default suits most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    family: Family,
    auth_order: Option<AuthOrder>,
    publish_timeout: u8,
    bring_up_timeout: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl Settings {
    /// The family identified, publish timeout 60 s, 180 s for bring-up.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            family: Family::Unknown,
            auth_order: None,
            publish_timeout: 60,
            bring_up_timeout: 180,
        }
    }

    /// Takes the modem for one of this family, whatever it calls itself.
    #[must_use]
    pub const fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// The order of user and password for an access point; needed if these
    /// are given.
    #[must_use]
    pub const fn auth_order(mut self, order: AuthOrder) -> Self {
        self.auth_order = Some(order);
        self
    }

    /// How long the modem tries to publish, in seconds; 60 to 180, which
    /// every family takes. Values outside are moved to the nearest end.
    #[must_use]
    pub const fn publish_timeout(mut self, seconds: u8) -> Self {
        self.publish_timeout = match seconds {
            0..60 => 60,
            60..=180 => seconds,
            _ => 180,
        };
        self
    }

    /// How long bring-up may take in all, in seconds; a search for a network
    /// after power-up takes up to some minutes.
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

    #[test]
    fn a_publish_is_tried_for_as_long_as_every_family_takes() {
        for (asked, kept) in [(0, 60), (59, 60), (60, 60), (100, 100), (180, 180), (181, 180)] {
            assert_eq!(Settings::new().publish_timeout(asked).publish_timeout, kept);
        }
    }
}
