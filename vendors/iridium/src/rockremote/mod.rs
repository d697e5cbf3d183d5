//! The IoT Gateway of a RockREMOTE (firmware v0.12.0 and later): MQTT 3.1.1
//! over TCP to the broker in the box, which packs what it gets into satellite
//! messages.
//!
//! ```no_run
//! # async fn example<R, W, C>(rx: R, tx: W, clock: C) -> Result<(), hayes::ClientError<R::Error>>
//! # where R: embedded_io_async::Read, W: embedded_io_async::Write<Error = R::Error>, C: hayes::Clock {
//! use hayes::{MqttClient, mqtt::{ConnectOptions, Publish, QoS}};
//! use hayes_iridium::rockremote::{self, HOST, PORT, Settings};
//!
//! // The halves of a TCP connection to 192.168.250.1:1883.
//! let mut gateway = rockremote::client::<4096, _, _, _>(rx, tx, clock, Settings::new());
//! gateway.connect(&ConnectOptions::new(HOST, PORT, "buoy-7")?).await?;
//! gateway.subscribe("dn/buoy-7/#", QoS::AtLeastOnce).await?;
//! gateway.publish(&Publish::new("up/t", b"21.5")?.qos(QoS::AtLeastOnce)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! **What success proves.** [`LocalBrokerAck`](hayes::mqtt::Assurance::LocalBrokerAck):
//! the broker in the box has the message. It waits there up to 60 s (the
//! default), then for the sky; it may be dropped by its time to live, its
//! retry count or an overflow of the queue, and nobody is told. If delivery
//! must be proved, let the receiver answer.
//!
//! **Limits.** A topic of more than 100 bytes or a payload of more than 90,000
//! is accepted by that broker and silently dropped (vendor page "IMT and IoT
//! Gateway"), so it is refused here, for wills as well. TLS is not supported
//! by the box, and its port is 1883.
//!
//! **Transport.** The transport is the connection: each connect wants a new
//! one, and one that failed, that was disconnected, or on which a connect or
//! half a packet was dropped with its future is used up
//! ([`Error::TransportUsed`]). A broker that breaks the protocol is not heard
//! any more ([`Machine::violation`]); closing the transport is the caller's.
//! Open another and give it to the client with
//! [`replace_transport`](hayes::Client::replace_transport); what belongs to a
//! kept session stays in the machine. PINGREQ goes out while a call of the
//! client is awaited; a keep-alive promises the broker that one mostly is.
//!
//! **Received messages.** A subscription also returns what this client and
//! others on the LAN publish: use disjoint trees, say `up/` and `dn/`. What
//! finds no room in the inbox is acknowledged and announced as
//! [dropped](hayes::mqtt::Event::Dropped). Messages with QoS 2 may be under
//! way within a span of 1,024 packet identifiers; beyond it the link is given
//! up ([`Violation::Window`]).
//!
//! **After a failure.** A publish with QoS 1 or 2 whose outcome is unknown may
//! be [repeated](hayes::mqtt::Publish::repeat); in a session that was kept
//! ([`Session::Resumed`](hayes::mqtt::Session::Resumed)) a message with QoS 2
//! then arrives once. Four such publishes are remembered, by their content. A
//! machine that starts anew remembers none, and the broker may take its first
//! packet identifiers for those of messages unfinished before: let it connect
//! once with a clean session.

pub mod cloud;
mod decoder;
mod economics;
mod encoder;
mod ids;
mod session;

pub use decoder::{Decoder, Heading, Part, Violation};
pub use economics::{Cost, Departure, Economics, Queue};
pub use session::Machine;

use hayes::{
    Client,
    mqtt::{Capabilities, ConnectOptions, Error, Field, FieldError, Limits, Problem},
};

/// The address of the box, unless it was changed.
pub const HOST: &str = "192.168.250.1";

/// The one port of its broker.
pub const PORT: u16 = 1883;

const CAPABILITIES: Capabilities = Capabilities::EXACTLY_ONCE
    .union(Capabilities::RETAIN)
    .union(Capabilities::WILL)
    .union(Capabilities::WILL_RETAIN)
    .union(Capabilities::CREDENTIALS)
    .union(Capabilities::KEPT_SESSION)
    .union(Capabilities::EMPTY_PAYLOAD)
    .union(Capabilities::BINARY_PAYLOAD);

/// By the vendor's page. Whether the 100 bytes count the prefix that a topic
/// gets in the cloud is not said; the local name is taken.
const LIMITS: Limits = {
    let mut limits = Limits::MQTT;
    limits.topic = 100;
    limits.payload = 90_000;
    limits.will_topic = 100;
    limits
};

/// What can be chosen. The default suits a box on its own network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    any_port: bool,
    answer_timeout: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl Settings {
    /// Port 1883 only; 20 s for an answer.
    #[must_use]
    pub const fn new() -> Self {
        Self { any_port: false, answer_timeout: 20 }
    }

    /// Allows ports other than 1883: for tests, and for tunnels to the box.
    #[must_use]
    pub const fn any_port(mut self, yes: bool) -> Self {
        self.any_port = yes;
        self
    }

    /// How long the broker may take to answer a packet, PINGREQ included, in
    /// seconds.
    #[must_use]
    pub const fn answer_timeout(mut self, seconds: u16) -> Self {
        self.answer_timeout = seconds;
        self
    }
}

/// A machine for one connection after another.
#[must_use]
pub const fn machine<const INBOX: usize>(settings: Settings) -> Machine<INBOX> {
    Machine::new(settings)
}

/// A client over the halves of a TCP connection.
pub const fn client<const INBOX: usize, R, W, C>(
    reader: R,
    writer: W,
    clock: C,
    settings: Settings,
) -> Client<R, W, C, Machine<INBOX>>
where
    R: embedded_io_async::Read,
    W: embedded_io_async::Write<Error = R::Error>,
    C: hayes::Clock,
{
    Client::new(reader, writer, clock, machine(settings))
}

/// What the general check does not know.
fn check(options: &ConnectOptions<'_>, settings: &Settings) -> Result<(), Error> {
    let port = options.port;
    if port != PORT && !settings.any_port {
        let problem = Problem::MustBe { only: PORT.into(), actual: port.into() };
        return Err(FieldError { field: Field::Port, problem }.into());
    }
    // A server may refuse it, and may forget it anyway (3.1.3.1).
    if options.client_id.as_str().is_empty() && !options.clean_session {
        return Err(FieldError { field: Field::ClientId, problem: Problem::Empty }.into());
    }
    Ok(())
}
