//! The blocking client: the same calls as the [async one](crate::Client) over
//! `embedded-io`, for a bare `loop {}` and for Linux without a runtime.
//!
//! It pumps the same machine and knows nothing else. While it waits it asks
//! the transport whether there is anything to read and calls
//! [`Clock::idle`], which may sleep until an interrupt, feed a watchdog, or do
//! nothing. Bytes that come in while it does not run wait in the transport:
//! give it a UART with a buffer.
//!
//! In a bare `loop {}` nothing needs to wait for events:
//!
//! ```no_run
//! use embedded_io::{Read, ReadReady, Write};
//! use hayes::{ClientError, Instant, blocking::{Client, Clock}, mqtt::*};
//!
//! // A counter that a timer interrupt counts up once a millisecond.
//! struct Ticks(&'static core::sync::atomic::AtomicU32);
//!
//! impl Clock for Ticks {
//!     fn now(&self) -> Instant {
//!         Instant::from_millis(self.0.load(core::sync::atomic::Ordering::Relaxed).into())
//!     }
//!     // fn idle(&self) { cortex_m::asm::wfi() }
//! }
//!
//! # fn read_button() -> bool { false }
//! # fn set_lamp(_: bool) {}
//! fn run<T: Read + ReadReady + Write>(uart: T, ticks: Ticks) -> Result<(), ClientError<T::Error>> {
//!     // 256 bytes for a line, 512 for messages that wait.
//!     let machine = hayes_simcom::machine::<256, 512>(Default::default());
//!     let mut modem = Client::new(uart, ticks, machine);
//!     modem.bring_up(&Network::new().apn("iot.example")?)?;
//!     modem.connect(&ConnectOptions::new("broker.example", 1883, "device-7")?)?;
//!     modem.subscribe("device-7/lamp", QoS::AtLeastOnce)?;
//!     loop {
//!         match modem.poll_event()? {
//!             Some(Event::Message(message)) => set_lamp(message.payload == b"on"),
//!             Some(Event::Lost { .. } | Event::Restarted) => return Ok(()), // connect again
//!             _ => {}
//!         }
//!         if read_button() {
//!             modem.publish(&Publish::new("device-7/button", b"")?)?;
//!         }
//!     }
//! }
//! ```

use core::{fmt, mem};

use embedded_io::{Read, ReadReady, Write};

use crate::{
    clock::Instant,
    fmt as log,
    machine::{File, FileKind, Machine, Operation},
    mqtt::{
        Assurance, Capabilities, ConnectOptions, Credential, Error, Event, Granted, Limits,
        LinkState, Network, Publish, QoS, Session, Status, Subscription, TopicFilter,
    },
    pump::{ClientError, EMPTY_READS},
};

/// How much is read at once, in bytes.
const READ: usize = 64;
/// How much is written between two looks at what has come in, in bytes.
const WRITE: usize = 64;

/// What a blocking client needs to know of time.
pub trait Clock {
    /// The present. Must not run backwards.
    fn now(&self) -> Instant;

    /// Called over and over while there is nothing to do. Must return soon
    /// after something was received, and within some milliseconds anyway.
    fn idle(&self) {}
}

#[cfg(feature = "embassy-time")]
impl Clock for crate::clock::Embassy {
    fn now(&self) -> Instant {
        crate::Clock::now(self)
    }
}

/// A client for one modem: its transport, a clock, and the machine of its
/// vendor.
pub struct Client<T, C, M> {
    transport: T,
    clock: C,
    machine: M,
    /// Whether the machine was told that the transport is a new one.
    opened: bool,
    empty_reads: u8,
    buffer: [u8; READ],
}

impl<T, C, M: fmt::Debug> fmt::Debug for Client<T, C, M> {
    /// Without what was read last: it may be the echo of a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl<T, C, M> Client<T, C, M>
where
    T: Read + ReadReady + Write,
    C: Clock,
    M: Machine,
{
    /// A client that has not said anything yet.
    pub const fn new(transport: T, clock: C, machine: M) -> Self {
        Self { transport, clock, machine, opened: false, empty_reads: 0, buffer: [0; READ] }
    }

    /// The machine, to see what it knows.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// As [`Client::replace_transport`](crate::Client::replace_transport).
    pub fn replace_transport(&mut self, transport: T) -> T {
        self.opened = false;
        self.empty_reads = 0;
        mem::replace(&mut self.transport, transport)
    }

    /// What the modem can do.
    pub fn capabilities(&self) -> Capabilities {
        self.machine.capabilities()
    }

    /// How much it can take.
    pub fn limits(&self) -> Limits {
        self.machine.limits()
    }

    /// The state of the connection.
    pub fn link(&self) -> LinkState {
        self.machine.link()
    }

    /// Chooses the session that the following calls are about, on modems with
    /// two; 0 unless chosen.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the modem has one only.
    pub fn select(&mut self, session: u8) -> Result<(), Error> {
        self.machine.select(session)
    }

    /// As [`MqttClient::bring_up`](crate::MqttClient::bring_up).
    ///
    /// # Errors
    /// The same.
    pub fn bring_up(&mut self, network: &Network<'_>) -> Result<(), ClientError<T::Error>> {
        self.run(&Operation::BringUp(network))
    }

    /// As [`MqttClient::connect`](crate::MqttClient::connect).
    ///
    /// # Errors
    /// The same.
    pub fn connect(
        &mut self,
        options: &ConnectOptions<'_>,
    ) -> Result<Session, ClientError<T::Error>> {
        if cfg!(feature = "tls") {
            for (kind, content) in options.files() {
                self.store(kind, content)?;
            }
        }
        self.run(&Operation::Connect(options))?;
        Ok(self.machine.session())
    }

    /// As [`MqttClient::publish`](crate::MqttClient::publish).
    ///
    /// # Errors
    /// The same.
    pub fn publish(&mut self, publish: &Publish<'_>) -> Result<Assurance, ClientError<T::Error>> {
        self.run(&Operation::Publish(publish))?;
        Ok(self.machine.assurance(publish.qos))
    }

    /// As [`MqttClient::subscribe`](crate::MqttClient::subscribe).
    ///
    /// # Errors
    /// The same.
    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> Result<Granted, ClientError<T::Error>> {
        self.subscribe_all(&[Subscription::new(filter, qos)?])
    }

    /// As [`MqttClient::subscribe_all`](crate::MqttClient::subscribe_all).
    ///
    /// # Errors
    /// The same.
    pub fn subscribe_all(
        &mut self,
        filters: &[Subscription<'_>],
    ) -> Result<Granted, ClientError<T::Error>> {
        self.run(&Operation::Subscribe(filters))?;
        Ok(self.machine.granted())
    }

    /// As [`MqttClient::unsubscribe`](crate::MqttClient::unsubscribe).
    ///
    /// # Errors
    /// The same.
    pub fn unsubscribe(&mut self, filter: &str) -> Result<(), ClientError<T::Error>> {
        self.unsubscribe_all(&[TopicFilter::new(filter)?])
    }

    /// As [`MqttClient::unsubscribe_all`](crate::MqttClient::unsubscribe_all).
    ///
    /// # Errors
    /// The same.
    pub fn unsubscribe_all(
        &mut self,
        filters: &[TopicFilter<'_>],
    ) -> Result<(), ClientError<T::Error>> {
        self.run(&Operation::Unsubscribe(filters))
    }

    /// As [`MqttClient::disconnect`](crate::MqttClient::disconnect).
    ///
    /// # Errors
    /// The same.
    pub fn disconnect(&mut self) -> Result<(), ClientError<T::Error>> {
        self.run(&Operation::Disconnect)
    }

    /// As [`MqttClient::status`](crate::MqttClient::status).
    ///
    /// # Errors
    /// The same.
    pub fn status(&mut self) -> Result<Status, ClientError<T::Error>> {
        self.run(&Operation::Status)?;
        Ok(self.machine.status())
    }

    /// Stores a certificate or a key on the modem, if it is not there.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::Field`], [`Error::Refused`].
    pub fn store(
        &mut self,
        kind: FileKind,
        content: Credential<'_>,
    ) -> Result<(), ClientError<T::Error>> {
        self.run(&Operation::Store(&File { kind, content }))
    }

    /// Deletes a file from the modem.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub fn delete(&mut self, name: &str) -> Result<(), ClientError<T::Error>> {
        self.run(&Operation::Delete(name))
    }

    /// Waits for the next event and lends it until the next call.
    ///
    /// # Errors
    /// Of the transport only.
    pub fn next_event(&mut self) -> Result<Event<'_>, ClientError<T::Error>> {
        self.open();
        while !self.machine.has_event() {
            self.turn(None)?;
        }
        let event = self.machine.event().unwrap_or(Event::Missed(0));
        log::event(&event);
        Ok(event)
    }

    /// Does what is due without waiting; the next event, if there is one. To be
    /// called over and over: it is also what keeps a connection alive, fetches
    /// messages, and ends what was begun.
    ///
    /// # Errors
    /// Of the transport only.
    pub fn poll_event(&mut self) -> Result<Option<Event<'_>>, ClientError<T::Error>> {
        self.open();
        while !self.machine.has_event() && self.carry(None)? {}
        Ok(self.machine.event().inspect(log::event))
    }

    /// Runs one operation to its end.
    fn run(&mut self, operation: &Operation<'_>) -> Result<(), ClientError<T::Error>> {
        self.open();
        let verb = operation.verb();
        log::begun(verb);
        let outcome = self.finish(operation);
        log::outcome(verb, &outcome);
        outcome
    }

    fn finish(&mut self, operation: &Operation<'_>) -> Result<(), ClientError<T::Error>> {
        self.machine.start(operation, self.clock.now())?;
        loop {
            if let Err(error) = self.turn(Some(operation)) {
                self.machine.abandon(0);
                return Err(error);
            }
            if let Some(outcome) = self.machine.outcome() {
                return outcome.map_err(ClientError::Modem);
            }
        }
    }

    /// Tells the machine of a new transport, once.
    fn open(&mut self) {
        if !self.opened {
            self.opened = true;
            self.machine.opened();
        }
    }

    /// One turn of the pump.
    fn turn(&mut self, operation: Option<&Operation<'_>>) -> Result<(), ClientError<T::Error>> {
        if !self.carry(operation)? {
            self.clock.idle();
        }
        Ok(())
    }

    /// Writes what is due, takes what has come in, tells the time; whether
    /// there may be more to do at once. Tells the machine if it was the last
    /// time.
    fn carry(&mut self, operation: Option<&Operation<'_>>) -> Result<bool, ClientError<T::Error>> {
        let done = self.try_carry(operation);
        if let Err(error) = &done {
            self.machine.closed();
            log::ended(error);
        }
        done
    }

    fn try_carry(
        &mut self,
        operation: Option<&Operation<'_>>,
    ) -> Result<bool, ClientError<T::Error>> {
        let mut wrote = false;
        while let Some(bytes) = self.machine.transmit(operation, self.clock.now()) {
            let bytes = bytes.get(..WRITE).unwrap_or(bytes);
            let count = self.transport.write(bytes).map_err(failed)?;
            if count == 0 {
                return Err(ClientError::Closed);
            }
            self.machine.sent(count);
            wrote = true;
            self.take()?;
        }
        if wrote {
            self.transport.flush().map_err(failed)?;
        }
        if self.take()? {
            return Ok(true);
        }
        let (now, deadline) = (self.clock.now(), self.machine.deadline());
        if deadline.is_some_and(|deadline| now >= deadline) {
            self.machine.tick(now);
        }
        Ok(wrote || self.machine.deadline() != deadline)
    }

    /// Takes what has come in; whether there was anything.
    fn take(&mut self) -> Result<bool, ClientError<T::Error>> {
        if !self.transport.read_ready().map_err(failed)? {
            return Ok(false);
        }
        let count = self.transport.read(&mut self.buffer).map_err(failed)?;
        if count == 0 {
            self.empty_reads = self.empty_reads.saturating_add(1);
            return if self.empty_reads < EMPTY_READS {
                Ok(false)
            } else {
                Err(ClientError::Closed)
            };
        }
        self.empty_reads = 0;
        let bytes = self.buffer.get(..count).unwrap_or_default();
        self.machine.receive(bytes, self.clock.now());
        Ok(true)
    }
}

fn failed<E>(error: E) -> ClientError<E> {
    ClientError::Transport(error)
}
