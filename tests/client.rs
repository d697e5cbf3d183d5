//! The async client: over a byte stream to the emulated modem under paused
//! time, and over transports that misbehave.

use std::{cell::Cell, collections::VecDeque, future::Future, io, rc::Rc, time::Duration};

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use hayes::{
    Client, ClientError, Instant, MqttClient, blocking,
    clock::Tokio,
    mqtt::{Assurance, ConnectOptions, Error, Event, Loss, Network, Publish, QoS},
};
use hayes_emulator::{
    Modem, luat,
    network::Loopback,
    serve::{self, Hooks},
    simcom::{self as emulated, Config, Delays, Family},
};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};

type Plain = Client<
    FromTokio<ReadHalf<DuplexStream>>,
    FromTokio<WriteHalf<DuplexStream>>,
    Tokio,
    hayes_simcom::Machine<256, 4096>,
>;

/// A client and the emulated modem at the other end of its wire.
fn modem(config: Config) -> (Plain, impl Future) {
    let (host, wire) = tokio::io::duplex(64);
    let (reader, writer) = tokio::io::split(host);
    let clock = Tokio::new();
    let client = hayes_simcom::client(
        FromTokio::new(reader),
        FromTokio::new(writer),
        clock,
        Default::default(),
    );
    (client, serve::on_duplex_with(wire, config, Loopback::new(), Hooks::default()))
}

async fn connected(config: Config) -> Plain {
    let (mut client, emulator) = modem(config);
    tokio::task::spawn_local(async move {
        emulator.await;
    });
    client.bring_up(&Network::new()).await.unwrap();
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    client.connect(&options).await.unwrap();
    client
}

fn slow() -> Config {
    let delays = Delays { answer: 20, prompt: 15, result: 40, ..Delays::default() };
    Config { family: Family::A76xx, delays, ..Config::default() }
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

#[tokio::test(start_paused = true)]
async fn what_is_published_on_a_topic_subscribed_to_comes_back() {
    local(async {
        let mut modem = connected(slow()).await;
        modem.subscribe("device-7/#", QoS::ExactlyOnce).await.unwrap();
        let payload: Vec<u8> = (0..=255).cycle().take(3_000).collect();
        let publish = Publish::new("device-7/loop", &payload).unwrap();
        let proof = modem.publish(&publish.qos(QoS::AtLeastOnce)).await.unwrap();
        assert_eq!(proof, Assurance::BrokerAck);
        assert_eq!(modem.publish(&publish).await.unwrap(), Assurance::HandedOver);
        let Event::Message(message) = modem.next_event().await.unwrap() else { panic!() };
        assert_eq!(message.topic_str(), Some("device-7/loop"));
        assert_eq!(message.payload, payload);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn any_call_may_be_dropped_at_any_time_and_the_next_one_works() {
    local(async {
        let mut modem = connected(slow()).await;
        modem.subscribe("t/#", QoS::AtLeastOnce).await.unwrap();
        for ms in 0..150 {
            let patience = Duration::from_millis(ms);
            let publish = Publish::new("t/dropped", b"dropped").unwrap().qos(QoS::AtLeastOnce);
            let _ = tokio::time::timeout(patience, modem.publish(&publish)).await;
            let _ = tokio::time::timeout(patience, modem.next_event()).await;
            let publish = Publish::new("t/next", b"next").unwrap().qos(QoS::AtLeastOnce);
            modem.publish(&publish).await.unwrap();
            let mut arrived = false;
            while !arrived {
                match modem.next_event().await.unwrap() {
                    Event::Message(message) => {
                        assert!([b"dropped".as_slice(), b"next"].contains(&message.payload));
                        arrived = message.payload == b"next";
                    }
                    Event::Unknown("publish") => {}
                    other => panic!("{ms}: {other:?}"),
                }
            }
        }
    })
    .await;
}

mockall::mock! {
    Wire {}
    impl ErrorType for Wire {
        type Error = ErrorKind;
    }
    impl Read for Wire {
        async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind>;
    }
    impl Write for Wire {
        async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind>;
        async fn flush(&mut self) -> Result<(), ErrorKind>;
    }
}

fn over(
    reader: MockWire,
    writer: MockWire,
) -> Client<MockWire, MockWire, Tokio, hayes_simcom::Machine<256, 512>> {
    hayes_simcom::client(reader, writer, Tokio::new(), Default::default())
}

fn accepting() -> MockWire {
    let mut wire = MockWire::new();
    wire.expect_write().returning(|bytes| Ok(bytes.len()));
    wire.expect_flush().returning(|| Ok(()));
    wire
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_fails_is_an_error_of_the_transport() {
    let mut reader = MockWire::new();
    reader.expect_read().returning(|_| Err(ErrorKind::NotConnected));
    let result = over(reader, accepting()).bring_up(&Network::new()).await;
    assert_eq!(result, Err(ClientError::Transport(ErrorKind::NotConnected)));

    let mut writer = MockWire::new();
    writer.expect_write().returning(|_| Err(ErrorKind::BrokenPipe));
    let result = over(MockWire::new(), writer).bring_up(&Network::new()).await;
    assert_eq!(result, Err(ClientError::Transport(ErrorKind::BrokenPipe)));
}

#[tokio::test(start_paused = true)]
async fn empty_reads_end_the_stream_only_if_they_go_on() {
    let mut reader = MockWire::new();
    reader.expect_read().times(3).returning(|_| Ok(0));
    let result = over(reader, accepting()).bring_up(&Network::new()).await;
    assert_eq!(result, Err(ClientError::Closed));

    let mut reader = MockWire::new();
    let mut reads = 0;
    reader.expect_read().returning(move |buffer| {
        reads += 1;
        if reads % 3 == 0 {
            buffer[..6].copy_from_slice(b"\r\nRDY ");
            return Ok(1);
        }
        if reads > 30 { Err(ErrorKind::Other) } else { Ok(0) }
    });
    let result = over(reader, accepting()).bring_up(&Network::new()).await;
    assert_eq!(result, Err(ClientError::Transport(ErrorKind::Other)));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_beforehand_never_reaches_the_transport() {
    // A mock without expectations panics when it is touched.
    let mut modem = over(MockWire::new(), MockWire::new());
    let publish = Publish::new("t", b"x").unwrap();
    assert_eq!(modem.publish(&publish).await, Err(Error::NotConnected.into()));
    let subscribe = modem.subscribe("a#", QoS::AtMostOnce).await;
    assert!(matches!(subscribe, Err(ClientError::Modem(Error::Field(_)))));
    let options = ConnectOptions::new("broker.example", 1883, "").unwrap();
    let connect = modem.connect(&options).await;
    assert!(matches!(connect, Err(ClientError::Modem(Error::Field(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_takes_no_bytes_does_not_hang_the_call() {
    let (host, _wire) = tokio::io::duplex(4);
    let (reader, writer) = tokio::io::split(host);
    let clock = Tokio::new();
    let mut modem = hayes_simcom::client::<256, 512, _, _, _>(
        FromTokio::new(reader),
        FromTokio::new(writer),
        clock,
        Default::default(),
    );
    let result = modem.bring_up(&Network::new()).await;
    assert!(
        matches!(result, Err(ClientError::<io::Error>::Modem(Error::Unresponsive))),
        "{result:?}"
    );
}

/// Both halves of a transport that keeps what it takes until it is flushed, and
/// on which something comes in while the end of the first command is taken.
#[derive(Clone, Default)]
struct Keeping(Rc<Kept>);

#[derive(Default)]
struct Kept {
    taken: Cell<usize>,
    flushed: Cell<usize>,
    noise: Cell<Option<bool>>,
}

impl ErrorType for Keeping {
    type Error = ErrorKind;
}

impl Read for Keeping {
    /// Fails when a whole command is out.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        loop {
            if self.0.noise.get() == Some(true) {
                self.0.noise.set(Some(false));
                buffer[..2].copy_from_slice(b"\r\n");
                return Ok(2);
            }
            if self.0.flushed.get() == b"AT\r".len() {
                return Err(ErrorKind::Other);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Write for Keeping {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        if bytes.ends_with(b"\r") && self.0.noise.get().is_none() {
            self.0.noise.set(Some(true));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.0.taken.set(self.0.taken.get() + bytes.len());
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        self.0.flushed.set(self.0.taken.get());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_is_flushed_also_if_something_comes_in_while_it_takes_the_last_bytes() {
    let wire = Keeping::default();
    let clock = Tokio::new();
    let mut modem =
        hayes_simcom::client::<256, 512, _, _, _>(wire.clone(), wire, clock, Default::default());
    let result = modem.bring_up(&Network::new()).await;
    assert_eq!(result, Err(ClientError::Transport(ErrorKind::Other)));
}

/// A writer that takes nothing any more once the gate is shut.
struct Gate(FromTokio<WriteHalf<DuplexStream>>, Rc<Cell<bool>>);

impl ErrorType for Gate {
    type Error = io::Error;
}

impl Write for Gate {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.get() {
            std::future::pending::<()>().await;
        }
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }
}

/// A modem that is silent, and then does not even take bytes: at 2.5 s the
/// driver fills up a data phase that may be open.
#[tokio::test(start_paused = true)]
async fn a_transport_that_stops_taking_bytes_does_not_hang_the_call() {
    for ms in (0..5_000).step_by(250) {
        let (host, _wire) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(host);
        let shut = Rc::new(Cell::new(false));
        let writer = Gate(FromTokio::new(writer), Rc::clone(&shut));
        let clock = Tokio::new();
        let mut modem = hayes_simcom::client::<256, 512, _, _, _>(
            FromTokio::new(reader),
            writer,
            clock,
            Default::default(),
        );
        let shutting = async {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            shut.set(true);
        };
        let network = Network::new();
        let call = tokio::time::timeout(Duration::from_secs(600), modem.bring_up(&network));
        let (result, ()) = tokio::join!(call, shutting);
        let told = matches!(&result, Ok(Err(ClientError::Modem(Error::Unresponsive))));
        assert!(told, "{ms}: {result:?}");
    }
}

/// An emulated modem as a transport that never waits.
struct Wire<M = emulated::Modem> {
    modem: M,
    broker: Loopback,
    now: Rc<Cell<u64>>,
    waiting: VecDeque<u8>,
    /// When somebody publishes on `t`.
    due: Rc<Cell<u64>>,
}

impl<M: Modem> Wire<M> {
    fn advance(&mut self) {
        if self.now.get() >= self.due.get() {
            self.due.set(u64::MAX);
            self.broker.publish(b"t", b"waits", false);
        }
        self.broker.exchange(&mut self.modem, self.now.get());
        self.waiting.extend(self.modem.transmit(self.now.get()));
    }
}

impl<M> ErrorType for Wire<M> {
    type Error = ErrorKind;
}

impl<M: Modem> embedded_io::Read for Wire<M> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let count = buffer.len().min(self.waiting.len());
        for (slot, byte) in buffer.iter_mut().zip(self.waiting.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}

impl<M: Modem> embedded_io::ReadReady for Wire<M> {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        self.advance();
        Ok(!self.waiting.is_empty())
    }
}

impl<M: Modem> embedded_io::Write for Wire<M> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.modem.receive(self.now.get(), bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// A clock that ticks when nobody has anything to do.
struct Ticking(Rc<Cell<u64>>);

impl blocking::Clock for Ticking {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.get())
    }

    fn idle(&self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn the_blocking_client_does_the_same_without_async() {
    let now = Rc::new(Cell::new(0));
    let wire = Wire {
        modem: emulated::Modem::new(slow()),
        broker: Loopback::new(),
        now: Rc::clone(&now),
        waiting: VecDeque::new(),
        due: Rc::new(Cell::new(u64::MAX)),
    };
    let machine = hayes_simcom::machine::<256, 4096>(Default::default());
    let mut modem = blocking::Client::new(wire, Ticking(now), machine);
    modem.bring_up(&Network::new()).unwrap();
    modem.connect(&ConnectOptions::new("broker.example", 1883, "device-7").unwrap()).unwrap();
    modem.subscribe("t", QoS::AtLeastOnce).unwrap();
    assert_eq!(modem.poll_event(), Ok(None));
    let publish = Publish::new("t", b"\r\nOK\r\n").unwrap().qos(QoS::AtLeastOnce);
    assert_eq!(modem.publish(&publish), Ok(Assurance::BrokerAck));
    let Event::Message(message) = modem.next_event().unwrap() else { panic!() };
    assert_eq!(message.payload, b"\r\nOK\r\n");
    modem.unsubscribe("t").unwrap();
    modem.disconnect().unwrap();
    assert_eq!(modem.publish(&publish), Err(Error::NotConnected.into()));
}

/// In a bare loop nobody waits for events: what is due must go out without.
#[test]
fn polling_for_events_fetches_what_waits_in_the_modem() {
    let now = Rc::new(Cell::new(0));
    let due = Rc::new(Cell::new(u64::MAX));
    let wire = Wire {
        modem: luat::Modem::new(luat::Config::default()),
        broker: Loopback::new(),
        now: Rc::clone(&now),
        waiting: VecDeque::new(),
        due: Rc::clone(&due),
    };
    let settings = hayes_luat::Settings::new().receiving(hayes_luat::Receiving::Cached);
    let machine = hayes_luat::machine::<320, 4096>(settings);
    let mut modem = blocking::Client::new(wire, Ticking(Rc::clone(&now)), machine);
    modem.bring_up(&Network::new()).unwrap();
    modem.connect(&ConnectOptions::new("broker.example", 1883, "device-7").unwrap()).unwrap();
    modem.subscribe("t", QoS::AtLeastOnce).unwrap();
    due.set(now.get() + 500);
    for _ in 0..10_000 {
        now.set(now.get() + 1);
        match modem.poll_event().unwrap() {
            None => {}
            Some(Event::Message(message)) => return assert_eq!(message.payload, b"waits"),
            other => panic!("{other:?}"),
        }
    }
    panic!("the message still waits");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_within_a_packet_was_closed_and_not_abandoned() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (host, mut broker) = tokio::io::duplex(64);
    let (reader, writer) = tokio::io::split(host);
    let (reader, writer) = (FromTokio::new(reader), FromTokio::new(writer));
    let settings = hayes_iridium::rockremote::Settings::new();
    let mut gateway =
        hayes_iridium::rockremote::client::<512, _, _, _>(reader, writer, Tokio::new(), settings);
    tokio::spawn(async move {
        let mut heard = [0; 100];
        // CONNECT with a client identifier of eight bytes.
        broker.read_exact(&mut heard[..22]).await.unwrap();
        broker.write_all(b"\x20\x02\0\0").await.unwrap();
        // Some of the PUBLISH, and no more.
        broker.read_exact(&mut heard).await.unwrap();
    });
    let options = ConnectOptions::new("192.168.250.1", 1883, "device-7").unwrap();
    gateway.connect(&options).await.unwrap();
    let payload = [b'x'; 5_000];
    let publish = Publish::new("t", &payload).unwrap().qos(QoS::AtLeastOnce);
    let failed = gateway.publish(&publish).await;
    assert!(matches!(failed, Err(ClientError::Transport(_) | ClientError::Closed)), "{failed:?}");
    assert_eq!(gateway.next_event().await.unwrap(), Event::Unknown("publish"));
    let lost = Event::Lost { session: 0, loss: Loss::Closed(None) };
    assert_eq!(gateway.next_event().await.unwrap(), lost);
}
