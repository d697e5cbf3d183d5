//! A modem at work for one command: opened, brought up, connected, and left
//! disconnected whatever happens. The commands say what they want of it;
//! which vendor it is they leave to the [`Vendor`].

use std::fmt::Display;
use std::io::{self, stderr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use hayes::clock::Tokio;
use hayes::mqtt::{
    Assurance, ConnectOptions, Event, LinkState, Message, Network, Publish, Status, Subscription,
};
use hayes::{Client, ClientError, Machine, MqttClient};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use crate::args::{ConnectionArgs, ModemArgs, NetworkArgs};
use crate::device::{Device, Tap};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::transcript::{Transcript, readable};
use crate::vendor::{AnyMachine, BrokerAt, Setup, Vendor};

/// A driver over a device.
pub type Modem = Client<FromTokio<ReadHalf<Tap>>, FromTokio<WriteHalf<Tap>>, Tokio, AnyMachine>;

/// A driver for a modem of `vendor` over `tap`.
pub fn modem(vendor: Vendor, setup: &Setup, tap: Tap) -> Modem {
    let (reader, writer) = tokio::io::split(tap);
    let machine = (vendor.row().machine)(setup);
    Client::new(FromTokio::new(reader), FromTokio::new(writer), Tokio::new(), machine)
}

/// So long a disconnect may take, before the modem is left as it is.
const PARTING: Duration = Duration::from_secs(20);
/// So long the end of something that was interrupted may take.
const CLEARING: Duration = Duration::from_secs(2);

/// Brings the modem up and connects it, does `work`, and disconnects: also
/// when the work fails, and when a signal ends it.
pub async fn with_broker(
    modem: &ModemArgs,
    network: &NetworkArgs,
    connection: &ConnectionArgs,
    work: impl AsyncFnOnce(&mut Session) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let bearer = network.network()?;
    let files = connection.files()?;
    let id = connection.client_id();
    let (host, port) = connection.broker(modem)?;
    let options = connection.options(&host, port, &id, &files)?;
    let broker = match modem.modem.row().broker {
        BrokerAt::Cloud => "the satellite network".to_owned(),
        BrokerAt::Asked | BrokerAt::Device => format!("{host}:{port}"),
    };

    let mut signals = Signals::listen().map_err(|e| Failure::new("listening to signals", e))?;
    let setup = Setup { any_port: connection.any_port, ..network.setup() };
    let mut session = Session::open(modem, &setup).await?;
    let files = session.progress("bytes of certificates", files.size());
    let patience = Duration::from_secs(network.timeout.into());
    let all = async {
        let sent = Arc::clone(&session.sent);
        let online = session.go_online(&bearer, &options, &broker);
        match timeout(patience, files.of(&sent, online)).await {
            Ok(done) => done?,
            Err(_) => return Err(session.late(patience, &broker)),
        }
        work(&mut session).await
    };
    let done = tokio::select! {
        done = all => done,
        () = signals.next() => Err(Failure::Interrupted),
    };
    let parted = tokio::select! {
        parted = session.part() => parted,
        () = signals.next() => Err(Failure::Interrupted),
    };
    done.and(parted)
}

/// A modem that a command works with.
pub struct Session {
    modem: Modem,
    vendor: Vendor,
    device: Device,
    verbose: bool,
    quiet: bool,
    sent: Arc<AtomicU64>,
    up: bool,
    broken: bool,
}

impl Session {
    /// Opens the device.
    pub async fn open(args: &ModemArgs, setup: &Setup) -> Result<Self, Failure> {
        let device = args.device.clone();
        let stream = device.open(args.modem.row().baud).await?;
        let view = args.modem.row().view;
        let transcript = || Arc::new(Mutex::new(Transcript::new(view(), Box::new(stderr()))));
        let transcript = args.dialogue.then(transcript);
        let tap = Tap::new(stream, transcript);
        let sent = tap.sent();
        let modem = modem(args.modem, setup, tap);
        let quiet = args.verbose || args.dialogue;
        let verbose = args.verbose;
        let (vendor, up, broken) = (args.modem, false, false);
        Ok(Self { modem, vendor, device, verbose, quiet, sent, up, broken })
    }

    /// Brings the modem up and connects it.
    async fn go_online(
        &mut self,
        network: &Network<'_>,
        options: &ConnectOptions<'_>,
        broker: &str,
    ) -> Result<(), Failure> {
        let device = self.device.clone();
        self.log(format_args!("bringing up the modem on {device}"));
        let done = self.modem.bring_up(network).await;
        self.check(format_args!("bringing up the modem on {device}"), done)?;
        self.up = true;
        self.log(format_args!("connecting to {broker}"));
        let done = self.modem.connect(options).await;
        self.check(format_args!("connecting to {broker}"), done)?;
        self.log("connected");
        Ok(())
    }

    /// It was not connected in time.
    fn late(&self, patience: Duration, broker: &str) -> Failure {
        let cause = format!("not done after {patience:?}; ");
        if self.up {
            let cause = cause + "wait longer with --timeout";
            return Failure::new(format_args!("connecting to {broker}"), cause);
        }
        let cause = cause + "check power, wiring and baud rate, or wait longer with --timeout";
        Failure::new(format_args!("bringing up the modem on {}", self.device), cause)
    }

    /// Publishes, and says what that proves.
    pub async fn publish(&mut self, message: &Publish<'_>) -> Result<Assurance, Failure> {
        let topic = readable(message.topic.as_str().as_bytes());
        let progress = self.progress("bytes", message.payload.len());
        let sent = Arc::clone(&self.sent);
        let done = progress.of(&sent, self.modem.publish(message)).await;
        let assurance = self.check(format_args!("publishing to {topic}"), done)?;
        let size = message.payload.len();
        self.log(format_args!("published {size} bytes to {topic}: {assurance:?}"));
        Ok(assurance)
    }

    /// Subscribes to all of these.
    pub async fn subscribe(&mut self, filters: &[Subscription<'_>]) -> Result<(), Failure> {
        let name = |one: &Subscription<'_>| readable(one.filter.as_str().as_bytes());
        let names: Vec<_> = filters.iter().map(name).collect();
        let names = names.join(", ");
        let done = self.modem.subscribe_all(filters).await;
        self.check(format_args!("subscribing to {names}"), done)?;
        self.log(format_args!("subscribed to {names}"));
        Ok(())
    }

    /// Waits for one event: hands a message to `take`, tells what was lost,
    /// and fails when the connection is gone.
    pub async fn event(
        &mut self,
        take: impl FnOnce(&Message<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        const WAITING: &str = "waiting for messages";
        let event = match self.modem.next_event().await {
            Ok(event) => event,
            Err(error) => {
                self.broken = true;
                return Err(Failure::of_client(WAITING, self.vendor, error));
            }
        };
        let warn = |what: String| eprintln!("hayes: {what}");
        match event {
            Event::Message(message) => take(&message)?,
            Event::Lost { loss, .. } => {
                let cause = format!("the connection was lost: {loss}");
                return Err(Failure::new(WAITING, cause));
            }
            Event::Restarted => return Err(Failure::new(WAITING, "the modem restarted")),
            Event::NetworkLost => warn("the modem lost its network".to_owned()),
            Event::Dropped(dropped) => {
                let topic = dropped.topic.map(String::from_utf8_lossy).unwrap_or_default();
                let (count, bytes) = (dropped.count, dropped.bytes);
                warn(format!("{count} messages of {bytes} bytes did not arrive whole {topic}"));
            }
            Event::Undelivered(reason) => {
                let reason = String::from_utf8_lossy(reason);
                warn(format!("a message that was handed over will not be delivered: {reason}"));
            }
            Event::Missed(count) => warn(format!("{count} events found no room or were too long")),
            Event::Urc(line) if self.verbose => warn(line.escape_ascii().to_string()),
            _ => {}
        }
        Ok(())
    }

    /// Asks the modem how it is doing.
    pub async fn status(&mut self) -> Result<Status, Failure> {
        let done = self.modem.status().await;
        self.check(format_args!("asking the modem on {}", self.device.clone()), done)
    }

    /// What the modem can do, and how much.
    pub fn modem(&self) -> &Modem {
        &self.modem
    }

    /// A line on the terminal for work of so many bytes.
    fn progress(&self, what: &'static str, total: usize) -> Progress {
        Progress::new(what, Some(total as u64), !self.quiet && total > 0)
    }

    /// The same for work whose end is not known.
    pub fn open_progress(&self, what: &'static str) -> Progress {
        Progress::new(what, None, !self.quiet)
    }

    /// Disconnects. Where there is no connection, what a signal interrupted is
    /// brought to its end: the modem may wait for the rest of some data.
    async fn part(&mut self) -> Result<(), Failure> {
        let connected = self.modem.link() != LinkState::Idle;
        if self.broken || (!connected && self.modem.machine().is_idle()) {
            return Ok(());
        }
        if !connected {
            let _ = timeout(CLEARING, self.modem.status()).await;
            return Ok(());
        }
        self.log("disconnecting");
        match timeout(PARTING, self.modem.disconnect()).await {
            Ok(done) => self.check("disconnecting", done),
            Err(_) => Err(Failure::new("disconnecting", "the modem does not come to an end")),
        }
    }

    fn log(&self, what: impl Display) {
        if self.verbose {
            eprintln!("hayes: {what}");
        }
    }

    fn check<T>(
        &mut self,
        doing: impl Display,
        done: Result<T, ClientError<io::Error>>,
    ) -> Result<T, Failure> {
        done.map_err(|error| {
            self.broken = !matches!(error, ClientError::Modem(_));
            Failure::of_client(doing, self.vendor, error)
        })
    }
}
