//! One modem for several tasks: a [`Client`] that any task may have a copy of,
//! the [`Events`] for one of them, and a [`Runner`] that owns the transport.
//!
//! Take it instead of the [plain client](crate::Client) when several tasks
//! publish, when one publishes while another receives, or when the reader
//! loses what a dropped read had taken (a bare DMA transfer): the runner never
//! drops a read. What it costs is below the table of the
//! [crate's page](crate#which-client) and in the README.
//!
//! ```no_run
//! use hayes::{mqtt::*, shared::{Failure, Shared, raw::NoopRawMutex}};
//! # use embedded_io_async::{Read, Write};
//! # async fn both<A, B>(_: A, _: B) {}
//!
//! # async fn example<R, W>(rx: R, tx: W, clock: impl hayes::Clock) -> Result<(), Failure>
//! # where R: Read, W: Write<Error = R::Error> {
//! let machine = hayes_simcom::machine::<256, 1024>(Default::default());
//! // In a `StaticCell`, or leaked, where tasks must be `'static`.
//! let mut shared = Shared::<NoopRawMutex, _, _>::new(clock, machine);
//! let (client, mut events, mut runner) = shared.split(rx, tx);
//!
//! let work = async {
//!     client.bring_up(&Network::new().apn("iot.example")?).await?;
//!     client.connect(&ConnectOptions::new("broker.example", 1883, "device-7")?).await?;
//!     client.subscribe("device-7/cmd", QoS::AtLeastOnce).await?;
//!     let mut buffer = [0; 256];
//!     while let Event::Message(message) = events.next(&mut buffer).await? {
//!         client.publish(&Publish::new("device-7/echo", message.payload)?).await?;
//!     }
//!     Ok::<_, Failure>(())
//! };
//! // Each in a task of its own, or joined in one.
//! both(runner.run(), work).await;
//! # Ok(())
//! # }
//! ```
//!
//! **Which mutex.** [`raw::NoopRawMutex`] if all tasks run on one executor; it
//! costs nothing. [`raw::CriticalSectionRawMutex`] for tasks on several
//! threads, cores or interrupt priorities: interrupts are off while up to 64
//! bytes are read by the machine or a message is copied. On a host that needs
//! `critical-section` with its feature `std`.
//!
//! **Dropped futures.** Any may be dropped at any await. What a dropped call
//! has begun the runner brings to its end, at once and not with the next call;
//! [`Event::Unknown`] tells of it. Only [`Runner::run`] is meant to be kept:
//! dropping it is the end of the transport.
//!
//! **How.** The machine is behind the mutex. The operation is lent to it by
//! the caller's own future, which is polled when something has changed and
//! moves what is due into a buffer of 64 bytes; the runner writes that out.
//! So a payload is copied once on its way, and the runner holds nothing of a
//! caller that may be gone. While no operation is lent the runner itself asks
//! the machine for what is due: acknowledgements, fetches, what a dropped
//! operation left.

use core::{
    cell::RefCell,
    future::{Future, poll_fn},
    mem,
    pin::pin,
    task::{Context, Poll, Waker},
};

pub use embassy_sync::blocking_mutex::raw;

use embassy_sync::{blocking_mutex::Mutex, waitqueue::WakerRegistration};
use embedded_io_async::{Error as _, ErrorKind, Read, Write};
use heapless::Vec;

use crate::{
    clock::{Clock, Instant},
    fmt,
    machine::{File, FileKind, Machine, Operation},
    mqtt::{
        Assurance, Capabilities, ConnectOptions, Credential, Dropped, Error, Event, Granted,
        Limits, LinkState, Message, Network, Publish, QoS, Session, Status, Subscription,
        TopicFilter,
    },
    pump::{ClientError, EMPTY_READS, WRITE_PATIENCE_MS},
};

/// How much is read at once, and written at once, in bytes.
const CHUNK: usize = 64;
/// So many calls wait in a queue.
const QUEUE: usize = 8;
/// How often a call that found the queue full looks for a place, in
/// milliseconds.
const NO_PLACE_MS: u32 = 10;

/// Why a call of a [`Client`] failed: as with the plain client, but of the
/// transport's error only its kind. The whole of it is what [`Runner::run`]
/// returns.
pub type Failure = ClientError<ErrorKind>;

/// What [`Shared::split`] gives.
pub type Parts<'a, L, C, M, R, W> =
    (Client<'a, L, C, M>, Events<'a, L, C, M>, Runner<'a, L, C, M, R, W>);

/// What client, events and runner share: the machine of the modem's vendor
/// and a clock.
pub struct Shared<L: raw::RawMutex, C, M> {
    clock: C,
    state: Mutex<L, RefCell<State<M>>>,
}

impl<L: raw::RawMutex, C: Clock, M: Machine> Shared<L, C, M> {
    /// A modem of which nothing is known yet, and no transport.
    pub const fn new(clock: C, machine: M) -> Self {
        Self { clock, state: Mutex::new(RefCell::new(State::new(machine))) }
    }

    /// The three parts, over the halves of a transport.
    ///
    /// Nothing happens until [`Runner::run`] is polled; calls wait for that.
    pub fn split<R, W>(&mut self, reader: R, writer: W) -> Parts<'_, L, C, M, R, W>
    where
        R: Read,
        W: Write<Error = R::Error>,
    {
        let shared = &*self;
        // Parts of an earlier split may have been forgotten instead of dropped.
        shared.lock_or((), |state| {
            state.withdraw();
            state.queue = Queue::new();
            state.transport = Transport::Missing;
        });
        (Client { shared, session: 0 }, Events { shared }, Runner { shared, reader, writer })
    }

    /// Nothing foreign runs under the lock, so it is never entered twice; if
    /// it were, `otherwise` is the answer.
    fn lock_or<T>(&self, otherwise: T, look: impl FnOnce(&mut State<M>) -> T) -> T {
        self.state.lock(|cell| match cell.try_borrow_mut() {
            Ok(mut state) => look(&mut state),
            Err(_) => otherwise,
        })
    }

    /// Waits in the queue until it is this call's turn.
    async fn turn(&self) -> Turn<'_, L, C, M> {
        let mut turn = Turn { shared: self, ticket: None };
        loop {
            let ticket = &mut turn.ticket;
            let place = poll_fn(|cx| {
                self.lock_or(Poll::Pending, |state| state.queue.poll(ticket, cx.waker()))
            });
            if place.await.is_ok() {
                return turn;
            }
            self.clock.wait_until(self.clock.now().after_millis(NO_PLACE_MS)).await;
        }
    }

    /// Runs one operation to its end; `read` sees the machine as it is then.
    async fn run<T>(
        &self,
        session: u8,
        operation: &Operation<'_>,
        read: impl Fn(&M) -> T,
    ) -> Result<T, Failure> {
        // Held to the end: dropped, it takes the operation back.
        let _turn = self.turn().await;
        let verb = operation.verb();
        fmt::begun(verb);
        let outcome = self.carry(session, operation, read).await;
        fmt::outcome(verb, &outcome);
        outcome
    }

    async fn carry<T>(
        &self,
        session: u8,
        operation: &Operation<'_>,
        read: impl Fn(&M) -> T,
    ) -> Result<T, Failure> {
        let begun = poll_fn(|cx| {
            let now = self.clock.now();
            self.lock_or(Poll::Pending, |state| state.start(session, operation, now, cx))
        });
        begun.await?;
        poll_fn(|cx| {
            let now = self.clock.now();
            self.lock_or(Poll::Pending, |state| state.advance(operation, &read, now, cx))
        })
        .await
    }
}

/// A place in the queue, then the right to run one operation. Dropped, it
/// lets the next one in, and takes back what is lent.
struct Turn<'a, L: raw::RawMutex, C: Clock, M: Machine> {
    shared: &'a Shared<L, C, M>,
    ticket: Option<u32>,
}

impl<L: raw::RawMutex, C: Clock, M: Machine> Drop for Turn<'_, L, C, M> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        self.shared.lock_or((), |state| {
            if state.queue.is_served(ticket) {
                state.withdraw();
            }
            state.queue.leave(ticket);
        });
    }
}

/// Who waits for a turn, in the order of coming.
///
/// `embassy-sync` has no such thing that would do here: the waiters of its
/// `Mutex` wake each other in a circle as soon as there are two, and the next
/// one behind a dropped waiter of its `FairSemaphore` may sleep for ever.
struct Queue {
    waiting: Vec<(u32, Waker), QUEUE>,
    served: Option<u32>,
    last: u32,
}

/// The queue has no place.
struct Full;

impl Queue {
    const fn new() -> Self {
        Self { waiting: Vec::new(), served: None, last: 0 }
    }

    fn poll(&mut self, ticket: &mut Option<u32>, waker: &Waker) -> Poll<Result<(), Full>> {
        let first = self.waiting.first().map(|(first, _)| *first);
        if self.served.is_none() && first == *ticket {
            let served = ticket.unwrap_or_else(|| self.number());
            self.waiting.retain(|(one, _)| *one != served);
            self.served = Some(served);
            *ticket = Some(served);
            return Poll::Ready(Ok(()));
        }
        if let Some((_, known)) = self.waiting.iter_mut().find(|(one, _)| Some(*one) == *ticket) {
            known.clone_from(waker);
            return Poll::Pending;
        }
        let number = self.number();
        if self.waiting.push((number, waker.clone())).is_err() {
            return Poll::Ready(Err(Full));
        }
        *ticket = Some(number);
        Poll::Pending
    }

    fn number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    fn is_served(&self, ticket: u32) -> bool {
        self.served == Some(ticket)
    }

    fn leave(&mut self, ticket: u32) {
        self.waiting.retain(|(one, _)| *one != ticket);
        if self.is_served(ticket) {
            self.served = None;
        }
        if let (None, Some((_, first))) = (self.served, self.waiting.first()) {
            first.wake_by_ref();
        }
    }
}

/// What is known of the transport.
#[derive(Clone, Copy)]
enum Transport {
    /// The runner has not run yet.
    Missing,
    Open,
    /// It takes no bytes.
    Stuck,
    Ended(Failure),
}

impl Transport {
    /// Why a call cannot go on.
    fn failure(self) -> Option<Failure> {
        match self {
            Self::Missing | Self::Open => None,
            Self::Stuck => Some(Error::Unresponsive.into()),
            Self::Ended(failure) => Some(failure),
        }
    }
}

/// What is behind the mutex.
struct State<M> {
    machine: M,
    queue: Queue,
    /// Bytes for the modem that the runner has not taken yet; to the machine
    /// they are sent.
    out: Vec<u8, CHUNK>,
    /// The runner writes or flushes what it has taken.
    writing: bool,
    /// Whoever has the turn lends its operation.
    lent: bool,
    /// The session of the operation at hand.
    session: u8,
    /// The deadline that the runner waits for.
    awaited: Option<Instant>,
    transport: Transport,
    operation: WakerRegistration,
    events: WakerRegistration,
    runner: WakerRegistration,
}

impl<M> State<M> {
    const fn new(machine: M) -> Self {
        Self {
            machine,
            queue: Queue::new(),
            out: Vec::new(),
            writing: false,
            lent: false,
            session: 0,
            awaited: None,
            transport: Transport::Missing,
            operation: WakerRegistration::new(),
            events: WakerRegistration::new(),
            runner: WakerRegistration::new(),
        }
    }
}

impl<M: Machine> State<M> {
    // ---- operations ----------------------------------------------------

    fn start(
        &mut self,
        session: u8,
        operation: &Operation<'_>,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        if let Some(failure) = self.transport.failure() {
            return Poll::Ready(Err(failure));
        }
        if let Transport::Missing = self.transport {
            self.operation.register(cx.waker());
            return Poll::Pending;
        }
        self.machine.select(session)?;
        self.session = session;
        self.machine.start(operation, now)?;
        self.lent = true;
        Poll::Ready(Ok(()))
    }

    /// Goes on with the operation that is lent. It has its outcome when the
    /// runner has written everything, too. With AT commands it has long since;
    /// a backend that speaks MQTT itself may be through with its operation when
    /// the last bytes are still on their way.
    fn advance<T>(
        &mut self,
        operation: &Operation<'_>,
        read: &impl Fn(&M) -> T,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, Failure>> {
        let failure = self.transport.failure();
        if let Some(failure) = failure.or((!self.lent).then_some(ClientError::Closed)) {
            return Poll::Ready(Err(failure));
        }
        let more = self.fill(Some(operation), now);
        let written = self.out.is_empty() && !self.writing;
        let outcome = if written { self.machine.outcome() } else { None };
        self.lent = outcome.is_none();
        if more || !self.lent || self.machine.deadline() != self.awaited {
            self.runner.wake();
        }
        match outcome {
            Some(Ok(())) => Poll::Ready(Ok(read(&self.machine))),
            Some(Err(error)) => Poll::Ready(Err(ClientError::Modem(error))),
            None => {
                self.operation.register(cx.waker());
                Poll::Pending
            }
        }
    }

    /// The operation is not lent any more; what it left is the runner's.
    fn withdraw(&mut self) {
        if mem::take(&mut self.lent) {
            self.machine.abandon(0);
            self.runner.wake();
            self.tell_events();
        }
    }

    /// Moves what is due into the buffer, as far as there is room; whether
    /// that was anything.
    ///
    /// The machine is asked even if there is none: it begins its steps when
    /// asked, and with them their deadlines.
    fn fill(&mut self, operation: Option<&Operation<'_>>, now: Instant) -> bool {
        let Self { machine, out, .. } = self;
        let before = out.len();
        while let Some(bytes) = machine.transmit(operation, now) {
            let room = out.capacity().saturating_sub(out.len());
            let bytes = bytes.get(..room).unwrap_or(bytes);
            if bytes.is_empty() || out.extend_from_slice(bytes).is_err() {
                break;
            }
            let count = bytes.len();
            machine.sent(count);
        }
        let more = out.len() > before;
        self.tell_events();
        more
    }

    fn tell_events(&mut self) {
        if self.machine.has_event() {
            self.events.wake();
        }
    }

    // ---- the runner ----------------------------------------------------

    fn open(&mut self) {
        self.transport = Transport::Open;
        self.out.clear();
        self.machine.opened();
        self.operation.wake();
    }

    fn end(&mut self, why: Failure) {
        self.transport = Transport::Ended(why);
        self.machine.closed();
        self.withdraw();
        self.operation.wake();
        self.events.wake();
    }

    fn choke(&mut self, stuck: bool) {
        self.transport = if stuck { Transport::Stuck } else { Transport::Open };
        self.operation.wake();
    }

    /// The machine has heard something, or the time.
    fn stir(&mut self) {
        if self.lent {
            self.operation.wake();
        }
        self.tell_events();
    }

    /// What the runner is to write. Nothing is a flush, if there is anything
    /// to flush.
    fn take(&mut self, taken: &mut Vec<u8, CHUNK>, unflushed: bool, now: Instant) -> Poll<()> {
        if !self.lent {
            self.fill(None, now);
            if self.machine.deadline() != self.awaited {
                self.runner.wake();
            }
        }
        taken.clear();
        mem::swap(taken, &mut self.out);
        let busy = unflushed || !taken.is_empty();
        if busy || self.writing {
            self.operation.wake();
        }
        self.writing = busy;
        if busy { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Calls to the modem, from any task. Copies are cheap and equal.
///
/// Calls run one after another in the order in which they were made; eight
/// wait in the queue, and any beyond look for a place every 10 ms. Each copies
/// its payload in pieces of 64 bytes and allocates nothing.
pub struct Client<'a, L: raw::RawMutex, C, M> {
    shared: &'a Shared<L, C, M>,
    session: u8,
}

impl<L: raw::RawMutex, C, M> Clone for Client<'_, L, C, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: raw::RawMutex, C, M> Copy for Client<'_, L, C, M> {}

impl<L: raw::RawMutex, C: Clock, M: Machine> Client<'_, L, C, M> {
    /// The same for another session, on modems with two; 0 unless chosen. A
    /// session that the modem does not have is refused by the calls.
    #[must_use]
    pub const fn session(mut self, session: u8) -> Self {
        self.session = session;
        self
    }

    /// As [`MqttClient::bring_up`](crate::MqttClient::bring_up).
    ///
    /// # Errors
    /// The same.
    pub async fn bring_up(&self, network: &Network<'_>) -> Result<(), Failure> {
        self.run(&Operation::BringUp(network)).await
    }

    /// As [`MqttClient::connect`](crate::MqttClient::connect).
    ///
    /// # Errors
    /// The same.
    pub async fn connect(&self, options: &ConnectOptions<'_>) -> Result<Session, Failure> {
        for (kind, content) in options.files() {
            self.store(kind, content).await?;
        }
        self.shared.run(self.session, &Operation::Connect(options), M::session).await
    }

    /// As [`MqttClient::publish`](crate::MqttClient::publish).
    ///
    /// # Errors
    /// The same.
    pub async fn publish(&self, publish: &Publish<'_>) -> Result<Assurance, Failure> {
        let assurance = |machine: &M| machine.assurance(publish.qos);
        self.shared.run(self.session, &Operation::Publish(publish), assurance).await
    }

    /// As [`MqttClient::subscribe`](crate::MqttClient::subscribe).
    ///
    /// # Errors
    /// The same.
    pub async fn subscribe(&self, filter: &str, qos: QoS) -> Result<Granted, Failure> {
        self.subscribe_all(&[Subscription::new(filter, qos)?]).await
    }

    /// As [`MqttClient::subscribe_all`](crate::MqttClient::subscribe_all).
    ///
    /// # Errors
    /// The same.
    pub async fn subscribe_all(&self, filters: &[Subscription<'_>]) -> Result<Granted, Failure> {
        self.shared.run(self.session, &Operation::Subscribe(filters), M::granted).await
    }

    /// As [`MqttClient::unsubscribe`](crate::MqttClient::unsubscribe).
    ///
    /// # Errors
    /// The same.
    pub async fn unsubscribe(&self, filter: &str) -> Result<(), Failure> {
        self.unsubscribe_all(&[TopicFilter::new(filter)?]).await
    }

    /// As [`MqttClient::unsubscribe_all`](crate::MqttClient::unsubscribe_all).
    ///
    /// # Errors
    /// The same.
    pub async fn unsubscribe_all(&self, filters: &[TopicFilter<'_>]) -> Result<(), Failure> {
        self.run(&Operation::Unsubscribe(filters)).await
    }

    /// As [`MqttClient::disconnect`](crate::MqttClient::disconnect).
    ///
    /// # Errors
    /// The same.
    pub async fn disconnect(&self) -> Result<(), Failure> {
        self.run(&Operation::Disconnect).await
    }

    /// As [`MqttClient::status`](crate::MqttClient::status).
    ///
    /// # Errors
    /// The same.
    pub async fn status(&self) -> Result<Status, Failure> {
        self.shared.run(self.session, &Operation::Status, M::status).await
    }

    /// Stores a certificate or a key on the modem, if it is not there.
    ///
    /// # Errors
    /// As [`Client::store`](crate::Client::store).
    pub async fn store(&self, kind: FileKind, content: Credential<'_>) -> Result<(), Failure> {
        self.run(&Operation::Store(&File { kind, content })).await
    }

    /// Deletes a file from the modem.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub async fn delete(&self, name: &str) -> Result<(), Failure> {
        self.run(&Operation::Delete(name)).await
    }

    /// What this modem can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.shared.lock_or(Capabilities::empty(), |state| state.machine.capabilities())
    }

    /// The greatest sizes it takes, as far as is known by now.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.shared.lock_or(Limits::MQTT, |state| state.machine.limits())
    }

    /// The state of the connection; idle for a session that the modem does
    /// not have.
    #[must_use]
    pub fn link(&self) -> LinkState {
        self.shared.lock_or(LinkState::Idle, |state| {
            if state.machine.select(self.session).is_err() {
                return LinkState::Idle;
            }
            let link = state.machine.link();
            let _ = state.machine.select(state.session);
            link
        })
    }

    async fn run(&self, operation: &Operation<'_>) -> Result<(), Failure> {
        self.shared.run(self.session, operation, |_| ()).await
    }
}

/// What happens without being asked for. There is only one of it: each event
/// is given once.
pub struct Events<'a, L: raw::RawMutex, C, M> {
    shared: &'a Shared<L, C, M>,
}

impl<L: raw::RawMutex, C: Clock, M: Machine> Events<'_, L, C, M> {
    /// Waits for the next event and copies its topic and payload into
    /// `buffer`.
    ///
    /// A message that is too large for it becomes [`Event::Dropped`], with its
    /// length, and with its topic if that has room. Nothing is lost if the
    /// future is dropped. The copy frees the inbox when the next event is
    /// asked for.
    ///
    /// # Errors
    /// That of the transport, once it has ended and all events are taken.
    pub async fn next<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Event<'b>, Failure> {
        poll_fn(|cx| {
            self.shared.lock_or(Poll::Pending, |state| {
                if state.machine.has_event() {
                    return Poll::Ready(Ok(()));
                }
                state.events.register(cx.waker());
                match state.transport {
                    Transport::Ended(failure) => Poll::Ready(Err(failure)),
                    _ => Poll::Pending,
                }
            })
        })
        .await?;
        let event = self.shared.lock_or(None, |state| {
            let event = state.machine.event().map(|event| keep(event, buffer));
            // Room in the inbox may be what the machine has waited for.
            if state.lent {
                state.operation.wake()
            } else {
                state.runner.wake()
            }
            event
        });
        let event = event.unwrap_or(Event::Missed(0));
        fmt::event(&event);
        Ok(event)
    }
}

/// The event with what it lends in `buffer` instead.
fn keep<'b>(event: Event<'_>, buffer: &'b mut [u8]) -> Event<'b> {
    match event {
        Event::Message(Message { session, topic, payload, delivery }) => {
            if topic.len().saturating_add(payload.len()) > buffer.len() {
                let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                return Event::Dropped(Dropped { count: 1, bytes, topic: copy(topic, buffer) });
            }
            let Some((first, rest)) = buffer.split_at_mut_checked(topic.len()) else {
                return Event::Missed(1);
            };
            match (copy(topic, first), copy(payload, rest)) {
                (Some(topic), Some(payload)) => {
                    Event::Message(Message { session, topic, payload, delivery })
                }
                _ => Event::Missed(1),
            }
        }
        Event::Dropped(Dropped { count, bytes, topic }) => {
            let topic = topic.and_then(|topic| copy(topic, buffer));
            Event::Dropped(Dropped { count, bytes, topic })
        }
        Event::Undelivered(reason) => {
            let reason = reason.get(..buffer.len()).unwrap_or(reason);
            Event::Undelivered(copy(reason, buffer).unwrap_or_default())
        }
        Event::Urc(line) => copy(line, buffer).map_or(Event::Missed(1), Event::Urc),
        Event::Lost { session, loss } => Event::Lost { session, loss },
        Event::NetworkLost => Event::NetworkLost,
        Event::Restarted => Event::Restarted,
        Event::Unknown(what) => Event::Unknown(what),
        Event::Missed(count) => Event::Missed(count),
    }
}

fn copy<'b>(bytes: &[u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let place = buffer.get_mut(..bytes.len())?;
    place.copy_from_slice(bytes);
    Some(place)
}

/// Carries bytes and time between the transport and the machine. Nothing goes
/// on without it.
pub struct Runner<'a, L: raw::RawMutex, C, M, R, W> {
    shared: &'a Shared<L, C, M>,
    reader: R,
    writer: W,
}

impl<L, C, M, R, W> Runner<'_, L, C, M, R, W>
where
    L: raw::RawMutex,
    C: Clock,
    M: Machine,
    R: Read,
    W: Write<Error = R::Error>,
{
    /// Runs until the transport fails or ends, and says how. Spawn it, or join
    /// it with the rest.
    ///
    /// Then all calls that wait fail, and all later ones, until it is run
    /// again, with a transport that was
    /// [replaced](Self::replace_transport) or recovered. Dropping this future
    /// is the end of the transport, too: the calls fail with
    /// [`ClientError::Closed`].
    pub async fn run(&mut self) -> ClientError<R::Error> {
        let Self { shared, reader, writer } = self;
        shared.lock_or((), State::open);
        let mut ending = Ending { shared, why: ClientError::Closed };
        let mut reading = pin!(shared.read(reader));
        let mut timing = pin!(shared.keep_time());
        let mut writing = pin!(shared.write(writer));
        let error = poll_fn(|cx| {
            shared.lock_or((), |state| state.runner.register(cx.waker()));
            // In this order each finds what the one before has changed.
            let end = reading.as_mut().poll(cx);
            let _ = timing.as_mut().poll(cx);
            if end.is_ready() { end } else { writing.as_mut().poll(cx) }
        })
        .await;
        ending.why = match &error {
            ClientError::Transport(error) => ClientError::Transport(error.kind()),
            ClientError::Closed => ClientError::Closed,
            ClientError::Modem(error) => ClientError::Modem(*error),
        };
        error
    }

    /// As [`Client::replace_transport`](crate::Client::replace_transport).
    pub fn replace_transport(&mut self, reader: R, writer: W) -> (R, W) {
        (mem::replace(&mut self.reader, reader), mem::replace(&mut self.writer, writer))
    }
}

/// Tells everybody when the runner does not run any more.
struct Ending<'a, L: raw::RawMutex, C: Clock, M: Machine> {
    shared: &'a Shared<L, C, M>,
    why: Failure,
}

impl<L: raw::RawMutex, C: Clock, M: Machine> Drop for Ending<'_, L, C, M> {
    fn drop(&mut self) {
        self.shared.lock_or((), |state| state.end(self.why));
        fmt::ended(&self.why);
    }
}

/// The three parts of the runner; none of them ends but with the transport.
impl<L: raw::RawMutex, C: Clock, M: Machine> Shared<L, C, M> {
    async fn read<R: Read>(&self, reader: &mut R) -> ClientError<R::Error> {
        let mut buffer = [0; CHUNK];
        let mut empty_reads = 0_u8;
        loop {
            match reader.read(&mut buffer).await {
                Err(error) => return ClientError::Transport(error),
                Ok(0) => {
                    empty_reads = empty_reads.saturating_add(1);
                    if empty_reads >= EMPTY_READS {
                        return ClientError::Closed;
                    }
                }
                Ok(count) => {
                    empty_reads = 0;
                    let now = self.clock.now();
                    self.lock_or((), |state| {
                        state.machine.receive(buffer.get(..count).unwrap_or_default(), now);
                        state.stir();
                    });
                }
            }
            give_way().await;
        }
    }

    async fn keep_time(&self) {
        let mut told = None;
        loop {
            let due = self.lock_or(None, |state| {
                state.awaited = state.machine.deadline();
                state.awaited
            });
            // One that was told already needs something else: that what is due
            // is asked for, or that the transport takes it.
            let at = due.filter(|due| told != Some(*due));
            let mut late = pin!(at.map(|at| self.clock.wait_until(at)));
            poll_fn(|cx| {
                if self.lock_or(None, |state| state.machine.deadline()) != due {
                    return Poll::Ready(());
                }
                late.as_mut().as_pin_mut().map_or(Poll::Pending, |late| late.poll(cx))
            })
            .await;
            let now = self.clock.now();
            if at.is_some_and(|at| now >= at) {
                told = due;
                self.lock_or((), |state| {
                    state.machine.tick(now);
                    state.stir();
                });
            }
        }
    }

    async fn write<W: Write>(&self, writer: &mut W) -> ClientError<W::Error> {
        let mut bytes = Vec::new();
        let mut unflushed = false;
        loop {
            poll_fn(|_| {
                let now = self.clock.now();
                self.lock_or(Poll::Pending, |state| state.take(&mut bytes, unflushed, now))
            })
            .await;
            let mut rest = bytes.as_slice();
            if rest.is_empty() {
                if let Err(error) = self.patiently(writer.flush()).await {
                    return ClientError::Transport(error);
                }
            }
            unflushed = !rest.is_empty();
            while !rest.is_empty() {
                match self.patiently(writer.write(rest)).await {
                    Ok(0) => return ClientError::Closed,
                    Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                    Err(error) => return ClientError::Transport(error),
                }
            }
        }
    }

    /// Waits for the transport; if it takes long, whoever has the turn is told.
    async fn patiently<T>(&self, transfer: impl Future<Output = T>) -> T {
        let mut transfer = pin!(transfer);
        let patience = self.clock.now().after_millis(WRITE_PATIENCE_MS);
        let mut late = pin!(self.clock.wait_until(patience));
        let done = poll_fn(|cx| match transfer.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => late.as_mut().poll(cx).map(|()| None),
        })
        .await;
        if let Some(done) = done {
            return done;
        }
        self.lock_or((), |state| state.choke(true));
        let done = transfer.await;
        self.lock_or((), |state| state.choke(false));
        done
    }
}

/// Lets the others have a look.
async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
