//! The client for several tasks: against the emulated modem under paused time,
//! with futures dropped after every number of polls, over a reader that loses
//! what a dropped read had taken, and on several threads.

#[path = "common/transport.rs"]
mod transport;

use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_io_async::{ErrorKind, ErrorType, Read};
use hayes::{
    ClientError, FileKind, MqttClient, Operation,
    clock::Tokio,
    mqtt::{
        Assurance, Capabilities, ConnectOptions, Credential, Error, Event, Feature, Limits,
        LinkState, Loss, Network, Publish, QoS, Status, Subscription, TopicFilter,
    },
    shared::{self, Shared, raw::CriticalSectionRawMutex},
};
use hayes_emulator::{
    network::{self, Loopback, Reply, Request},
    serve::{self, Hooks},
    simcom::{Config, Delays, Family},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex},
    time::{Instant, interval, sleep, timeout},
};
use transport::{Buffered, Script, Scripted, said_by_host};

type Simcom = hayes_simcom::Machine<256, 4096>;
type Rx = FromTokio<ReadHalf<DuplexStream>>;
type Tx = FromTokio<WriteHalf<DuplexStream>>;
type Client<M = Simcom> = shared::Client<'static, CriticalSectionRawMutex, Tokio, M>;
type Events<M = Simcom> = shared::Events<'static, CriticalSectionRawMutex, Tokio, M>;
type Runner<R = Rx, M = Simcom> = shared::Runner<'static, CriticalSectionRawMutex, Tokio, M, R, Tx>;

fn leaked<M: hayes::Machine>(machine: M) -> &'static mut Shared<CriticalSectionRawMutex, Tokio, M> {
    Box::leak(Box::new(Shared::new(Tokio::new(), machine)))
}

fn halves(stream: DuplexStream) -> (Rx, Tx) {
    let (reader, writer) = tokio::io::split(stream);
    (FromTokio::new(reader), FromTokio::new(writer))
}

fn slow() -> Config {
    let delays = Delays { answer: 20, prompt: 15, result: 40, ..Delays::default() };
    Config { family: Family::A76xx, delays, ..Config::default() }
}

/// The three parts, and the emulated modem at the other end of the wire.
fn parts(config: Config) -> (Client, Events, Runner, impl Future<Output = io::Result<()>> + Send) {
    let (host, wire) = duplex(64);
    let (reader, writer) = halves(host);
    let machine = hayes_simcom::machine(Default::default());
    let (client, events, runner) = leaked(machine).split(reader, writer);
    let emulator = serve::on_duplex_with(wire, config, Loopback::new(), Hooks::default());
    (client, events, runner, emulator)
}

/// A client and events of a modem that is connected; runner and emulator run.
async fn connected(config: Config) -> (Client, Events) {
    let (client, events, mut runner, emulator) = parts(config);
    tokio::spawn(emulator);
    tokio::spawn(async move { runner.run().await });
    connect(client).await;
    (client, events)
}

async fn connect(client: Client) {
    client.bring_up(&Network::new()).await.unwrap();
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    client.connect(&options).await.unwrap();
}

fn publish<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish::new(topic, payload).unwrap().qos(QoS::AtLeastOnce)
}

/// Whether it is done soon. A timeout polls it once more when it has passed, so
/// that it may be done then without having been woken.
async fn soon(future: impl Future) -> bool {
    let begun = Instant::now();
    let done = timeout(Duration::from_secs(20), future).await.is_ok();
    done && begun.elapsed() < Duration::from_secs(19)
}

/// Polls the future at most so often, then drops it.
async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Three tasks publish, each its numbers in order; a fourth has all of them,
/// each task's in order.
async fn three_publish_and_one_receives(client: Client, mut events: Events, each: u32) {
    client.subscribe("t/#", QoS::AtLeastOnce).await.unwrap();
    let publishers = ["t/0", "t/1", "t/2"].map(|topic| {
        tokio::spawn(async move {
            for number in 0..each {
                let proof = client.publish(&publish(topic, &number.to_le_bytes())).await.unwrap();
                assert_eq!(proof, Assurance::BrokerAck);
            }
        })
    });
    let receiver = tokio::spawn(async move {
        let mut next = [0; 3];
        let mut buffer = [0; 64];
        while next != [each; 3] {
            let event = events.next(&mut buffer).await.unwrap();
            let Event::Message(message) = event else { panic!("{event:?}") };
            let task = usize::from(message.topic[2] - b'0');
            assert_eq!(message.payload, u32::to_le_bytes(next[task]), "of task {task}");
            next[task] += 1;
        }
    });
    for publisher in publishers {
        publisher.await.unwrap();
    }
    receiver.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn three_tasks_publish_while_a_fourth_receives() {
    let (client, events) = connected(slow()).await;
    three_publish_and_one_receives(client, events, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_on_several_threads() {
    let (client, events) = connected(Config { family: Family::A76xx, ..Config::default() }).await;
    three_publish_and_one_receives(client, events, 100).await;
}

/// Runs `call` for each number of polls after which it can be dropped, each
/// time on a modem of its own, and then a publish, which has to work.
async fn dropped_after_every_poll<F, O, E>(name: &str, prepared: bool, call: F)
where
    F: AsyncFn(Client) -> Result<O, E>,
    E: std::fmt::Debug,
{
    for polls in 1.. {
        let (client, mut events, mut runner, emulator) = parts(slow());
        tokio::spawn(emulator);
        tokio::spawn(async move { runner.run().await });
        if prepared {
            connect(client).await;
            client.subscribe("next", QoS::AtLeastOnce).await.unwrap();
            client.subscribe("dropped", QoS::AtLeastOnce).await.unwrap();
        }
        let done = polled(call(client), polls).await;
        if let Some(done) = &done {
            assert!(done.is_ok(), "{name}");
        }
        if !prepared || name == "connect" || name == "disconnect" {
            connect(client).await;
            client.subscribe("next", QoS::AtLeastOnce).await.unwrap();
        }
        client.publish(&publish("next", b"next")).await.unwrap_or_else(|e| panic!("{polls}: {e}"));
        let mut unknown = BTreeSet::new();
        let mut buffer = [0; 64];
        let mut took_place = false;
        loop {
            match events.next(&mut buffer).await.unwrap() {
                Event::Unknown(what) => assert!(unknown.insert(what), "{name} {polls}: twice"),
                Event::Message(message) if message.topic == b"next" => break,
                Event::Message(message) => {
                    assert_eq!(message.payload, b"dropped");
                    took_place = true;
                }
                Event::Lost { .. } if name == "connect" => {}
                other => panic!("{name} {polls}: {other:?}"),
            }
        }
        if done.is_some() {
            assert!(polls > 4, "{name} was polled only {polls} times");
            assert_eq!(unknown, BTreeSet::new(), "{name} was not dropped");
            return;
        }
        if took_place {
            assert_eq!(unknown, BTreeSet::from(["publish"]), "{name} {polls}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_after_any_poll_and_the_next_one_works() {
    let network = Network::new();
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let long = publish("dropped", b"dropped");
    let filters = ["a/#", "b"];
    let subscriptions = filters.map(|one| Subscription::new(one, QoS::AtLeastOnce).unwrap());
    let unsubscribed = ["next/not", "b"].map(|one| TopicFilter::new(one).unwrap());
    dropped_after_every_poll("bring-up", false, async |c| c.bring_up(&network).await).await;
    dropped_after_every_poll("connect", true, async |c| c.connect(&options).await).await;
    dropped_after_every_poll("publish", true, async |c| c.publish(&long).await).await;
    let subscribe = async |c: Client| c.subscribe_all(&subscriptions).await;
    dropped_after_every_poll("subscribe", true, subscribe).await;
    let unsubscribe = async |c: Client| c.unsubscribe_all(&unsubscribed).await;
    dropped_after_every_poll("unsubscribe", true, unsubscribe).await;
    dropped_after_every_poll("status", true, async |c| c.status().await).await;
    dropped_after_every_poll("disconnect", true, async |c| c.disconnect().await).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_publish_left_is_finished_without_another_call() {
    for ms in (0..110).step_by(5) {
        // So often others have their turn before the call is dropped, so that
        // it may have been woken and not polled.
        for turns in 0..4 {
            let (client, mut events) = connected(slow()).await;
            client.subscribe("t", QoS::AtLeastOnce).await.unwrap();
            let payload = [b'x'; 2_000];
            let publish = publish("t", &payload);
            let mut call = Box::pin(client.publish(&publish));
            assert!(timeout(Duration::from_millis(ms), &mut call).await.is_err());
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            drop(call);
            let told = async {
                loop {
                    match events.next(&mut [0; 2_100]).await.unwrap() {
                        Event::Unknown("publish") => break,
                        Event::Message(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            };
            assert!(soon(told).await, "{ms} {turns}: nothing is told");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_for_events_loses_nothing() {
    let (client, mut events) = connected(slow()).await;
    client.subscribe("t", QoS::AtLeastOnce).await.unwrap();
    let publisher = tokio::spawn(async move {
        for number in 0..50_u8 {
            client.publish(&publish("t", &[number])).await.unwrap();
        }
    });
    let mut buffer = [0; 64];
    for number in 0..50 {
        let message = loop {
            let patience = Duration::from_millis(3);
            if let Ok(event) = timeout(patience, events.next(&mut [0; 64])).await {
                let Event::Message(message) = event.unwrap() else { panic!() };
                break message.payload.to_vec();
            }
        };
        assert_eq!(message, [number]);
    }
    publisher.await.unwrap();
    assert!(timeout(Duration::from_secs(9), events.next(&mut buffer)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn calls_are_served_in_their_order_whoever_leaves_the_queue() {
    // What is dropped: those still waiting, and the one that was just let in.
    for leaves in 0..4 {
        let (client, _events) = connected(slow()).await;
        let call = || Box::pin(async move { client.status().await.map(|_| ()) });
        let mut calls = [(); 5].map(|()| Some(call()));
        let mut order = Vec::new();
        poll_fn(|cx| {
            for (number, slot) in calls.iter_mut().enumerate() {
                let Some(call) = slot else { continue };
                if let Poll::Ready(done) = call.as_mut().poll(cx) {
                    done.unwrap();
                    order.push(number);
                    *slot = None;
                    if number == 0 {
                        // The next one is woken already and was not polled yet.
                        calls[1 + leaves] = None;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
            }
            if calls.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let expected: Vec<_> = (0..5).filter(|number| *number != 1 + leaves).collect();
        assert_eq!(order, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_one_is_woken_if_the_one_let_in_is_gone() {
    // Each call is a task of its own here, so that only its own waker wakes it.
    let (client, _events) = connected(slow()).await;
    let first = tokio::spawn(async move { client.status().await });
    tokio::task::yield_now().await;
    let mut second = Box::pin(client.status());
    assert!(poll_once(&mut second).await.is_pending());
    let third = tokio::spawn(async move { client.status().await });
    tokio::task::yield_now().await;
    first.await.unwrap().unwrap();
    drop(second);
    assert!(timeout(Duration::from_secs(60), third).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_may_go_on_in_another_task() {
    let (client, _events) = connected(slow()).await;
    let first = tokio::spawn(async move { client.status().await });
    tokio::task::yield_now().await;
    let mut second = Box::pin(async move { client.status().await });
    assert!(poll_once(&mut second).await.is_pending());
    let second = tokio::spawn(second);
    first.await.unwrap().unwrap();
    assert!(timeout(Duration::from_secs(60), second).await.is_ok());
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(pin!(&mut *future).poll(cx))).await
}

#[tokio::test(start_paused = true)]
async fn who_calls_again_at_once_does_not_overtake_who_waits() {
    let (client, _events) = connected(slow()).await;
    let (served, mut order) = tokio::sync::mpsc::unbounded_channel();
    for task in 0..3 {
        let served = served.clone();
        tokio::spawn(async move {
            for _ in 0..4 {
                client.publish(&publish("t", b"x")).await.unwrap();
                served.send(task).unwrap();
            }
        });
    }
    drop(served);
    let mut heard = Vec::new();
    while let Some(task) = order.recv().await {
        heard.push(task);
    }
    assert_eq!(heard, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

/// A timer that is not fair: a time that has passed needs no wait.
struct Eager(Tokio);

impl hayes::Clock for Eager {
    fn now(&self) -> hayes::Instant {
        self.0.now()
    }

    async fn wait_until(&self, at: hayes::Instant) {
        if self.now() < at {
            self.0.wait_until(at).await;
        }
    }
}

/// When a pause between two tries is over it is for the operation to go on,
/// which the runner must let it do.
#[tokio::test(start_paused = true)]
async fn a_deadline_that_only_the_operation_can_meet_does_not_spin() {
    let (host, wire) = duplex(64);
    let (reader, writer) = halves(host);
    let delays = Delays { registration: 10_000, ..Delays::default() };
    let config = Config { delays, ..Config::default() };
    tokio::spawn(serve::on_duplex_with(wire, config, Loopback::new(), Hooks::default()));
    let machine = hayes_simcom::machine::<256, 512>(Default::default());
    let shared = Shared::<CriticalSectionRawMutex, _, _>::new(Eager(Tokio::new()), machine);
    let (client, _events, mut runner) = Box::leak(Box::new(shared)).split(reader, writer);
    tokio::spawn(async move { runner.run().await });
    let begin = Instant::now();
    client.bring_up(&Network::new()).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn a_call_does_not_go_on_over_another_transport() {
    let (client, _events, mut runner, emulator) = parts(slow());
    let plug = tokio::spawn(emulator);
    let (host, wire) = duplex(64);
    tokio::spawn(async move {
        assert!(timeout(Duration::from_millis(30), runner.run()).await.is_err());
        let (reader, writer) = halves(host);
        runner.replace_transport(reader, writer);
        runner.run().await
    });
    tokio::spawn(serve::on_duplex_with(wire, slow(), Loopback::new(), Hooks::default()));
    assert_eq!(client.bring_up(&Network::new()).await, Err(ClientError::Closed));
    connect(client).await;
    plug.abort();
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_the_queue_has_places_are_all_served() {
    let (client, _events) = connected(slow()).await;
    let calls: Vec<_> = (0..30)
        .map(|_| tokio::spawn(async move { client.publish(&publish("t", b"x")).await }))
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(Assurance::BrokerAck));
    }
}

/// A reader as a DMA transfer is one: it is done when the line is idle or the
/// buffer full, and what it has taken until then is lost with it.
struct Dma(Rx);

impl ErrorType for Dma {
    type Error = io::Error;
}

impl Read for Dma {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, io::Error> {
        let mut count = self.0.read(&mut buffer[..1]).await?;
        while count < buffer.len() {
            let idle = Duration::from_millis(2);
            match timeout(idle, self.0.read(&mut buffer[count..=count])).await {
                Ok(more) => count += more?,
                Err(_) => break,
            }
        }
        Ok(count)
    }
}

/// A broker on which somebody publishes a number every 10 ms, 100 in all,
/// after the modem has subscribed.
struct Chatty {
    broker: Loopback,
    tick: tokio::time::Interval,
    subscribed: bool,
    said: u8,
}

impl Chatty {
    fn new() -> Self {
        let tick = interval(Duration::from_millis(10));
        Self { broker: Loopback::new(), tick, subscribed: false, said: 0 }
    }
}

impl network::Network for Chatty {
    fn request(&mut self, request: Request) {
        self.subscribed |= matches!(request.action, network::Action::Subscribe { .. });
        self.broker.request(request);
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        while self.said < 100 && self.tick.poll_tick(cx).is_ready() {
            if self.subscribed {
                self.broker.publish(b"t", &[self.said], false);
                self.said += 1;
            }
        }
        self.broker.poll_reply(cx)
    }
}

/// How long the user of these tests has patience for an event.
const PATIENCE: Duration = Duration::from_millis(3);

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_over_a_reader_that_loses_what_a_dropped_read_had_taken() {
    let (host, wire) = duplex(64);
    let (reader, writer) = halves(host);
    tokio::spawn(serve::on_duplex_with(wire, slow(), Chatty::new(), Hooks::default()));
    let machine = hayes_simcom::machine::<256, 4096>(Default::default());
    let (client, mut events, mut runner) = leaked(machine).split(Dma(reader), writer);
    tokio::spawn(async move { runner.run().await });
    connect(client).await;
    client.subscribe("t", QoS::AtLeastOnce).await.unwrap();
    let mut got = BTreeSet::new();
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        if let Ok(event) = timeout(PATIENCE, events.next(&mut [0; 64])).await {
            let Event::Message(message) = event.unwrap() else { panic!() };
            got.insert(message.payload[0]);
        }
    }
    println!("shared client: {} of 100 messages", got.len());
    assert_eq!(got, (0..100).collect());
}

/// For comparison, and to show that the reader above does lose bytes.
#[tokio::test(start_paused = true)]
async fn the_plain_client_needs_a_reader_that_loses_nothing() {
    let (host, wire) = duplex(64);
    let (reader, writer) = halves(host);
    tokio::spawn(serve::on_duplex_with(wire, slow(), Chatty::new(), Hooks::default()));
    let settings = Default::default();
    let clock = Tokio::new();
    let mut modem =
        hayes_simcom::client::<256, 4096, _, _, _>(Dma(reader), writer, clock, settings);
    modem.bring_up(&Network::new()).await.unwrap();
    modem.connect(&ConnectOptions::new("broker.example", 1883, "d").unwrap()).await.unwrap();
    modem.subscribe("t", QoS::AtLeastOnce).await.unwrap();
    let mut got = BTreeSet::new();
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        if let Ok(Ok(Event::Message(message))) = timeout(PATIENCE, modem.next_event()).await {
            got.insert(message.payload[0]);
        }
    }
    println!("plain client: {} of 100 messages", got.len());
    assert!(got.len() < 100);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_transport_is_told_to_everybody_and_another_one_serves() {
    let (host, wire) = duplex(64);
    let (reader, writer) = halves(host);
    let machine = hayes_simcom::machine::<256, 4096>(Default::default());
    let (client, mut events, mut runner) = leaked(machine).split(reader, writer);
    let silent = tokio::spawn(async move {
        sleep(Duration::from_millis(100)).await;
        drop(wire);
    });
    // Each a task of its own, so that only its own waker wakes it.
    let first = tokio::spawn(async move { client.bring_up(&Network::new()).await });
    let second = tokio::spawn(async move { client.status().await });
    let event = tokio::spawn(async move { events.next(&mut [0; 64]).await.map(|_| ()) });
    let end = runner.run().await;
    let told = async { (first.await.unwrap(), second.await.unwrap(), event.await.unwrap()) };
    let told = timeout(Duration::from_secs(9), told).await.expect("somebody is not told");
    silent.await.unwrap();
    // A duplex whose other end is gone: reads are empty, writes fail.
    assert!(matches!(end, ClientError::Closed | ClientError::Transport(_)), "{end:?}");
    let failure = match end {
        ClientError::Transport(_) => ClientError::Transport(ErrorKind::BrokenPipe),
        _ => ClientError::Closed,
    };
    assert_eq!(told.0, Err(failure));
    assert_eq!(told.1.map(|_| ()), Err(failure));
    assert_eq!(told.2, Err(failure));
    assert_eq!(client.disconnect().await, Err(failure));

    let (host, wire) = duplex(64);
    tokio::spawn(serve::on_duplex_with(wire, slow(), Loopback::new(), Hooks::default()));
    let (reader, writer) = halves(host);
    runner.replace_transport(reader, writer);
    let run = tokio::spawn(async move { runner.run().await });
    tokio::task::yield_now().await;
    connect(client).await;
    assert_eq!(client.publish(&publish("t", b"x")).await, Ok(Assurance::BrokerAck));
    assert_eq!(client.link(), LinkState::Connected);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_is_dropped_fails_the_calls_until_it_runs_again() {
    let (client, _events, mut runner, emulator) = parts(slow());
    tokio::spawn(emulator);
    let network = Network::new();
    for ms in 1..120 {
        let call = client.bring_up(&network);
        let run = async { timeout(Duration::from_millis(ms), runner.run()).await.is_err() };
        let (result, dropped) = tokio::join!(timeout(Duration::from_secs(9), call), run);
        let result = result.expect("a call waits for a runner that is gone");
        assert!(dropped);
        assert!(matches!(result, Ok(()) | Err(ClientError::Closed)), "{ms}: {result:?}");
    }
    tokio::spawn(async move { runner.run().await });
    tokio::task::yield_now().await;
    connect(client).await;
    assert_eq!(client.publish(&publish("t", b"x")).await, Ok(Assurance::BrokerAck));
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_takes_no_bytes_does_not_hang_the_calls() {
    let (host, wire) = duplex(4);
    let (reader, writer) = halves(host);
    let machine = hayes_simcom::machine::<256, 4096>(Default::default());
    let (client, _events, mut runner) = leaked(machine).split(reader, writer);
    tokio::spawn(async move { runner.run().await });
    for _ in 0..3 {
        let network = Network::new();
        let call = async {
            let result = client.bring_up(&network).await;
            assert_eq!(result, Err(Error::Unresponsive.into()));
        };
        assert!(soon(call).await);
    }
    // It takes them again.
    tokio::spawn(serve::on_duplex_with(wire, slow(), Loopback::new(), Hooks::default()));
    sleep(Duration::from_secs(1)).await;
    connect(client).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_beforehand_is_refused_without_the_modem() {
    let (client, _events, mut runner, _emulator) = parts(slow());
    tokio::spawn(async move { runner.run().await });
    assert_eq!(client.publish(&publish("t", b"x")).await, Err(Error::NotConnected.into()));
    let result = client.subscribe("a#", QoS::AtMostOnce).await;
    assert!(matches!(result, Err(ClientError::Modem(Error::Field(_)))));
    let third = client.session(2);
    assert_eq!(third.link(), LinkState::Idle);
    let unsupported = Error::Unsupported(Feature::SecondSession).into();
    assert_eq!(third.status().await.map(|_| ()), Err(unsupported));
}

#[tokio::test(start_paused = true)]
async fn copies_of_the_client_speak_for_their_session() {
    let (client, mut events) = connected(slow()).await;
    let second = client.session(1);
    assert_eq!((client.link(), second.link()), (LinkState::Connected, LinkState::Idle));
    let refused = second.publish(&publish("t", b"x")).await;
    assert_eq!(refused, Err(Error::NotConnected.into()));
    let options = ConnectOptions::new("broker.example", 1883, "device-8").unwrap();
    second.connect(&options).await.unwrap();
    second.subscribe("t", QoS::AtLeastOnce).await.unwrap();
    // Whoever asks for the state of one session meanwhile does not change whose
    // turn it is.
    let looks = async {
        loop {
            assert_eq!(second.link(), LinkState::Connected);
            sleep(Duration::from_millis(1)).await;
        }
    };
    let message = publish("t", b"x");
    tokio::select! {
        sent = client.publish(&message) => assert!(sent.is_ok()),
        () = looks => {}
    }
    let mut buffer = [0; 64];
    let Ok(Event::Message(message)) = events.next(&mut buffer).await else { panic!() };
    assert_eq!((message.session, message.payload), (1, b"x".as_slice()));
    tokio::select! {
        left = second.disconnect() => left.unwrap(),
        () = async { loop { let _ = client.link(); sleep(Duration::from_millis(1)).await } } => {}
    }
    assert_eq!((client.link(), second.link()), (LinkState::Connected, LinkState::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_buffer_is_announced_instead() {
    let (client, mut events) = connected(slow()).await;
    client.subscribe("topic", QoS::AtLeastOnce).await.unwrap();
    client.publish(&publish("topic", &[7; 12])).await.unwrap();
    client.publish(&publish("topic", &[8; 11])).await.unwrap();
    client.publish(&publish("topic", &[9; 12])).await.unwrap();
    let mut buffer = [0; 16];
    let Event::Dropped(dropped) = events.next(&mut buffer).await.unwrap() else { panic!() };
    assert_eq!((dropped.count, dropped.bytes, dropped.topic), (1, 12, Some(b"topic".as_slice())));
    let Event::Message(message) = events.next(&mut buffer).await.unwrap() else { panic!() };
    assert_eq!((message.topic, message.payload), (b"topic".as_slice(), [8; 11].as_slice()));
    let Event::Dropped(dropped) = events.next(&mut buffer[..4]).await.unwrap() else { panic!() };
    assert_eq!((dropped.bytes, dropped.topic), (12, None));
}

/// With MQTT over TCP an operation may be through when its last bytes are not.
#[tokio::test(start_paused = true)]
async fn a_call_returns_when_its_bytes_are_written() {
    // CONNACK: MQTT 3.1.1, 3.2. DISCONNECT: 3.14.
    const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
    const DISCONNECT: [u8; 2] = [0xE0, 0];
    let (host, mut broker) = duplex(8);
    let (reader, writer) = halves(host);
    let settings = hayes_iridium::rockremote::Settings::new();
    let machine = hayes_iridium::rockremote::machine::<512>(settings);
    let (client, _events, mut runner) = leaked(machine).split(reader, writer);
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Ok(byte) = broker.read_u8().await {
            sleep(Duration::from_millis(1)).await;
            heard.push(byte);
            if heard.len() == 2 + usize::from(*heard.get(1).unwrap_or(&99)) {
                broker.write_all(&CONNACK).await.unwrap();
            }
        }
        heard
    });
    let payload = [0x55; 300];
    let work = async {
        client.connect(&ConnectOptions::new("10.0.0.1", 1883, "d").unwrap()).await.unwrap();
        let proof = client.publish(&Publish::new("t", &payload).unwrap()).await.unwrap();
        client.disconnect().await.unwrap();
        proof
    };
    // The call waits for the runner, which is dropped the moment after.
    let proof = tokio::select! {
        biased;
        proof = work => proof,
        end = runner.run() => panic!("{end:?}"),
    };
    assert_eq!(proof, Assurance::HandedOver);
    drop(runner);
    let heard = heard.await.unwrap();
    assert_eq!(heard.iter().filter(|byte| **byte == 0x55).count(), 300);
    assert!(heard.ends_with(&DISCONNECT), "{heard:02x?}");
}

/// An MQTT broker on the other end of a wire that holds eight bytes: it takes
/// CONNECT and hands over the wire.
async fn accepted(mut wire: DuplexStream) -> DuplexStream {
    // CONNECT with a client identifier of one byte; CONNACK: MQTT 3.1.1, 3.1 and 3.2.
    let mut connect = [0; 15];
    wire.read_exact(&mut connect).await.unwrap();
    assert_eq!(connect[..2], [0x10, 13]);
    wire.write_all(&[0x20, 2, 0, 0]).await.unwrap();
    wire
}

type Gateway = hayes_iridium::rockremote::Machine<512>;

fn gateway() -> Gateway {
    hayes_iridium::rockremote::machine(hayes_iridium::rockremote::Settings::new())
}

/// A gateway that a broker has let in, over a wire that takes 8 bytes at a time.
async fn admitted() -> (Client<Gateway>, Events<Gateway>, DuplexStream) {
    let (host, wire) = duplex(8);
    let (reader, writer) = halves(host);
    let (client, events, mut runner) = leaked(gateway()).split(reader, writer);
    tokio::spawn(async move { runner.run().await });
    let broker = tokio::spawn(accepted(wire));
    client.connect(&ConnectOptions::new("10.0.0.1", 1883, "d").unwrap()).await.unwrap();
    (client, events, broker.await.unwrap())
}

/// All its bytes were taken when the transport fails, or not.
#[tokio::test(start_paused = true)]
async fn what_was_not_written_is_not_said_to_be_if_another_transport_follows_at_once() {
    for payload in [40, 400] {
        let ((host, wire), (other, wire_of_other)) = (duplex(8), duplex(8));
        let (reader, writer) = halves(host);
        let (client, mut events, mut runner) = leaked(gateway()).split(reader, writer);
        tokio::spawn(async move {
            runner.run().await;
            let (reader, writer) = halves(other);
            runner.replace_transport(reader, writer);
            runner.run().await
        });
        tokio::spawn(async move {
            let wire = accepted(wire).await;
            sleep(Duration::from_millis(5)).await;
            drop(wire);
        });
        let options = ConnectOptions::new("10.0.0.1", 1883, "d").unwrap();
        client.connect(&options).await.unwrap();
        let failed = client.publish(&Publish::new("t", &vec![0x55; payload]).unwrap()).await;
        let told = matches!(failed, Err(ClientError::Closed | ClientError::Transport(_)));
        assert!(told, "{failed:?}");
        let mut heard = BTreeSet::new();
        for _ in 0..2 {
            heard.insert(format!("{:?}", events.next(&mut []).await.unwrap()));
        }
        let lost = Event::Lost { session: 0, loss: Loss::Closed(None) };
        let expected = [Event::Unknown("publish"), lost].map(|event| format!("{event:?}"));
        assert_eq!(heard, BTreeSet::from(expected));
        // Nothing of the old connection goes out on the new one.
        let _broker = tokio::spawn(accepted(wire_of_other));
        client.connect(&options).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_publish_dropped_while_its_bytes_are_written_is_of_unknown_outcome() {
    let (client, mut events, mut wire) = admitted().await;
    let publish = Publish::new("t", &[0x55; 40]).unwrap();
    let call = timeout(Duration::from_millis(5), client.publish(&publish));
    assert!(call.await.is_err());
    wire.read_exact(&mut [0; 45]).await.unwrap();
    let told = timeout(Duration::from_secs(9), events.next(&mut [])).await;
    assert_eq!(told, Ok(Ok(Event::Unknown("publish"))));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_keeps_bytes_back_is_flushed_before_a_call_returns() {
    let (host, wire) = duplex(64);
    let (reader, writer) = halves(host);
    let (client, _events, mut runner) = leaked(gateway()).split(reader, Buffered::new(writer));
    tokio::spawn(async move { runner.run().await });
    let broker = tokio::spawn(accepted(wire));
    client.connect(&ConnectOptions::new("10.0.0.1", 1883, "d").unwrap()).await.unwrap();
    let publish = Publish::new("t", &[0x55; 40]).unwrap();
    assert!(soon(client.publish(&publish)).await);
    let mut heard = [0; 45];
    let published = broker.await.unwrap().read(&mut heard).await.unwrap();
    assert_eq!(published, heard.len());
}

/// What the runner says of a transport.
async fn end(wire: &Scripted) -> ClientError<ErrorKind> {
    let (client, _events, mut runner) =
        leaked(hayes_simcom::machine::<256, 512>(Default::default()))
            .split(wire.clone(), wire.clone());
    let network = Network::new();
    tokio::join!(runner.run(), client.bring_up(&network)).0
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_fails_says_how() {
    let other = ErrorKind::Other;
    let quiet = |script| Scripted::of(script);
    assert_eq!(end(&Scripted::says([Err(other)])).await, ClientError::Transport(other));
    let wire = quiet(Script { takes: Err(other), ..Script::default() });
    assert_eq!(end(&wire).await, ClientError::Transport(other));
    let wire = quiet(Script { flush: Err(other), ..Script::default() });
    assert_eq!(end(&wire).await, ClientError::Transport(other));
    let wire = quiet(Script { takes: Ok(0), ..Script::default() });
    assert_eq!(end(&wire).await, ClientError::Closed);
}

#[tokio::test(start_paused = true)]
async fn empty_reads_end_the_stream_only_if_they_go_on() {
    let (empty, byte) = (|| Ok(Vec::new()), || Ok(b"\r".to_vec()));
    assert_eq!(end(&Scripted::says([empty(), empty(), empty()])).await, ClientError::Closed);
    let wire = Scripted::says([empty(), empty(), byte(), empty(), empty(), Err(ErrorKind::Other)]);
    assert_eq!(end(&wire).await, ClientError::Transport(ErrorKind::Other));
}

#[tokio::test(start_paused = true)]
async fn a_modem_that_always_has_something_to_say_does_not_keep_the_calls_from_speaking() {
    let noise = (0..1_000).map(|_| Ok(b"\r\n+NOISE: 1\r\n".to_vec()));
    let wire = Scripted::says(noise.chain([Err(ErrorKind::Other)]));
    assert_eq!(end(&wire).await, ClientError::Transport(ErrorKind::Other));
    assert!(wire.written().starts_with(b"AT\r"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_leaves_the_queue_takes_nothing_from_the_one_at_work() {
    let (client, mut events) = connected(slow()).await;
    let first = tokio::spawn(async move { client.publish(&publish("t", b"x")).await });
    tokio::task::yield_now().await;
    assert!(timeout(Duration::from_millis(10), client.status()).await.is_err());
    assert_eq!(first.await.unwrap(), Ok(Assurance::BrokerAck));
    assert!(timeout(Duration::from_secs(9), events.next(&mut [0; 64])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn files_are_stored_and_deleted_and_filters_unsubscribed() {
    let (host, wire) = duplex(64);
    let (reader, writer) = halves(host);
    let machine = hayes_simcom::machine::<256, 4096>(Default::default());
    let (client, mut events, mut runner) = leaked(machine).split(reader, writer);
    let (observer, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let hooks = Hooks { observer: Some(observer), ..Hooks::default() };
    tokio::spawn(serve::on_duplex_with(wire, slow(), Loopback::new(), hooks));
    tokio::spawn(async move { runner.run().await });
    connect(client).await;
    client.store(FileKind::Ca, Credential::Pem(b"-----BEGIN")).await.unwrap();
    client.subscribe("t", QoS::AtLeastOnce).await.unwrap();
    client.unsubscribe("t").await.unwrap();
    client.publish(&publish("t", b"x")).await.unwrap();
    assert!(timeout(Duration::from_secs(9), events.next(&mut [0; 64])).await.is_err());
    let _ = client.delete("ca.pem").await;
    let said = said_by_host(&mut seen);
    assert!(said.contains("AT+CCERTDOWN=\"ca-"), "{said}");
    assert!(said.contains("AT+CCERTDELE=\"ca.pem\""), "{said}");
}

/// What is left of a call, or of a runner, whose task was ended without a drop.
async fn forgotten(future: impl Future, polls: usize) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        assert!(poll_once(&mut future).await.is_pending());
        sleep(Duration::from_millis(1)).await;
    }
    std::mem::forget(future);
}

#[tokio::test(start_paused = true)]
async fn parts_that_were_forgotten_do_not_hold_up_those_of_another_split() {
    let (host, wire) = duplex(64);
    tokio::spawn(serve::on_duplex_with(wire, slow(), Loopback::new(), Hooks::default()));
    let machine = hayes_simcom::machine::<256, 4096>(Default::default());
    let mut shared = Shared::<CriticalSectionRawMutex, _, _>::new(Tokio::new(), machine);
    let (reader, writer) = halves(host);
    let (client, _events, mut runner) = shared.split(reader, writer);
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    let work = async {
        client.bring_up(&Network::new()).await.unwrap();
        client.connect(&options).await.unwrap();
    };
    tokio::select! { () = work => {}, _ = runner.run() => {} }
    let message = publish("t", b"x");
    forgotten(async { tokio::join!(runner.run(), client.publish(&message)) }, 30).await;
    let (host, wire) = duplex(64);
    tokio::spawn(serve::on_duplex_with(wire, slow(), Loopback::new(), Hooks::default()));
    let (reader, writer) = halves(host);
    let (client, mut events, mut runner) = shared.split(reader, writer);
    let mut call = Box::pin(client.status());
    assert!(poll_once(&mut call).await.is_pending(), "there is no transport yet");
    let begun = Instant::now();
    let status = tokio::select! { status = &mut call => status, _ = runner.run() => panic!() };
    assert!(status.is_ok() && begun.elapsed() < Duration::from_secs(20), "{status:?}");
    let told = timeout(Duration::from_secs(9), events.next(&mut [])).await;
    assert_eq!(told, Ok(Ok(Event::Unknown("publish"))));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_another_split_waits_for_its_runner() {
    let machine = hayes_simcom::machine::<256, 512>(Default::default());
    let mut shared = Shared::<CriticalSectionRawMutex, _, _>::new(Tokio::new(), machine);
    let (host, _wire) = duplex(64);
    let (reader, writer) = halves(host);
    let (_client, _events, mut runner) = shared.split(reader, writer);
    forgotten(runner.run(), 1).await;
    let (host, mut wire) = duplex(64);
    let (reader, writer) = halves(host);
    let (client, _events, mut runner) = shared.split(reader, writer);
    let network = Network::new();
    let mut call = Box::pin(client.bring_up(&network));
    assert!(poll_once(&mut call).await.is_pending());
    let both = async { tokio::join!(call, runner.run()) };
    assert!(timeout(Duration::from_millis(1), both).await.is_err());
    let mut heard = [0; 3];
    let count = timeout(Duration::from_millis(1), wire.read(&mut heard)).await;
    assert_eq!((count.map(Result::unwrap), &heard), (Ok(3), b"AT\r"));
}

/// The runner is stuck in a write.
#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_told_of_while_the_transport_takes_no_bytes() {
    let (client, mut events, _wire) = admitted().await;
    let told = tokio::spawn(async move {
        assert_eq!(events.next(&mut []).await, Ok(Event::Unknown("publish")));
    });
    let message = Publish::new("t", &[0x55; 200]).unwrap();
    assert!(timeout(Duration::from_millis(5), client.publish(&message)).await.is_err());
    timeout(Duration::from_secs(1), told).await.expect("nothing is told").unwrap();
}

/// A machine that has something to say, after a second an event, and something
/// to say again when that was taken.
#[derive(Default)]
struct Mini {
    hello: &'static [u8],
    /// It has the event when it is asked for what is due.
    tardy: bool,
    late: bool,
    asked: bool,
    due: Option<hayes::Instant>,
    event: bool,
    taken: bool,
    said: bool,
}

impl hayes::Machine for Mini {
    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }
    fn limits(&self) -> Limits {
        Limits::MQTT
    }
    fn assurance(&self, _: QoS) -> Assurance {
        Assurance::HandedOver
    }
    fn select(&mut self, _: u8) -> Result<(), Error> {
        Ok(())
    }
    fn start(&mut self, _: &Operation<'_>, _: hayes::Instant) -> Result<(), Error> {
        Ok(())
    }
    fn receive(&mut self, _: &[u8], _: hayes::Instant) {}
    fn tick(&mut self, now: hayes::Instant) {
        self.late |= self.due.take_if(|due| now >= *due).is_some();
        self.event |= !self.tardy && self.late && !self.taken;
    }
    fn transmit<'a>(
        &'a mut self,
        _: Option<&'a Operation<'a>>,
        now: hayes::Instant,
    ) -> Option<&'a [u8]> {
        if !std::mem::replace(&mut self.asked, true) {
            self.due = Some(now.after_millis(1_000));
        }
        self.event |= self.late && !self.taken;
        if !self.hello.is_empty() {
            return Some(self.hello);
        }
        (self.taken && !self.said).then_some(b"x")
    }
    fn sent(&mut self, count: usize) {
        self.said |= self.hello.is_empty() && count > 0;
        self.hello = self.hello.get(count..).unwrap_or_default();
    }
    fn deadline(&self) -> Option<hayes::Instant> {
        self.due
    }
    fn outcome(&mut self) -> Option<Result<(), Error>> {
        self.said.then_some(Ok(()))
    }
    fn abandon(&mut self, _: usize) {}
    fn is_idle(&self) -> bool {
        true
    }
    fn has_event(&self) -> bool {
        self.event
    }
    fn event(&mut self) -> Option<Event<'_>> {
        self.taken |= self.event;
        std::mem::take(&mut self.event).then_some(Event::Restarted)
    }
    fn link(&self) -> LinkState {
        LinkState::Idle
    }
    fn status(&self) -> Status {
        Status::default()
    }
}

/// A modem's message waits in it until there is room for it.
#[tokio::test(start_paused = true)]
async fn what_waits_for_an_event_to_be_taken_goes_on_then() {
    for (lent, tardy) in [(false, false), (false, true), (true, false), (true, true)] {
        let (host, mut wire) = duplex(64);
        let (reader, writer) = halves(host);
        let (client, mut events, mut runner) =
            leaked(Mini { tardy, ..Mini::default() }).split(reader, writer);
        tokio::spawn(async move { runner.run().await });
        let call = lent.then(|| tokio::spawn(async move { client.status().await.map(|_| ()) }));
        let event = async { assert_eq!(events.next(&mut []).await, Ok(Event::Restarted)) };
        assert!(soon(event).await, "{lent}: its time was not told");
        let said = timeout(Duration::from_secs(9), wire.read_u8()).await;
        assert!(matches!(said, Ok(Ok(b'x'))), "{lent}: {said:?}");
        if let Some(call) = call {
            assert_eq!(call.await.unwrap(), Ok(()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_told_while_the_transport_takes_no_bytes() {
    let (host, _wire) = duplex(1);
    let (reader, writer) = halves(host);
    let machine = Mini { hello: b"hello", ..Mini::default() };
    let (_client, mut events, mut runner) = leaked(machine).split(reader, writer);
    tokio::spawn(async move { runner.run().await });
    let event = async { assert_eq!(events.next(&mut []).await, Ok(Event::Restarted)) };
    assert!(soon(event).await);
}
