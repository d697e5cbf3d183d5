//! The async client: pumps a machine over an `embedded-io-async` reader and
//! writer, and does nothing else.

#![allow(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]

use core::{
    fmt,
    future::{Future, pending, poll_fn},
    mem,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use embedded_io_async::{Read, Write};

use crate::{
    clock::{Clock, Instant},
    fmt as log,
    machine::{File, FileKind, Machine, Operation, Verb},
    mqtt::{
        Assurance, Capabilities, ConnectOptions, Credential, Error, Event, Granted, Limits,
        LinkState, Network, Publish, QoS, Session, Status, Subscription, TopicFilter,
    },
    pump::{ClientError, EMPTY_READS, WRITE_PATIENCE_MS},
};

/// How much is read at once, in bytes.
const READ: usize = 64;
/// How much is written at once: what comes in meanwhile waits for it.
const WRITE: usize = 256;

/// MQTT through any modem.
///
/// All calls are for one caller at a time and work one operation after
/// another. Messages that come in meanwhile wait in the inbox. Every future may
/// be dropped at any await, as the client that implements it says.
///
/// Besides the errors named with each, every call can end with
/// [`ClientError::Transport`] or [`ClientError::Closed`], and every operation
/// with [`Error::Unresponsive`], [`Error::Restarted`] or [`Error::NoResult`].
#[allow(async_fn_in_trait, reason = "concrete types are handed out; no Send bound is promised")]
pub trait MqttClient {
    /// The transport's error.
    type Error: fmt::Debug;

    /// Finds the modem, unlocks the SIM, waits for the network, gets a bearer.
    /// Returns at once what is done already.
    ///
    /// # Errors
    /// [`Error::WrongModem`], [`Error::Pin`], [`Error::NotRegistered`],
    /// [`Error::Refused`]; [`Error::Unsupported`] if a setting must be chosen
    /// for this access point.
    async fn bring_up(&mut self, network: &Network<'_>) -> Result<(), ClientError<Self::Error>>;

    /// Connects to a broker, storing certificates first where they are
    /// missing. What is left of an earlier session is torn down. Says whether
    /// the broker had kept the session, where the modem passes that on.
    ///
    /// # Errors
    /// [`Error::Field`], [`Error::Unsupported`] and [`Error::TransportUsed`]
    /// before any byte was sent; [`Error::Refused`] with the modem's code.
    async fn connect(
        &mut self,
        options: &ConnectOptions<'_>,
    ) -> Result<Session, ClientError<Self::Error>>;

    /// Publishes a message and says what its success proves.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Field`] and [`Error::Unsupported`]
    /// before any byte was sent; [`Error::Refused`], [`Error::Lost`].
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
    /// [`Error::Refused`].
    async fn disconnect(&mut self) -> Result<(), ClientError<Self::Error>>;

    /// Waits for the next event and lends it until the next call.
    ///
    /// # Errors
    /// Of the transport only.
    async fn next_event(&mut self) -> Result<Event<'_>, ClientError<Self::Error>>;

    /// Asks the modem how it is doing. What it does not tell, or not before a
    /// bring-up, stays unknown; the vendor's package says which.
    ///
    /// # Errors
    /// [`Error::Unsupported`] by an AT modem's driver without the feature
    /// `status`; [`Error::WrongModem`].
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
///
/// **Dropped futures.** Every future here may be dropped at any await. The
/// machine then brings the command in flight to its end, by itself, during the
/// next call; if it may have taken effect, [`Event::Unknown`] says so. What a
/// dropped *read* had taken from the transport is the reader's affair: readers
/// that buffer (an interrupt-driven UART with a ring, a TTY, a socket) lose
/// nothing, a bare DMA transfer may.
///
/// The writer is flushed when nothing more is due, before a call returns. Where
/// that blocks until the last bit is out (a TTY's drain), give the client a
/// writer whose flush does not: nothing here needs it, but a writer that keeps
/// bytes back does.
pub struct Client<R, W, C, M> {
    reader: R,
    writer: W,
    clock: C,
    machine: M,
    /// Whether the machine was told that the transport is a new one.
    opened: bool,
    /// The writer may keep back what it took.
    unflushed: bool,
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
        let (opened, unflushed, buffer) = (false, false, [0; READ]);
        Self { reader, writer, clock, machine, opened, unflushed, buffer }
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
        self.run(Some(Operation::Store(&File { kind, content }))).await
    }

    /// Deletes a file from the modem.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub async fn delete(&mut self, name: &str) -> Result<(), ClientError<R::Error>> {
        self.run(Some(Operation::Delete(name))).await
    }

    /// Runs one operation to its end; without one, waits for an event. Carries
    /// bytes and time to and from the machine meanwhile.
    ///
    /// It is one future with one place to wait at: each more is paid for in
    /// flash, in memory and in stack.
    fn run(
        &mut self,
        operation: Option<Operation<'_>>,
    ) -> impl Future<Output = Result<(), ClientError<R::Error>>> {
        async move {
            if !mem::replace(&mut self.opened, true) {
                self.machine.opened();
            }
            let verb = operation.as_ref().map(Operation::verb);
            let mut lease = Lease::new(&mut self.machine, &mut self.unflushed, verb);
            if let Some(outcome) = lease.begin(operation.as_ref(), self.clock.now()) {
                return lease.end(outcome.map_err(ClientError::Modem));
            }
            loop {
                let arrived = {
                    let read = pin!(self.reader.read(&mut self.buffer));
                    let mut read = Reading { future: read, arrived: None };
                    loop {
                        let now = self.clock.now();
                        let patience = Some(now.after_millis(WRITE_PATIENCE_MS));
                        let (due, writes, until) =
                            match lease.machine.transmit(operation.as_ref(), now) {
                                Some(bytes) => {
                                    (Some(bytes.get(..WRITE).unwrap_or(bytes)), true, patience)
                                }
                                None if *lease.unflushed => (None, false, patience),
                                None => match lease.outcome() {
                                    Some(outcome) => {
                                        return lease.end(outcome.map_err(ClientError::Modem));
                                    }
                                    None => (None, false, lease.machine.deadline()),
                                },
                            };
                        let listens = !writes && !*lease.unflushed;
                        lease.unsure = due.map_or(0, <[u8]>::len);
                        let done = {
                            let writer = &mut self.writer;
                            let mut done = pin!(async move {
                                match due {
                                    Some(bytes) => writer.write(bytes).await,
                                    None if listens => pending().await,
                                    None => writer.flush().await.map(|()| 0),
                                }
                            });
                            let mut late = pin!(until.map(|at| self.clock.wait_until(at)));
                            let read = &mut read;
                            poll_fn(move |cx| {
                                if let Poll::Ready(done) = done.as_mut().poll(cx) {
                                    return Poll::Ready(Some(done));
                                }
                                if read.poll(cx) && listens {
                                    return Poll::Ready(None);
                                }
                                match late.as_mut().as_pin_mut() {
                                    Some(late) => late.poll(cx).map(|()| None),
                                    None => Poll::Pending,
                                }
                            })
                            .await
                        };
                        match lease.went(done, writes) {
                            Ok(true) if read.arrived.is_none() => {}
                            Ok(_) => break read.arrived,
                            Err(error) => return lease.end(Err(error)),
                        }
                    }
                };
                if let Err(error) = lease.take(arrived, &self.buffer, self.clock.now()) {
                    return lease.end(Err(error));
                }
            }
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
    /// Whether something has arrived.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.arrived.is_none() {
            if let Poll::Ready(arrived) = self.future.as_mut().poll(cx) {
                self.arrived = Some(arrived);
            }
        }
        self.arrived.is_some()
    }
}

/// The machine, lent to a call. It is told when that ends or is dropped.
struct Lease<'a, M: Machine> {
    machine: &'a mut M,
    /// What is asked for; nothing but to listen, without.
    verb: Option<Verb>,
    /// Bytes that a dropped write may or may not have sent.
    unsure: usize,
    unflushed: &'a mut bool,
    empty_reads: u8,
}

impl<'a, M: Machine> Lease<'a, M> {
    const fn new(machine: &'a mut M, unflushed: &'a mut bool, verb: Option<Verb>) -> Self {
        Self { machine, verb, unsure: 0, unflushed, empty_reads: 0 }
    }

    /// Begins; the outcome, if there is nothing to be waited for.
    fn begin(
        &mut self,
        operation: Option<&Operation<'_>>,
        now: Instant,
    ) -> Option<Result<(), Error>> {
        let Some(operation) = operation else { return self.outcome() };
        log::begun(operation.verb());
        self.machine.start(operation, now).err().map(Err)
    }

    /// What was waited for, once it is there.
    fn outcome(&mut self) -> Option<Result<(), Error>> {
        match self.verb {
            Some(_) => self.machine.outcome(),
            None => self.machine.has_event().then_some(Ok(())),
        }
    }

    /// A write or a flush is done, or time is up; whether it may go on so.
    fn went<E>(
        &mut self,
        done: Option<Result<usize, E>>,
        wrote: bool,
    ) -> Result<bool, ClientError<E>> {
        match done {
            Some(Ok(0)) if wrote => return Err(ClientError::Closed),
            Some(Ok(count)) => {
                self.unsure = 0;
                *self.unflushed = wrote;
                self.machine.sent(count);
            }
            Some(Err(error)) => return Err(ClientError::Transport(error)),
            None if !wrote && !*self.unflushed => {}
            // The write was dropped, so what it took is not known.
            None if self.verb.is_some() => return Err(Error::Unresponsive.into()),
            None => {
                *self.unflushed = false;
                self.machine.abandon(mem::take(&mut self.unsure));
            }
        }
        Ok(done.is_some())
    }

    /// Something was read into `buffer`, or time is up.
    fn take<E>(
        &mut self,
        arrived: Option<Result<usize, E>>,
        buffer: &[u8],
        now: Instant,
    ) -> Result<(), ClientError<E>> {
        let Some(read) = arrived else {
            self.machine.tick(now);
            return Ok(());
        };
        let count = read.map_err(ClientError::Transport)?;
        self.empty_reads = if count == 0 { self.empty_reads.saturating_add(1) } else { 0 };
        if self.empty_reads >= EMPTY_READS {
            return Err(ClientError::Closed);
        }
        self.machine.receive(buffer.get(..count).unwrap_or_default(), now);
        Ok(())
    }

    /// The call ends like this.
    fn end<E>(&mut self, outcome: Result<(), ClientError<E>>) -> Result<(), ClientError<E>> {
        if let Err(error @ (ClientError::Transport(_) | ClientError::Closed)) = &outcome {
            self.machine.closed();
            log::ended(error);
        }
        if let Some(verb) = self.verb {
            log::outcome(verb, &outcome);
        }
        outcome
    }
}

impl<M: Machine> Drop for Lease<'_, M> {
    fn drop(&mut self) {
        self.machine.abandon(self.unsure);
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

    fn bring_up(
        &mut self,
        network: &Network<'_>,
    ) -> impl Future<Output = Result<(), ClientError<R::Error>>> {
        self.run(Some(Operation::BringUp(network)))
    }

    fn connect(
        &mut self,
        options: &ConnectOptions<'_>,
    ) -> impl Future<Output = Result<Session, ClientError<R::Error>>> {
        async move {
            #[cfg(feature = "tls")]
            for (kind, content) in options.files() {
                self.store(kind, content).await?;
            }
            self.run(Some(Operation::Connect(options))).await?;
            Ok(self.machine.session())
        }
    }

    fn publish(
        &mut self,
        publish: &Publish<'_>,
    ) -> impl Future<Output = Result<Assurance, ClientError<R::Error>>> {
        async move {
            self.run(Some(Operation::Publish(publish))).await?;
            Ok(self.machine.assurance(publish.qos))
        }
    }

    fn subscribe_all(
        &mut self,
        filters: &[Subscription<'_>],
    ) -> impl Future<Output = Result<Granted, ClientError<R::Error>>> {
        async move {
            self.run(Some(Operation::Subscribe(filters))).await?;
            Ok(self.machine.granted())
        }
    }

    fn unsubscribe_all(
        &mut self,
        filters: &[TopicFilter<'_>],
    ) -> impl Future<Output = Result<(), ClientError<R::Error>>> {
        self.run(Some(Operation::Unsubscribe(filters)))
    }

    fn disconnect(&mut self) -> impl Future<Output = Result<(), ClientError<R::Error>>> {
        self.run(Some(Operation::Disconnect))
    }

    fn next_event(&mut self) -> impl Future<Output = Result<Event<'_>, ClientError<R::Error>>> {
        async move {
            self.run(None).await?;
            let event = self.machine.event().unwrap_or(Event::Missed(0));
            log::event(&event);
            Ok(event)
        }
    }

    fn status(&mut self) -> impl Future<Output = Result<Status, ClientError<R::Error>>> {
        async move {
            self.run(Some(Operation::Status)).await?;
            Ok(self.machine.status())
        }
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
