//! The async client: pumps a machine over an `embedded-io-async` reader and
//! writer, and does nothing else.
//!
//! **Dropped futures.** Every future here may be dropped at any await. The
//! machine then brings the command in flight to its end, by itself, during the
//! next call; if it may have taken effect, [`Event::Unknown`] says so. What a
//! dropped *read* had taken from the transport is the reader's affair: readers
//! that buffer (an interrupt-driven UART with a ring, a TTY, a socket) lose
//! nothing, a bare DMA transfer may.
//!
//! The writer is flushed when nothing more is due. Where that blocks until the
//! last bit is out (a TTY's drain), give the client a writer whose flush does
//! not: nothing here needs it, but a writer that keeps bytes back does.

use core::{
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    task::Poll,
};

use embedded_io_async::{Read, Write};

use crate::{
    clock::{Clock, Instant},
    fmt as log,
    machine::{File, FileKind, Machine, Operation},
    mqtt::{
        Assurance, Capabilities, ConnectOptions, Credential, Error, Event, FieldError, Granted,
        Limits, LinkState, Network, Publish, QoS, Session, Status, Subscription, TopicFilter,
    },
};

/// How much is read at once, in bytes.
const READ: usize = 64;
/// How much is written at once: what comes in meanwhile waits for it.
const WRITE: usize = 256;
/// Some UART drivers return an empty read now and then. So many in a row are
/// the end of the stream.
pub(crate) const EMPTY_READS: u8 = 3;

/// Why a call to a client failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError<E> {
    /// The transport failed.
    #[error("the transport failed: {0:?}")]
    Transport(E),
    /// The transport has ended.
    #[error("the transport was closed by the other side")]
    Closed,
    /// The modem, the network or the broker.
    #[error(transparent)]
    Modem(#[from] Error),
}

impl<E> From<FieldError> for ClientError<E> {
    fn from(error: FieldError) -> Self {
        Self::Modem(error.into())
    }
}

/// MQTT through any modem.
///
/// All calls are for one caller at a time and work one operation after
/// another. Messages that come in meanwhile wait in the inbox.
#[allow(async_fn_in_trait, reason = "concrete types are handed out; no Send bound is promised")]
pub trait MqttClient {
    /// The transport's error.
    type Error: fmt::Debug;

    /// Finds the modem, unlocks the SIM, waits for the network, gets a bearer.
    /// Returns at once what is done already.
    ///
    /// # Errors
    /// [`Error::Unresponsive`], [`Error::Pin`], [`Error::NotRegistered`],
    /// [`Error::Refused`].
    async fn bring_up(&mut self, network: &Network<'_>) -> Result<(), ClientError<Self::Error>>;

    /// Connects to a broker, storing certificates first where they are
    /// missing. What is left of an earlier session is torn down. Says whether
    /// the broker had kept the session, where the modem passes that on.
    ///
    /// # Errors
    /// [`Error::Field`] and [`Error::Unsupported`] before any byte was sent;
    /// [`Error::Refused`] with the modem's code.
    async fn connect(
        &mut self,
        options: &ConnectOptions<'_>,
    ) -> Result<Session, ClientError<Self::Error>>;

    /// Publishes a message and says what its success proves.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Field`] before any byte was sent.
    /// After [`Error::NoResult`] it is not known whether it was published.
    async fn publish(
        &mut self,
        publish: &Publish<'_>,
    ) -> Result<Assurance, ClientError<Self::Error>>;

    /// Subscribes to filters, each with its own QoS. Says what was granted,
    /// where the modem passes that on.
    ///
    /// # Errors
    /// As [`publish`](Self::publish). If one of several was refused, others
    /// may stand.
    async fn subscribe_all(
        &mut self,
        filters: &[Subscription<'_>],
    ) -> Result<Granted, ClientError<Self::Error>>;

    /// Unsubscribes from filters.
    ///
    /// # Errors
    /// As [`subscribe_all`](Self::subscribe_all).
    async fn unsubscribe_all(
        &mut self,
        filters: &[TopicFilter<'_>],
    ) -> Result<(), ClientError<Self::Error>>;

    /// Subscribes to one filter.
    ///
    /// # Errors
    /// As [`subscribe_all`](Self::subscribe_all), and [`Error::Field`] if
    /// `filter` is none.
    async fn subscribe(
        &mut self,
        filter: &str,
        qos: QoS,
    ) -> Result<Granted, ClientError<Self::Error>> {
        let filter = Subscription::new(filter, qos)?;
        self.subscribe_all(&[filter]).await
    }

    /// Unsubscribes from one filter.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    async fn unsubscribe(&mut self, filter: &str) -> Result<(), ClientError<Self::Error>> {
        let filter = TopicFilter::new(filter)?;
        self.unsubscribe_all(&[filter]).await
    }

    /// Disconnects from the broker. No will is published.
    ///
    /// # Errors
    /// [`Error::Unresponsive`], [`Error::NoResult`].
    async fn disconnect(&mut self) -> Result<(), ClientError<Self::Error>>;

    /// Waits for the next event and lends it until the next call.
    ///
    /// # Errors
    /// Of the transport only.
    async fn next_event(&mut self) -> Result<Event<'_>, ClientError<Self::Error>>;

    /// Asks the modem how it is doing.
    ///
    /// # Errors
    /// [`Error::Unresponsive`], [`Error::NoResult`].
    async fn status(&mut self) -> Result<Status, ClientError<Self::Error>>;

    /// What this modem can do.
    fn capabilities(&self) -> Capabilities;

    /// The greatest sizes it takes, as far as is known by now.
    fn limits(&self) -> Limits;

    /// The state of the connection.
    fn link(&self) -> LinkState;
}

/// A client for one modem: reader and writer halves of its transport, a
/// clock, and the machine of its vendor.
pub struct Client<R, W, C, M> {
    reader: R,
    writer: W,
    clock: C,
    machine: M,
    /// Whether the machine was told that the transport is a new one.
    opened: bool,
    buffer: [u8; READ],
}

impl<R, W, C, M: fmt::Debug> fmt::Debug for Client<R, W, C, M> {
    /// Without what was read last: it may be the echo of a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl<R, W, C, M> Client<R, W, C, M>
where
    R: Read,
    W: Write<Error = R::Error>,
    C: Clock,
    M: Machine,
{
    /// A client that has not said anything yet.
    pub const fn new(reader: R, writer: W, clock: C, machine: M) -> Self {
        Self { reader, writer, clock, machine, opened: false, buffer: [0; READ] }
    }

    /// The machine, to see what it knows.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// Goes on with another transport: a port that was opened again, a new
    /// connection. What the machine knows stays; returns the old halves.
    pub fn replace_transport(&mut self, reader: R, writer: W) -> (R, W) {
        self.opened = false;
        (mem::replace(&mut self.reader, reader), mem::replace(&mut self.writer, writer))
    }

    /// Chooses the session that the following calls are about, on modems with
    /// two; 0 unless chosen.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the modem has one only.
    pub fn select(&mut self, session: u8) -> Result<(), Error> {
        self.machine.select(session)
    }

    /// Stores a certificate or a key on the modem, if it is not there.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::Field`], [`Error::Refused`].
    pub async fn store(
        &mut self,
        kind: FileKind,
        content: Credential<'_>,
    ) -> Result<(), ClientError<R::Error>> {
        self.run(&Operation::Store(File { kind, content })).await
    }

    /// Deletes a file from the modem.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub async fn delete(&mut self, name: &str) -> Result<(), ClientError<R::Error>> {
        self.run(&Operation::Delete(name)).await
    }

    /// Runs one operation to its end.
    async fn run(&mut self, operation: &Operation<'_>) -> Result<(), ClientError<R::Error>> {
        self.open();
        let verb = operation.verb();
        log::begun(verb);
        let outcome = match self.machine.start(operation, self.clock.now()) {
            Ok(()) => self.pump(Some(operation)).await,
            Err(error) => Err(error.into()),
        };
        log::outcome(verb, &outcome);
        outcome
    }

    /// Tells the machine of a new transport, once.
    fn open(&mut self) {
        if !self.opened {
            self.opened = true;
            self.machine.opened();
        }
    }

    /// Carries bytes and time to and from the machine until the operation has
    /// its outcome; without an operation, until there is an event.
    async fn pump(
        &mut self,
        operation: Option<&Operation<'_>>,
    ) -> Result<(), ClientError<R::Error>> {
        let Self { reader, writer, clock, machine, buffer, .. } = self;
        let mut lease = Lease { machine, unsure: 0, held: true };
        let done = carry(&mut lease, operation, reader, writer, clock, buffer).await;
        match done {
            Ok(outcome) => {
                lease.held = false;
                outcome.map_err(ClientError::Modem)
            }
            Err(error) => {
                if !matches!(error, ClientError::Modem(_)) {
                    lease.machine.closed();
                    log::ended(&error);
                }
                Err(error)
            }
        }
    }
}

/// The outcome, unless the transport fails before.
async fn carry<M: Machine, C: Clock, R: Read, W: Write<Error = R::Error>>(
    lease: &mut Lease<'_, M>,
    operation: Option<&Operation<'_>>,
    reader: &mut R,
    writer: &mut W,
    clock: &C,
    buffer: &mut [u8; READ],
) -> Result<Result<(), Error>, ClientError<R::Error>> {
    let mut empty_reads = 0_u8;
    loop {
        let arrived = {
            let mut read = Reading { future: pin!(reader.read(buffer)), arrived: None };
            let wrote = write_all(lease, operation, &mut read, writer, clock).await?;
            if read.arrived.is_none() {
                let outcome = match operation {
                    Some(_) => lease.machine.outcome(),
                    None => lease.machine.has_event().then_some(Ok(())),
                };
                if let Some(outcome) = outcome {
                    return Ok(outcome);
                }
            }
            if wrote && read.arrived.is_none() {
                let flush = read.alongside(writer.flush(), clock, None).await;
                flush.unwrap_or(Ok(())).map_err(ClientError::Transport)?;
            }
            read.finish(clock, lease.machine.deadline()).await
        };
        let now = clock.now();
        match arrived {
            None => lease.machine.tick(now),
            Some(Err(error)) => return Err(ClientError::Transport(error)),
            Some(Ok(0)) => {
                empty_reads = empty_reads.saturating_add(1);
                if empty_reads >= EMPTY_READS {
                    return Err(ClientError::Closed);
                }
            }
            Some(Ok(count)) => {
                empty_reads = 0;
                lease.machine.receive(buffer.get(..count).unwrap_or_default(), now);
            }
        }
    }
}

/// Writes out all that is due, while the read goes on; whether there was any.
async fn write_all<M: Machine, C: Clock, W: Write, F: Future<Output = Result<usize, W::Error>>>(
    lease: &mut Lease<'_, M>,
    operation: Option<&Operation<'_>>,
    read: &mut Reading<'_, F>,
    writer: &mut W,
    clock: &C,
) -> Result<bool, ClientError<W::Error>> {
    let mut wrote = false;
    while read.arrived.is_none() {
        let Lease { machine, unsure, .. } = lease;
        let Some(bytes) = machine.transmit(operation, clock.now()) else { break };
        let bytes = bytes.get(..WRITE).unwrap_or(bytes);
        *unsure = bytes.len();
        let written = read.alongside(writer.write(bytes), clock, Some(WRITE_PATIENCE_MS)).await;
        match written {
            Some(Ok(0)) => return Err(ClientError::Closed),
            Some(Ok(count)) => {
                *unsure = 0;
                machine.sent(count);
                wrote = true;
            }
            Some(Err(error)) => return Err(ClientError::Transport(error)),
            // The write was dropped, so what it took is not known.
            None if operation.is_some() => return Err(Error::Unresponsive.into()),
            None => {
                machine.abandon(core::mem::take(unsure));
                break;
            }
        }
    }
    Ok(wrote)
}

/// How long the transport may refuse to take bytes, in milliseconds.
pub(crate) const WRITE_PATIENCE_MS: u32 = 10_000;

/// The machine, lent to a future. Dropped while held, it is told so.
struct Lease<'a, M: Machine> {
    machine: &'a mut M,
    /// Bytes that a dropped write may or may not have sent.
    unsure: usize,
    held: bool,
}

impl<M: Machine> Drop for Lease<'_, M> {
    fn drop(&mut self) {
        if self.held {
            self.machine.abandon(self.unsure);
        }
    }
}

/// A read that goes on while other things are waited for, so that it is not
/// dropped for their sake.
struct Reading<'a, F: Future> {
    future: Pin<&'a mut F>,
    arrived: Option<F::Output>,
}

impl<F: Future> Reading<'_, F> {
    /// Waits for `other`, at most `patience_ms`.
    async fn alongside<T>(
        &mut self,
        other: impl Future<Output = T>,
        clock: &impl Clock,
        patience_ms: Option<u32>,
    ) -> Option<T> {
        let mut other = pin!(other);
        let mut late = pin!(wait(clock, patience_ms.map(|ms| clock.now().after_millis(ms))));
        poll_fn(|cx| {
            if let Poll::Ready(output) = other.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if self.arrived.is_none() {
                if let Poll::Ready(arrived) = self.future.as_mut().poll(cx) {
                    self.arrived = Some(arrived);
                }
            }
            late.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    /// Waits for the read until `deadline`.
    async fn finish(mut self, clock: &impl Clock, deadline: Option<Instant>) -> Option<F::Output> {
        if let Some(arrived) = self.arrived.take() {
            return Some(arrived);
        }
        let mut late = pin!(wait(clock, deadline));
        poll_fn(|cx| {
            if let Poll::Ready(arrived) = self.future.as_mut().poll(cx) {
                return Poll::Ready(Some(arrived));
            }
            late.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

/// Waits until `at`, for ever if there is none.
pub(crate) async fn wait(clock: &impl Clock, at: Option<Instant>) {
    match at {
        Some(at) => clock.wait_until(at).await,
        None => core::future::pending().await,
    }
}

impl<R, W, C, M> MqttClient for Client<R, W, C, M>
where
    R: Read,
    W: Write<Error = R::Error>,
    C: Clock,
    M: Machine,
{
    type Error = R::Error;

    async fn bring_up(&mut self, network: &Network<'_>) -> Result<(), ClientError<R::Error>> {
        self.run(&Operation::BringUp(network)).await
    }

    async fn connect(
        &mut self,
        options: &ConnectOptions<'_>,
    ) -> Result<Session, ClientError<R::Error>> {
        if cfg!(feature = "tls") {
            for (kind, content) in options.files() {
                self.store(kind, content).await?;
            }
        }
        self.run(&Operation::Connect(options)).await?;
        Ok(self.machine.session())
    }

    async fn publish(&mut self, publish: &Publish<'_>) -> Result<Assurance, ClientError<R::Error>> {
        self.run(&Operation::Publish(publish)).await?;
        Ok(self.machine.assurance(publish.qos))
    }

    async fn subscribe_all(
        &mut self,
        filters: &[Subscription<'_>],
    ) -> Result<Granted, ClientError<R::Error>> {
        self.run(&Operation::Subscribe(filters)).await?;
        Ok(self.machine.granted())
    }

    async fn unsubscribe_all(
        &mut self,
        filters: &[TopicFilter<'_>],
    ) -> Result<(), ClientError<R::Error>> {
        self.run(&Operation::Unsubscribe(filters)).await
    }

    async fn disconnect(&mut self) -> Result<(), ClientError<R::Error>> {
        self.run(&Operation::Disconnect).await
    }

    async fn next_event(&mut self) -> Result<Event<'_>, ClientError<R::Error>> {
        self.open();
        if !self.machine.has_event() {
            self.pump(None).await?;
        }
        let event = self.machine.event().unwrap_or(Event::Missed(0));
        log::event(&event);
        Ok(event)
    }

    async fn status(&mut self) -> Result<Status, ClientError<R::Error>> {
        self.run(&Operation::Status).await?;
        Ok(self.machine.status())
    }

    fn capabilities(&self) -> Capabilities {
        self.machine.capabilities()
    }

    fn limits(&self) -> Limits {
        self.machine.limits()
    }

    fn link(&self) -> LinkState {
        self.machine.link()
    }
}
