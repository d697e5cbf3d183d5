//! Any future of the client may be dropped at any await: each call is polled so
//! many times and dropped, for every number of times, over writers that take
//! little at once and take it before or after they are polled again. The next
//! call works, what may have been published is reported as unknown, and no
//! command ever becomes a payload.
//!
//! A sample of the places is tried; all of them with
//! `cargo test --release -p hayes --test drop -- --ignored --nocapture`.

mod common;
#[path = "common/law.rs"]
mod law;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use common::Rig;
use embedded_io_async::{ErrorType, Read, Write};
use hayes::{
    Client, ClientError, Clock, Instant, Machine, MqttClient, Operation, Verb,
    mqtt::{ConnectOptions, Error, Event, Publish, QoS},
};
use hayes_emulator::{Modem, network::Loopback};
use law::{Backend, Level, PAYLOAD, Sample, jsprs, luats, operations, rockremotes, simcoms};

/// How much a writer takes at once.
const PIECE: usize = 5;

/// The other end of the transport, and the time.
struct World<M> {
    modem: M,
    broker: Loopback,
    now: u64,
    /// Bytes that the host has not read.
    waiting: VecDeque<u8>,
    /// When somebody wants to be woken.
    wake: Option<u64>,
    /// Somebody yielded, and is to be polled again at once.
    yielded: bool,
    /// The writer takes bytes before it yields, or after.
    eager: bool,
    /// Everything that was written.
    host: Vec<u8>,
}

impl<M: Modem> World<M> {
    fn exchange(&mut self) {
        self.broker.exchange(&mut self.modem, self.now);
        loop {
            let bytes = self.modem.transmit(self.now);
            if bytes.is_empty() {
                break;
            }
            self.waiting.extend(bytes);
            self.broker.exchange(&mut self.modem, self.now);
        }
    }

    /// Lets time pass to what is due next.
    fn advance(&mut self) {
        let next = [self.wake, self.modem.deadline()].into_iter().flatten().min();
        self.now = self.now.max(next.unwrap_or(0));
    }
}

type Shared<M> = Rc<RefCell<World<M>>>;

struct Half<M>(Shared<M>);

impl<M> ErrorType for Half<M> {
    type Error = Infallible;
}

impl<M: Modem> Read for Half<M> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|_| {
            let mut world = self.0.borrow_mut();
            world.exchange();
            if world.waiting.is_empty() && !world.modem.hung_up() {
                return Poll::Pending;
            }
            let count = buffer.len().min(world.waiting.len()).min(24);
            for (slot, byte) in buffer.iter_mut().zip(world.waiting.drain(..count)) {
                *slot = byte;
            }
            Poll::Ready(Ok(count))
        })
        .await
    }
}

impl<M: Modem> Write for Half<M> {
    /// A piece at once, and not at the first try.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let count = bytes.len().min(PIECE);
        if self.0.borrow().eager {
            self.take(&bytes[..count]);
        }
        yield_once(&self.0).await;
        if !self.0.borrow().eager {
            self.take(&bytes[..count]);
        }
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        yield_once(&self.0).await;
        Ok(())
    }
}

impl<M: Modem> Half<M> {
    fn take(&self, bytes: &[u8]) {
        let mut world = self.0.borrow_mut();
        let now = world.now;
        world.modem.receive(now, bytes);
        world.host.extend_from_slice(bytes);
    }
}

async fn yield_once<M>(world: &Shared<M>) {
    let mut yielded = false;
    poll_fn(|_| {
        world.borrow_mut().yielded = true;
        if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

struct Virtual<M>(Shared<M>);

impl<M> Clock for Virtual<M> {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.borrow().now)
    }

    async fn wait_until(&self, at: Instant) {
        poll_fn(|_| {
            let mut world = self.0.borrow_mut();
            if world.now >= at.as_millis() {
                return Poll::Ready(());
            }
            let wake = world.wake.map_or(at.as_millis(), |wake| wake.min(at.as_millis()));
            world.wake = Some(wake);
            Poll::Pending
        })
        .await;
    }
}

type Host<D, M> = Client<Half<M>, Half<M>, Virtual<M>, D>;

/// A client and its world.
struct Bench<D: Machine, M: Modem> {
    client: Host<D, M>,
    world: Shared<M>,
}

impl<D: Machine, M: Modem> Bench<D, M> {
    fn of(rig: Rig<D, M>, eager: bool) -> Self {
        let world = Rc::new(RefCell::new(World {
            modem: rig.modem,
            broker: rig.broker,
            now: 0,
            waiting: VecDeque::new(),
            wake: None,
            yielded: false,
            eager,
            host: Vec::new(),
        }));
        let half = || Half(Rc::clone(&world));
        let client = Client::new(half(), half(), Virtual(Rc::clone(&world)), rig.driver);
        Self { client, world }
    }

    /// Opens the transport anew.
    fn reopen(&mut self) {
        {
            let mut world = self.world.borrow_mut();
            let now = world.now;
            world.modem.host_arrives(now);
            world.waiting.clear();
        }
        let half = || Half(Rc::clone(&self.world));
        self.client.replace_transport(half(), half());
    }

    /// Polls a call at most so many times, then drops it.
    fn perform(&mut self, operation: &Operation<'_>, polls: usize) -> Option<Outcome> {
        poll(&self.world, perform(&mut self.client, operation), polls)
    }

    fn publish(&mut self, topic: &str, payload: &[u8]) -> Outcome {
        let publish = Publish::new(topic, payload).unwrap().qos(QoS::AtLeastOnce);
        self.perform(&Operation::Publish(&publish), usize::MAX).unwrap()
    }

    fn connect(&mut self) -> Outcome {
        let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
        self.perform(&Operation::Connect(&options), usize::MAX).unwrap()
    }

    fn said(&self) -> String {
        self.world.borrow().host.escape_ascii().to_string()
    }
}

type Outcome = Result<(), ClientError<Infallible>>;

async fn perform<D: Machine, M: Modem>(client: &mut Host<D, M>, what: &Operation<'_>) -> Outcome {
    match what {
        Operation::BringUp(network) => client.bring_up(network).await,
        Operation::Connect(options) => client.connect(options).await.map(|_| ()),
        Operation::Publish(publish) => client.publish(publish).await.map(|_| ()),
        Operation::Subscribe(filters) => client.subscribe_all(filters).await.map(|_| ()),
        Operation::Unsubscribe(filters) => client.unsubscribe_all(filters).await,
        Operation::Disconnect => client.disconnect().await,
        _ => client.status().await.map(|_| ()),
    }
}

/// Polls a future; time passes when nothing else happens.
fn poll<M: Modem, T>(
    world: &Shared<M>,
    future: impl Future<Output = T>,
    polls: usize,
) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls.min(100_000) {
        {
            let mut world = world.borrow_mut();
            (world.wake, world.yielded) = (None, false);
        }
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let mut world = world.borrow_mut();
        world.exchange();
        if !world.yielded && world.waiting.is_empty() {
            world.advance();
        }
    }
    assert!(polls < 100_000, "a call hangs");
    None
}

fn drops<D: Machine, M: Modem>(backend: &Backend<D, M>, eager: bool, sample: &Sample) {
    let unknown = Cell::new(0);
    for fresh in &backend.fresh {
        {
            operations(backend, |level, operation| {
                let driver = fresh().driver;
                if operation.check(driver.capabilities(), &driver.limits()).is_err() {
                    return;
                }
                let needed: Vec<_> = preparations(level);
                for polls in 0.. {
                    let mut bench = Bench::of(fresh(), eager);
                    for prepare in &needed {
                        prepare(&mut bench);
                    }
                    // The length of the call is only known at its end.
                    let before = bench.world.borrow().host.len();
                    let done = bench.perform(operation, polls);
                    if done.is_some() {
                        assert_eq!(done, Some(Ok(())), "{operation:?}");
                        break;
                    }
                    if !sample.takes() {
                        continue;
                    }
                    let context =
                        format!("{} {operation:?} {eager} dropped at poll {polls}", backend.name);
                    unknown.set(
                        unknown.get() + after(backend, bench, operation, polls, before, &context),
                    );
                }
            });
        }
    }
    println!("{}: {} of unknown outcome", backend.name, unknown.get());
    sample.report(backend.name, "drops");
}

type Preparation<D, M> = fn(&mut Bench<D, M>);

fn preparations<D: Machine, M: Modem>(level: Level) -> Vec<Preparation<D, M>> {
    let mut all: Vec<Preparation<D, M>> = Vec::new();
    if level >= Level::Up {
        all.push(|bench| {
            let network = hayes::mqtt::Network::new();
            bench.perform(&Operation::BringUp(&network), usize::MAX).unwrap().unwrap();
        });
    }
    if level == Level::Connected {
        all.push(|bench| bench.connect().unwrap());
    }
    all
}

/// What holds after a drop; how many outcomes are unknown.
fn after<D: Machine, M: Modem>(
    backend: &Backend<D, M>,
    mut bench: Bench<D, M>,
    operation: &Operation<'_>,
    polls: usize,
    before: usize,
    context: &str,
) -> usize {
    let sent = bench.world.borrow().host.len() - before;
    let connects = matches!(operation.verb(), Verb::BringUp | Verb::Connect | Verb::Disconnect);
    let next = if connects {
        Err(Error::NotConnected.into())
    } else {
        bench.publish(backend.topic, b"next")
    };
    if let Err(error) = next {
        // Half a packet was out, or its result may come at any time.
        let lost = matches!(error, ClientError::Modem(Error::Lost(_)) | ClientError::Closed);
        assert!(connects || lost, "{context}: {error}\n{}", bench.said());
        bench.reopen();
        assert_eq!(bench.connect(), Ok(()), "{context}\n{}", bench.said());
        assert_eq!(bench.publish(backend.topic, b"next"), Ok(()), "{context}\n{}", bench.said());
    }
    let mut unknown = 0;
    while let Some(event) = poll(&bench.world, bench.client.next_event(), 3) {
        match event.unwrap() {
            Event::Unknown(_) => unknown += 1,
            Event::Lost { .. } => {}
            other => panic!("{context}: {other:?}"),
        }
    }
    let publishes = operation.verb() == Verb::Publish;
    let world = bench.world.borrow();
    if publishes {
        let first = world.broker.published().iter().any(|m| m.payload == PAYLOAD);
        // One piece that may be out or not can still be made void.
        let must = first || sent > PIECE;
        let may = polls > 0;
        let said = world.host.escape_ascii();
        assert!(unknown <= usize::from(may), "{context}: {unknown}\n{said}");
        assert!(unknown >= usize::from(must), "{context}: {unknown}\n{said}");
    }
    let mut nexts = 0;
    for message in world.broker.published() {
        let payload = message.payload.as_slice();
        nexts += usize::from(payload == b"next");
        let filled = backend.is_filled(payload);
        let is_known = filled || payload == PAYLOAD || payload == b"next";
        assert!(is_known, "{context}: {}", payload.escape_ascii());
        assert!(!payload.windows(2).any(|w| w == b"AT"), "{context}");
    }
    assert_eq!(nexts, 1, "{context}\n{}", world.host.escape_ascii());
    unknown
}

#[test]
fn a_simcom_call_may_be_dropped_at_any_await() {
    for eager in [false, true] {
        drops(&simcoms(), eager, &Sample::one_in(4));
    }
}

#[test]
fn a_luat_call_may_be_dropped_at_any_await() {
    for eager in [false, true] {
        drops(&luats(), eager, &Sample::one_in(4));
    }
}

#[test]
fn a_rockremote_call_may_be_dropped_at_any_await() {
    for eager in [false, true] {
        drops(&rockremotes(), eager, &Sample::one_in(1));
    }
}

#[test]
fn a_jspr_call_may_be_dropped_at_any_await() {
    for eager in [false, true] {
        drops(&jsprs(), eager, &Sample::one_in(1));
    }
}

#[test]
#[ignore = "all places"]
fn any_call_may_be_dropped_at_any_await() {
    for eager in [false, true] {
        drops(&simcoms(), eager, &Sample::one_in(1));
    }
    for eager in [false, true] {
        drops(&luats(), eager, &Sample::one_in(1));
    }
}
