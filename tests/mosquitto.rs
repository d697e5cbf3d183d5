//! The RockREMOTE's client against a real broker: `mosquitto` on the loopback
//! interface, with `rumqttc`, `mosquitto_pub` and `mosquitto_sub` as peers, and
//! a proxy that cuts connections after any byte. Where `mosquitto` is not
//! installed the tests say so and pass, unless `HAYES_NEEDS_MOSQUITTO` is set.

use std::{
    collections::{BTreeMap, VecDeque},
    env, fs,
    future::Future,
    io::{self, BufRead as _, BufReader},
    net::TcpListener as StdListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    slice,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_io_async::{ErrorType, Read};
use hayes::{
    Client, ClientError, MqttClient,
    clock::Tokio,
    mqtt::{
        Assurance, Cause, ConnectOptions, Error, Event, LinkState, Message, Publish,
        QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce},
        Session, Subscription, TopicFilter, Will,
    },
};
use hayes_iridium::rockremote::{self, Machine, Settings};
use rumqttc::{AsyncClient, MqttOptions, Packet};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

/// How long a test may take before it is said to hang.
const HANGS: Duration = Duration::from_secs(60);
const LEVELS: [QoS; 3] = [AtMostOnce, AtLeastOnce, ExactlyOnce];

// ---- the broker -----------------------------------------------------------------

struct Broker {
    port: u16,
    child: Child,
    config: PathBuf,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.config);
    }
}

/// Where a program is, if it is installed.
fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let program = path.split(':').map(|dir| Path::new(dir).join(name));
    let found = program.into_iter().find(|program| program.is_file());
    if found.is_none() {
        assert!(env::var_os("HAYES_NEEDS_MOSQUITTO").is_none(), "{name} is not installed");
        eprintln!("{name} is not installed: nothing is tested here");
    }
    found
}

/// A file name that nobody else uses.
fn temporary(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("hayes-{}-{count}-{name}", std::process::id()))
}

impl Broker {
    fn start() -> Option<Self> {
        Self::with("allow_anonymous true\n")
    }

    fn with(lines: &str) -> Option<Self> {
        let program = installed("mosquitto")?;
        // Somebody else may take a free port before the broker does.
        Some((0..10).find_map(|_| Self::on_a_free_port(&program, lines)).expect("a broker"))
    }

    fn on_a_free_port(program: &Path, lines: &str) -> Option<Self> {
        let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = temporary("mosquitto.conf");
        let queue = "max_queued_messages 0\nlog_dest stderr\nlog_type information\nuser root\n";
        fs::write(&config, format!("listener {port} 127.0.0.1\n{queue}{lines}")).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut says = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let broker = Self { port, child, config };
        let runs = says.any(|line| line.ends_with(" running"));
        thread::spawn(move || says.for_each(drop));
        runs.then_some(broker)
    }

    fn tool(&self, name: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(installed(name).unwrap());
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).kill_on_drop(true);
        command
    }
}

// ---- the client under test ----------------------------------------------------------

/// Reads at most so many bytes at once.
struct Reader(FromTokio<OwnedReadHalf>, usize);

impl ErrorType for Reader {
    type Error = io::Error;
}

impl Read for Reader {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, io::Error> {
        let most = buf.len().min(self.1);
        self.0.read(&mut buf[..most]).await
    }
}

type Writer = FromTokio<OwnedWriteHalf>;
type Modem<const INBOX: usize = 65536> = Client<Reader, Writer, Tokio, Machine<INBOX>>;

async fn dial(port: u16, read: usize) -> (Reader, Writer) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (reader, writer) = stream.into_split();
    (Reader(FromTokio::new(reader), read), FromTokio::new(writer))
}

async fn modem<const INBOX: usize>(port: u16) -> Modem<INBOX> {
    let (reader, writer) = dial(port, usize::MAX).await;
    let clock = Tokio::new();
    rockremote::client(reader, writer, clock, Settings::new().any_port(true))
}

async fn redial<const INBOX: usize>(modem: &mut Modem<INBOX>, port: u16) {
    let (reader, writer) = dial(port, usize::MAX).await;
    modem.replace_transport(reader, writer);
}

fn options(id: &str) -> ConnectOptions<'_> {
    // The port is that of the transport; the machine only checks it.
    ConnectOptions::new("127.0.0.1", 1883, id).unwrap()
}

fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publish<'a> {
    Publish::new(topic, payload).unwrap().qos(qos)
}

type Heard = (String, Vec<u8>);

/// The next message, where the connection may be cut at any time.
async fn message_or_cut<const INBOX: usize>(
    modem: &mut Modem<INBOX>,
) -> Result<Heard, ClientError<io::Error>> {
    loop {
        match modem.next_event().await? {
            Event::Message(message) => return Ok(heard(&message)),
            // One that was cut comes again.
            Event::Lost { .. } | Event::Unknown(_) | Event::Dropped(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The next event, which is a message.
async fn message<const INBOX: usize>(modem: &mut Modem<INBOX>) -> Heard {
    match modem.next_event().await.unwrap() {
        Event::Message(message) => heard(&message),
        other => panic!("{other:?}"),
    }
}

fn heard(message: &Message<'_>) -> Heard {
    (message.topic_str().unwrap().into(), message.payload.into())
}

// ---- the peer -----------------------------------------------------------------------

/// A client of the same broker that shares no code with the one under test.
struct Peer {
    client: AsyncClient,
    messages: mpsc::UnboundedReceiver<rumqttc::Publish>,
    answers: mpsc::UnboundedReceiver<Packet>,
}

impl Peer {
    async fn new(port: u16, id: &str) -> Self {
        Self::with(MqttOptions::new(id, "127.0.0.1", port)).await
    }

    async fn with(mut options: MqttOptions) -> Self {
        options.set_max_packet_size(200_000, 200_000).set_inflight(20);
        let (client, mut events) = AsyncClient::new(options, 2_000);
        let (to_messages, messages) = mpsc::unbounded_channel();
        let (to_answers, answers) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                let told = match event {
                    rumqttc::Event::Incoming(Packet::Publish(message)) => {
                        to_messages.send(message).is_ok()
                    }
                    rumqttc::Event::Incoming(answer) => to_answers.send(answer).is_ok(),
                    rumqttc::Event::Outgoing(_) => true,
                };
                if !told {
                    break;
                }
            }
        });
        let mut peer = Self { client, messages, answers };
        peer.answer(|packet| matches!(packet, Packet::ConnAck(_))).await;
        peer
    }

    async fn answer(&mut self, wanted: impl Fn(&Packet) -> bool) {
        while !wanted(&self.answers.recv().await.expect("the peer is connected")) {}
    }

    async fn subscribe(&mut self, filter: &str) {
        self.client.subscribe(filter, rumqttc::QoS::ExactlyOnce).await.unwrap();
        self.answer(|packet| matches!(packet, Packet::SubAck(_))).await;
    }

    /// Publishes all and waits until the broker has them.
    async fn publish(&mut self, qos: QoS, retain: bool, all: &[Heard]) {
        let level = rumqttc::qos(qos.level()).unwrap();
        for (topic, payload) in all {
            self.client.publish(topic, level, retain, payload.clone()).await.unwrap();
        }
        for _ in all {
            match qos {
                AtMostOnce => {}
                AtLeastOnce => self.answer(|packet| matches!(packet, Packet::PubAck(_))).await,
                ExactlyOnce => self.answer(|packet| matches!(packet, Packet::PubComp(_))).await,
            }
        }
    }

    async fn message(&mut self) -> Heard {
        let message = self.messages.recv().await.expect("the peer is connected");
        (message.topic.clone(), message.payload.to_vec())
    }
}

// ---- the cutting proxy ----------------------------------------------------------------

/// Where a connection is cut: after so many bytes to the client or to the
/// broker.
#[derive(Clone, Copy, Debug)]
struct Cut([usize; 2]);

const NEVER: Cut = Cut([usize::MAX; 2]);

impl Cut {
    /// At every place of a dialogue of these lengths.
    fn everywhere(lengths: [usize; 2]) -> impl Iterator<Item = Self> {
        let to_client = (0..lengths[0]).map(|at| Self([at, usize::MAX]));
        to_client.chain((0..lengths[1]).map(|at| Self([usize::MAX, at])))
    }
}

/// A proxy before the broker whose connections are cut as planned; those
/// beyond the plan are not.
struct Cutter {
    port: u16,
    plan: Arc<Mutex<VecDeque<Cut>>>,
    cuts: Arc<AtomicUsize>,
    /// Bytes of the last connection that was not to be cut: to the client, to
    /// the broker.
    passed: Arc<[AtomicUsize; 2]>,
}

impl Cutter {
    async fn new(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cutter = Self {
            port: listener.local_addr().unwrap().port(),
            plan: Arc::default(),
            cuts: Arc::default(),
            passed: Arc::default(),
        };
        let (plan, cuts) = (cutter.plan.clone(), cutter.cuts.clone());
        let passed = cutter.passed.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let cut = plan.lock().unwrap().pop_front().unwrap_or(NEVER);
                tokio::spawn(relay(client, broker, cut, cuts.clone(), passed.clone()));
            }
        });
        cutter
    }

    fn plan(&self, cuts: impl IntoIterator<Item = Cut>) {
        *self.plan.lock().unwrap() = cuts.into_iter().collect();
    }

    fn passed(&self) -> [usize; 2] {
        [0, 1].map(|way| self.passed[way].load(Ordering::Relaxed))
    }
}

async fn relay(
    mut client: TcpStream,
    broker: u16,
    cut: Cut,
    cuts: Arc<AtomicUsize>,
    passed: Arc<[AtomicUsize; 2]>,
) {
    let mut broker = TcpStream::connect(("127.0.0.1", broker)).await.unwrap();
    client.set_nodelay(true).unwrap();
    broker.set_nodelay(true).unwrap();
    passed.iter().for_each(|way| way.store(0, Ordering::Relaxed));
    let (mut from_client, mut to_client) = client.split();
    let (mut from_broker, mut to_broker) = broker.split();
    let was_cut = tokio::select! {
        cut = pass(&mut from_client, &mut to_broker, cut.0[1], &passed[1]) => cut,
        cut = pass(&mut from_broker, &mut to_client, cut.0[0], &passed[0]) => cut,
    };
    if was_cut == Ok(true) {
        cuts.fetch_add(1, Ordering::Relaxed);
    }
}

/// Passes so many bytes; whether there was one more.
async fn pass(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    mut left: usize,
    passed: &AtomicUsize,
) -> Result<bool, io::ErrorKind> {
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer).await.map_err(|error| error.kind())?;
        if count == 0 {
            return Ok(false);
        }
        let passes = count.min(left);
        to.write_all(&buffer[..passes]).await.map_err(|error| error.kind())?;
        passed.fetch_add(passes, Ordering::Relaxed);
        left -= passes;
        if passes < count {
            return Ok(true);
        }
    }
}

/// Xorshift: random and the same in every run.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

/// Runs `what`; unoptimised, a large machine needs its stack several times.
fn test<F: Future<Output = ()>>(what: impl FnOnce() -> F + Send) {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let what = what();
        runtime.block_on(async { tokio::time::timeout(HANGS, what).await.expect("it hangs") });
    };
    thread::scope(|scope| {
        thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, run).unwrap();
    });
}

/// What `modem` does until `message` is out, whatever its connection suffers.
async fn publish_surely<const INBOX: usize>(
    modem: &mut Modem<INBOX>,
    port: u16,
    options: &ConnectOptions<'_>,
    mut message: Publish<'_>,
) {
    loop {
        reconnect(modem, port, options).await;
        match modem.publish(&message).await {
            Ok(proof) => return assert_eq!(proof, Assurance::LocalBrokerAck),
            Err(_) => message = message.repeat(),
        }
    }
}

/// Connects if there is no connection, until there is one.
async fn reconnect<const INBOX: usize>(
    modem: &mut Modem<INBOX>,
    port: u16,
    options: &ConnectOptions<'_>,
) {
    while modem.link() != LinkState::Connected {
        redial(modem, port).await;
        let _ = modem.connect(options).await;
    }
}

/// Each of `expected` was heard, and with QoS 2 once.
fn assert_heard(heard: &[Heard], expected: &[Heard], qos: QoS, context: &str) {
    let mut counts: BTreeMap<&Heard, usize> = BTreeMap::new();
    heard.iter().for_each(|heard| *counts.entry(heard).or_default() += 1);
    for (topic, payload) in expected {
        let count = counts.remove(&(topic.clone(), payload.clone())).unwrap_or_default();
        let payload = payload.escape_ascii();
        assert!(count > 0, "{context}: {topic} {payload} is lost");
        assert!(qos < ExactlyOnce || count == 1, "{context}: {topic} {payload} came {count} times");
    }
    assert_eq!(counts.len(), 0, "{context}: nobody sent {counts:?}");
}

// ---- tests ------------------------------------------------------------------------------

#[test]
fn payloads_of_all_sizes_go_both_ways_with_each_qos() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        // Where the remaining length grows, with this topic and identifier.
        let sizes = [0, 1, 119, 120, 121, 128, 2_000, 16_375, 16_376, 16_377, 89_999, 90_000];
        let mut peer = Peer::new(broker.port, "peer").await;
        peer.subscribe("up/#").await;
        let mut modem = modem::<262_144>(broker.port).await;
        modem.connect(&options("modem")).await.unwrap();
        modem.subscribe("dn/#", ExactlyOnce).await.unwrap();
        for qos in LEVELS {
            for size in sizes {
                let payload: Vec<u8> = (0..=255).cycle().take(size).collect();
                let proof = modem.publish(&publish("up/1", &payload, qos)).await.unwrap();
                let expected = if qos == AtMostOnce {
                    Assurance::HandedOver
                } else {
                    Assurance::LocalBrokerAck
                };
                assert_eq!(proof, expected);
                assert!(peer.message().await == ("up/1".into(), payload.clone()), "{qos:?} {size}");
                let all = [("dn/1".to_owned(), payload)];
                let (_, heard) = tokio::join!(peer.publish(qos, false, &all), message(&mut modem));
                assert!(heard == all[0], "{qos:?} {size}");
            }
        }
        modem.disconnect().await.unwrap();
    });
}

#[test]
fn a_thousand_messages_go_each_way_at_once_also_in_reads_of_one_byte() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        for read in [usize::MAX, 1] {
            let mut peer = Peer::new(broker.port, "peer").await;
            peer.subscribe("up/#").await;
            let (reader, writer) = dial(broker.port, read).await;
            let clock = Tokio::new();
            let mut modem: Modem = rockremote::client(reader, writer, clock, Settings::new());
            modem.connect(&options("modem")).await.unwrap();
            modem.subscribe("dn/#", ExactlyOnce).await.unwrap();
            let numbered = |way| move |n: usize| (format!("{way}/{}", n % 3), n.to_string().into());
            let sent: Vec<Heard> = (0..1_000).map(numbered("up")).collect();
            let all: Vec<Heard> = (0..1_000).map(numbered("dn")).collect();
            let back: Vec<_> = all.chunks(100).map(<[Heard]>::to_vec).collect();
            let publishing = tokio::spawn(async move {
                for (n, some) in back.iter().enumerate() {
                    peer.publish(LEVELS[n % 3], false, some).await;
                }
                peer
            });
            for (n, (topic, payload)) in sent.iter().enumerate() {
                modem.publish(&publish(topic, payload, LEVELS[n % 3])).await.unwrap();
            }
            let mut heard = Vec::new();
            for _ in 0..1_000 {
                heard.push(message(&mut modem).await);
            }
            // In their order, with each QoS (4.6).
            assert_eq!(heard, all);
            let mut peer = publishing.await.unwrap();
            let mut heard = Vec::new();
            for _ in 0..1_000 {
                heard.push(peer.message().await);
            }
            assert_heard(&heard, &sent, ExactlyOnce, "up");
            modem.disconnect().await.unwrap();
        }
    });
}

#[test]
fn the_tools_of_mosquitto_are_understood_and_understand() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        let mut modem: Modem = modem(broker.port).await;
        modem.connect(&options("modem")).await.unwrap();
        modem.subscribe("dn/+", ExactlyOnce).await.unwrap();
        for qos in ["0", "1", "2"] {
            let text = format!("with QoS {qos}\0 and äöü");
            let mut tool = broker.tool("mosquitto_pub");
            tool.args(["-t", "dn/tool", "-q", qos, "-s"]).stdin(Stdio::piped());
            let mut tool = tool.spawn().unwrap();
            tool.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
            let (heard, done) = tokio::join!(message(&mut modem), tool.wait());
            assert_eq!(heard, ("dn/tool".into(), text.into()));
            assert!(done.unwrap().success());

            let session = ["-c", "-i", qos, "-q", qos, "-t", "up/#", "-v"];
            let mut tool = broker.tool("mosquitto_sub");
            assert!(tool.args(session).arg("-E").status().await.unwrap().success());
            let level = QoS::from_level(qos.parse().unwrap()).unwrap();
            let mut tool = broker.tool("mosquitto_sub");
            // Queued for it where its QoS allows, else when it is there.
            tool.args(session).args(["-C", "1", "-W", "60"]).stdout(Stdio::piped());
            let output = if level == AtMostOnce {
                let retained = publish("up/tool", b"21.5", level).retain(true);
                modem.publish(&retained).await.unwrap();
                let output = tool.output().await.unwrap();
                modem.publish(&publish("up/tool", b"", level).retain(true)).await.unwrap();
                output
            } else {
                modem.publish(&publish("up/tool", b"21.5", level)).await.unwrap();
                tool.output().await.unwrap()
            };
            assert_eq!(output.stdout, b"up/tool 21.5\n", "QoS {qos}");
        }
    });
}

#[test]
fn a_retained_message_comes_on_subscribe_and_goes_when_emptied() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        let mut peer = Peer::new(broker.port, "peer").await;
        let mut modem: Modem = modem(broker.port).await;
        modem.connect(&options("modem")).await.unwrap();
        let kept = publish("state", b"up", AtLeastOnce).retain(true);
        modem.publish(&kept).await.unwrap();
        peer.publish(AtLeastOnce, true, &[("other".into(), b"kept".to_vec())]).await;
        for (topic, payload) in [("state", b"up".as_slice()), ("other", b"kept")] {
            modem.subscribe(topic, ExactlyOnce).await.unwrap();
            let Event::Message(one) = modem.next_event().await.unwrap() else { panic!() };
            assert_eq!((one.topic, one.payload), (topic.as_bytes(), payload));
            let delivery = one.delivery.unwrap();
            assert_eq!((delivery.qos, delivery.retained), (AtLeastOnce, true));
        }
        // To who is subscribed already it is not a retained one (3.3.1-9).
        modem.publish(&publish("state", b"", AtLeastOnce).retain(true)).await.unwrap();
        let Event::Message(one) = modem.next_event().await.unwrap() else { panic!() };
        assert_eq!((one.payload, one.delivery.unwrap().retained), (&b""[..], false));
        let filter = [TopicFilter::new("state").unwrap()];
        modem.unsubscribe_all(&filter).await.unwrap();
        modem.subscribe("state", AtLeastOnce).await.unwrap();
        modem.publish(&publish("state", b"first", AtLeastOnce)).await.unwrap();
        assert_eq!(message(&mut modem).await, ("state".into(), b"first".to_vec()));
    });
}

#[test]
fn a_will_is_published_when_the_transport_is_cut_and_not_after_disconnect() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        let mut peer = Peer::new(broker.port, "peer").await;
        peer.subscribe("#").await;
        // The longest topic that the gateway takes.
        let topic = "w/".to_owned() + &"ä".repeat(49);
        let payload = vec![b'x'; 65_535];
        for qos in LEVELS {
            for retain in [false, true] {
                let will = Will::new(&topic, &payload).unwrap().qos(qos).retain(retain);
                let mut modem: Modem = modem(broker.port).await;
                modem.connect(&options("modem").last_will(will)).await.unwrap();
                drop(modem);
                assert!(peer.message().await == (topic.clone(), payload.clone()));
            }
        }
        let mut late = Peer::new(broker.port, "late").await;
        late.subscribe(&topic).await;
        let retained = late.messages.recv().await.unwrap();
        assert!(retained.retain && retained.payload == payload);

        let will = Will::new("w", b"never").unwrap();
        let mut modem: Modem = modem(broker.port).await;
        modem.connect(&options("modem").last_will(will)).await.unwrap();
        modem.disconnect().await.unwrap();
        drop(modem);
        peer.publish(AtLeastOnce, false, &[("end".into(), vec![])]).await;
        assert_eq!(peer.message().await, ("end".into(), vec![]));
    });
}

#[test]
fn several_filters_overlap_and_are_given_up_one_by_one() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        let mut peer = Peer::new(broker.port, "peer").await;
        let mut modem: Modem = modem(broker.port).await;
        modem.connect(&options("modem")).await.unwrap();
        let filters =
            [("a/#", ExactlyOnce), ("a/+", AtLeastOnce), ("a/b", AtMostOnce), ("z", ExactlyOnce)]
                .map(|(filter, qos)| Subscription::new(filter, qos).unwrap());
        let granted = modem.subscribe_all(&filters).await.unwrap();
        let granted: Vec<_> = (0..4).map(|at| granted.qos(at).unwrap()).collect();
        assert_eq!(granted, [ExactlyOnce, AtLeastOnce, AtMostOnce, ExactlyOnce]);
        // 3.3.5: delivered once, or once for each filter.
        let sent = ("a/b".to_owned(), b"x".to_vec());
        let end = ("z".to_owned(), b"end".to_vec());
        for unsubscribed in ["a/+", "a/b", "a/#"] {
            peer.publish(ExactlyOnce, false, slice::from_ref(&sent)).await;
            peer.publish(ExactlyOnce, false, slice::from_ref(&end)).await;
            let mut copies = 0;
            loop {
                let heard = message(&mut modem).await;
                if heard == end {
                    break;
                }
                assert_eq!(heard, sent);
                copies += 1;
            }
            assert!((1..=3).contains(&copies), "{copies}");
            modem.unsubscribe(unsubscribed).await.unwrap();
        }
        peer.publish(ExactlyOnce, false, &[sent]).await;
        peer.publish(ExactlyOnce, false, slice::from_ref(&end)).await;
        assert_eq!(message(&mut modem).await, end);
    });
}

#[test]
fn user_and_password_are_asked_for_and_filters_may_be_forbidden() {
    let Some(tool) = installed("mosquitto_passwd") else { return };
    let passwords = temporary("passwords");
    let made =
        Command::new(tool).args(["-b", "-c"]).arg(&passwords).args(["buoy", "s3cret"]).status();
    assert!(made.unwrap().success());
    let lines = format!("allow_anonymous false\npassword_file {}\n", passwords.display());
    let broker = Broker::with(&lines).unwrap();
    test(|| async {
        for credentials in [
            None,
            Some(("buoy", Some("wrong"))),
            Some(("nobody", Some("s3cret"))),
            Some(("buoy", None)),
        ] {
            let mut modem: Modem = modem(broker.port).await;
            let options = match credentials {
                Some((user, password)) => options("modem").credentials(user, password).unwrap(),
                None => options("modem"),
            };
            let Err(ClientError::Modem(Error::Refused(refusal))) = modem.connect(&options).await
            else {
                panic!("{credentials:?}");
            };
            // Which of the two codes is the broker's choice (3.2.2.3).
            assert!(
                matches!(refusal.cause, Cause::Credentials | Cause::NotAuthorized),
                "{refusal}"
            );
            let again = modem.connect(&options).await;
            assert_eq!(again.unwrap_err().to_string(), Error::TransportUsed.to_string());
        }
        let mut modem: Modem = modem(broker.port).await;
        let options = options("modem").credentials("buoy", Some("s3cret")).unwrap();
        modem.connect(&options).await.unwrap();
        modem.publish(&publish("t", b"", AtLeastOnce)).await.unwrap();
    });
    let _ = fs::remove_file(passwords);
}

#[test]
fn what_was_queued_for_an_absent_session_comes_in_order_and_once() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        let mut peer = Peer::new(broker.port, "peer").await;
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut modem: Modem = modem(broker.port).await;
            let options =
                options(if qos == AtLeastOnce { "one" } else { "two" }).clean_session(false);
            assert_eq!(modem.connect(&options).await.unwrap(), Session::New);
            modem.subscribe("dn/#", qos).await.unwrap();
            modem.disconnect().await.unwrap();
            // More than the 20 that mosquitto has under way.
            let all: Vec<Heard> =
                (0..200).map(|n| ("dn/t".into(), format!("{n}").into())).collect();
            peer.publish(qos, false, &all).await;
            redial(&mut modem, broker.port).await;
            assert_eq!(modem.connect(&options).await.unwrap(), Session::Resumed);
            for expected in &all {
                assert_eq!(message(&mut modem).await, *expected);
            }
            // A clean session forgets it all.
            modem.disconnect().await.unwrap();
            redial(&mut modem, broker.port).await;
            let clean = options.clean_session(true);
            assert_eq!(modem.connect(&clean).await.unwrap(), Session::New);
            modem.subscribe("end", qos).await.unwrap();
            peer.publish(qos, false, &all[..1]).await;
            peer.publish(qos, false, &[("end".into(), vec![])]).await;
            assert_eq!(message(&mut modem).await, ("end".into(), vec![]));
        }
    });
}

#[test]
fn what_is_published_arrives_wherever_the_connection_is_cut() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        let mut peer = Peer::new(broker.port, "peer").await;
        peer.subscribe("up/#").await;
        let cutter = Cutter::new(broker.port).await;
        for qos in [AtLeastOnce, ExactlyOnce] {
            let dialogue = async |id: &str| {
                let mut modem: Modem = modem(cutter.port).await;
                let options = options(id).clean_session(false);
                let _ = modem.connect(&options).await;
                let sent = [1, 2].map(|n| ("up/t".to_owned(), format!("{id} {n}").into_bytes()));
                for (topic, payload) in &sent {
                    publish_surely(&mut modem, cutter.port, &options, publish(topic, payload, qos))
                        .await;
                }
                sent
            };
            let mut sent = Vec::from(dialogue("first").await);
            let lengths = cutter.passed();
            assert!(lengths[0] >= 12 && lengths[1] > 50, "{lengths:?}");
            cutter.cuts.store(0, Ordering::Relaxed);
            for (n, cut) in Cut::everywhere(lengths).enumerate() {
                cutter.plan([cut]);
                sent.extend(dialogue(&format!("{n:05}")).await);
            }
            assert_eq!(cutter.cuts.load(Ordering::Relaxed), lengths[0] + lengths[1]);
            println!("{qos:?}: {} cuts, {} messages", lengths[0] + lengths[1], sent.len());
            peer.publish(AtLeastOnce, false, &[("up/end".into(), vec![])]).await;
            let mut heard = Vec::new();
            loop {
                let message = peer.message().await;
                if message.0 == "up/end" {
                    break;
                }
                heard.push(message);
            }
            assert_heard(&heard, &sent, qos, &format!("{qos:?}"));
        }
    });
}

#[test]
fn what_is_subscribed_to_arrives_wherever_the_connection_is_cut() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        let mut peer = Peer::new(broker.port, "peer").await;
        let cutter = Cutter::new(broker.port).await;
        for qos in [AtLeastOnce, ExactlyOnce] {
            let mut dialogue = async |cut: Cut, id: &str| {
                let id = &format!("{id}-{}", qos.level());
                let options = options(id).clean_session(false);
                let mut modem: Modem = modem(broker.port).await;
                modem.connect(&options).await.unwrap();
                let topic = format!("dn/{id}");
                modem.subscribe(&topic, qos).await.unwrap();
                modem.disconnect().await.unwrap();
                let all = [1, 2, 3].map(|n| (topic.clone(), format!("{n}").into_bytes()));
                peer.publish(qos, false, &all).await;
                cutter.plan([cut]);
                let mut heard = Vec::new();
                reconnect(&mut modem, cutter.port, &options).await;
                let mut ended = false;
                loop {
                    match message_or_cut(&mut modem).await {
                        Ok((_, payload)) if payload == b"end" => break,
                        Ok(message) => heard.push(message),
                        Err(_) => reconnect(&mut modem, cutter.port, &options).await,
                    }
                    if heard.len() >= 3 && !ended {
                        ended = true;
                        peer.publish(qos, false, &[(topic.clone(), b"end".to_vec())]).await;
                    }
                }
                assert_heard(&heard, &all, qos, &format!("{qos:?} {cut:?}"));
                // Whatever is still owed is said before the session is left.
                modem.publish(&publish("none", b"", AtLeastOnce)).await.is_ok()
            };
            assert!(dialogue(NEVER, "first").await);
            let lengths = cutter.passed();
            cutter.cuts.store(0, Ordering::Relaxed);
            for (n, cut) in Cut::everywhere(lengths).enumerate() {
                dialogue(cut, &format!("{n:05}")).await;
            }
            let cuts = cutter.cuts.load(Ordering::Relaxed);
            println!("{qos:?}: {cuts} cuts of {lengths:?} bytes");
            assert!(cuts > lengths[0], "{cuts}");
        }
    });
}

#[test]
fn nothing_is_lost_or_doubled_by_many_cuts_while_both_sides_publish() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        let cutter = Cutter::new(broker.port).await;
        for seed in 1..=6_u64 {
            let mut random = random(seed * 0x9E37_79B9);
            for qos in [AtLeastOnce, ExactlyOnce] {
                let id = format!("{seed}-{}", qos.level());
                let mut peer = Peer::new(broker.port, &format!("peer-{id}")).await;
                peer.subscribe(&format!("up/{id}")).await;
                let options = options(&id).clean_session(false);
                let mut modem: Modem = modem(broker.port).await;
                modem.connect(&options).await.unwrap();
                let (up, dn) = (format!("up/{id}"), format!("dn/{id}"));
                modem.subscribe(&dn, ExactlyOnce).await.unwrap();
                modem.disconnect().await.unwrap();
                let numbered = |topic: &str, n: usize| {
                    let mut payload = vec![b'.'; n * n % 700];
                    payload.extend(n.to_string().into_bytes());
                    (topic.to_owned(), payload)
                };
                let sent: Vec<Heard> = (0..60).map(|n| numbered(&up, n)).collect();
                let all: Vec<Heard> = (0..60).map(|n| numbered(&dn, n)).collect();
                let cuts = (0..60).map(|_| Cut([4 + random(800), 20 + random(800)]));
                cutter.plan(cuts);
                cutter.cuts.store(0, Ordering::Relaxed);
                let (back, end) = (all.clone(), [(dn.clone(), b"end".to_vec())]);
                let publishing = tokio::spawn(async move {
                    peer.publish(qos, false, &back).await;
                    peer.publish(qos, false, &end).await;
                    peer
                });
                for (topic, payload) in &sent {
                    publish_surely(&mut modem, cutter.port, &options, publish(topic, payload, qos))
                        .await;
                }
                let mut heard = Vec::new();
                loop {
                    match message_or_cut(&mut modem).await {
                        Ok((_, payload)) if payload == b"end" => break,
                        Ok(message) => heard.push(message),
                        Err(_) => reconnect(&mut modem, cutter.port, &options).await,
                    }
                }
                let context = format!("seed {seed}, {qos:?}");
                assert_heard(&heard, &all, qos, &context);
                let cuts = cutter.cuts.load(Ordering::Relaxed);
                println!("{context}: {cuts} cuts");
                assert!(cuts > 10, "{cuts}");
                let mut peer = publishing.await.unwrap();
                peer.publish(AtLeastOnce, false, &[(up, b"end".to_vec())]).await;
                let mut heard = Vec::new();
                loop {
                    let message = peer.message().await;
                    if message.1 == b"end" {
                        break;
                    }
                    heard.push(message);
                }
                assert_heard(&heard, &sent, qos, &context);
            }
        }
    });
}

#[test]
fn a_publish_whose_future_was_dropped_arrives_once_when_repeated() {
    let Some(broker) = Broker::start() else { return };
    test(|| async {
        let mut peer = Peer::new(broker.port, "peer").await;
        peer.subscribe("up/#").await;
        let options = options("modem").clean_session(false);
        let mut modem: Modem = modem(broker.port).await;
        let large = vec![b'x'; 50_000];
        let mut sent = Vec::new();
        let mut dropped = 0;
        for n in 0..60_usize {
            let mut payload = n.to_string().into_bytes();
            if n % 2 == 1 {
                payload.extend(&large);
            }
            let message = publish("up/t", &payload, ExactlyOnce);
            reconnect(&mut modem, broker.port, &options).await;
            let publishing = modem.publish(&message);
            // Polled so often, and then dropped.
            let done = polled(publishing, n / 2).await;
            if done.is_none() {
                dropped += 1;
                publish_surely(&mut modem, broker.port, &options, message.repeat()).await;
            }
            sent.push(("up/t".to_owned(), payload));
        }
        assert!(dropped > 5, "{dropped}");
        println!("{dropped} publishes dropped");
        publish_surely(&mut modem, broker.port, &options, publish("up/end", b"", AtLeastOnce))
            .await;
        let mut heard = Vec::new();
        loop {
            let message = peer.message().await;
            if message.0 == "up/end" {
                break;
            }
            heard.push(message);
        }
        assert_heard(&heard, &sent, ExactlyOnce, "dropped");
    });
}

/// Polls `future` at most `count` times, when it asks for it.
async fn polled<F: Future>(future: F, count: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = count;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        let output = future.as_mut().poll(cx).map(Some);
        if left == 0 && output.is_pending() {
            return std::task::Poll::Ready(None);
        }
        output
    })
    .await
}
