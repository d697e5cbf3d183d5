//! The async client: over a byte stream to the emulated modem under paused
//! time, and over transports that misbehave.

#[path = "common/transport.rs"]
mod transport;

use std::{cell::Cell, future::Future, io, rc::Rc, time::Duration};

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use hayes::{
    Client, ClientError, FileKind, MqttClient,
    clock::Tokio,
    mqtt::{
        Assurance, ConnectOptions, Credential, Error, Event, LinkState, Loss, Network, Publish, QoS,
    },
};
use hayes_emulator::{
    network::Loopback,
    serve::{self, Hooks},
    simcom::{Config, Delays, Family},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use transport::{Buffered, said_by_host};

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
async fn files_are_stored_and_deleted_filters_unsubscribed_and_sessions_selected() {
    local(async {
        let (observer, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let hooks = Hooks { observer: Some(observer), ..Hooks::default() };
        let (host, wire) = tokio::io::duplex(64);
        tokio::task::spawn_local(serve::on_duplex_with(wire, slow(), Loopback::new(), hooks));
        let (reader, writer) = tokio::io::split(host);
        let (reader, writer) = (FromTokio::new(reader), FromTokio::new(writer));
        let settings = Default::default();
        let mut modem: Plain = hayes_simcom::client(reader, writer, Tokio::new(), settings);
        modem.bring_up(&Network::new()).await.unwrap();
        modem.store(FileKind::Ca, Credential::Pem(b"-----BEGIN")).await.unwrap();
        let _ = modem.delete("ca.pem").await;
        let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
        modem.connect(&options).await.unwrap();
        modem.subscribe("t", QoS::AtLeastOnce).await.unwrap();
        modem.unsubscribe("t").await.unwrap();
        let publish = Publish::new("t", b"x").unwrap().qos(QoS::AtLeastOnce);
        modem.publish(&publish).await.unwrap();
        let wait = Duration::from_secs(9);
        assert!(tokio::time::timeout(wait, modem.next_event()).await.is_err());
        assert_eq!(modem.link(), LinkState::Connected);
        modem.select(1).unwrap();
        assert_eq!(modem.link(), LinkState::Idle);
        let refused = modem.publish(&publish).await;
        assert!(matches!(refused, Err(ClientError::Modem(Error::NotConnected))), "{refused:?}");
        let machine = format!("{:?}", modem.machine());
        assert_eq!(format!("{modem:?}"), format!("Client {{ machine: {machine}, .. }}"));
        let said = said_by_host(&mut seen);
        assert!(said.contains("AT+CCERTDOWN=\"ca-"), "{said}");
        assert!(said.contains("AT+CCERTDELE=\"ca.pem\""), "{said}");
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

    let mut writer = MockWire::new();
    writer.expect_write().returning(|_| Ok(0));
    let result = over(MockWire::new(), writer).bring_up(&Network::new()).await;
    assert_eq!(result, Err(ClientError::Closed));

    let mut writer = MockWire::new();
    writer.expect_write().returning(|bytes| Ok(bytes.len()));
    writer.expect_flush().returning(|| Err(ErrorKind::BrokenPipe));
    let mut reader = MockWire::new();
    reader.expect_read().returning(|_| Ok(0));
    let result = over(reader, writer).bring_up(&Network::new()).await;
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

/// A writer that takes nothing any more once the gate is shut, or takes all and
/// does not get rid of it.
struct Gate {
    writer: FromTokio<WriteHalf<DuplexStream>>,
    shut: Rc<Cell<bool>>,
    takes: bool,
}

impl ErrorType for Gate {
    type Error = io::Error;
}

impl Gate {
    async fn pass(&self) {
        if self.shut.get() {
            std::future::pending::<()>().await;
        }
    }
}

impl Write for Gate {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.takes && self.shut.get() {
            return Ok(bytes.len());
        }
        self.pass().await;
        self.writer.write(bytes).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.pass().await;
        self.writer.flush().await
    }
}

/// A modem that is silent, and then does not even take bytes: at 2.5 s the
/// driver fills up a data phase that may be open.
#[tokio::test(start_paused = true)]
async fn a_transport_that_stops_taking_bytes_does_not_hang_the_call() {
    for (ms, takes) in (0..5_000).step_by(250).flat_map(|ms| [(ms, false), (ms, true)]) {
        let (host, _wire) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(host);
        let shut = Rc::new(Cell::new(false));
        let writer = Gate { writer: FromTokio::new(writer), shut: Rc::clone(&shut), takes };
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
        assert!(told, "{ms} {takes}: {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_within_a_packet_was_closed_and_not_abandoned() {
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

type Gateway<W> =
    Client<FromTokio<ReadHalf<DuplexStream>>, W, Tokio, hayes_iridium::rockremote::Machine<512>>;

/// A client of an MQTT broker that has let it in, and the broker's end.
async fn let_in<W: Write<Error = io::Error>>(
    keep_alive: u16,
    writer: impl FnOnce(FromTokio<WriteHalf<DuplexStream>>) -> W,
) -> (Gateway<W>, DuplexStream) {
    let (host, mut broker) = tokio::io::duplex(1 << 16);
    let (reader, write) = tokio::io::split(host);
    let writer = writer(FromTokio::new(write));
    let settings = hayes_iridium::rockremote::Settings::new();
    let reader = FromTokio::new(reader);
    let mut client = hayes_iridium::rockremote::client(reader, writer, Tokio::new(), settings);
    let options = ConnectOptions::new("10.0.0.1", 1883, "d").unwrap().keep_alive(keep_alive);
    let accepts = async {
        // CONNECT with a client identifier of one byte; CONNACK: MQTT 3.1.1, 3.1 and 3.2.
        broker.read_exact(&mut [0; 15]).await.unwrap();
        broker.write_all(&[0x20, 2, 0, 0]).await.unwrap();
    };
    tokio::join!(client.connect(&options), accepts).0.unwrap();
    (client, broker)
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_keeps_bytes_back_is_flushed_before_a_call_returns() {
    let (mut gateway, mut broker) = let_in(60, Buffered::new).await;
    let publish = Publish::new("t", &[0x55; 40]).unwrap();
    assert_eq!(gateway.publish(&publish).await.unwrap(), Assurance::HandedOver);
    drop(gateway);
    let mut heard = Vec::new();
    broker.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.len(), 45);
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_call_did_not_flush_is_flushed_by_the_next() {
    let (host, mut modem) = tokio::io::duplex(64);
    let (reader, writer) = tokio::io::split(host);
    let mut client = hayes_simcom::client::<256, 512, _, _, _>(
        FromTokio::new(reader),
        Buffered::new(FromTokio::new(writer)),
        Tokio::new(),
        Default::default(),
    );
    let call = Duration::from_millis(1);
    assert!(tokio::time::timeout(call, client.bring_up(&Network::new())).await.is_err());
    let wait = Duration::from_millis(20);
    assert!(tokio::time::timeout(wait, client.next_event()).await.is_err());
    let mut heard = [0; 3];
    let arrived = tokio::time::timeout(wait, modem.read_exact(&mut heard)).await;
    assert!(arrived.is_ok(), "AT is not sent");
}

/// Errors of a wait for events are those of the transport.
#[tokio::test(start_paused = true)]
async fn a_transport_that_is_stuck_while_nobody_asks_for_anything_is_an_event() {
    for takes in [false, true] {
        let shut = Rc::new(Cell::new(false));
        let gate = |writer| Gate { writer, shut: Rc::clone(&shut), takes };
        // A ping is due every 45 seconds.
        let (mut gateway, mut broker) = let_in(60, gate).await;
        shut.set(true);
        let event = tokio::time::timeout(Duration::from_secs(600), gateway.next_event()).await;
        let event = event.expect("it hangs").unwrap();
        // Half a packet may be out, and nothing else may follow it; or a ping is
        // not answered.
        let loss = if takes { Loss::KeepAlive(None) } else { Loss::Abandoned };
        assert_eq!(event, Event::Lost { session: 0, loss });
        let _ = broker.shutdown().await;
    }
}

/// One at a time is written, and what came in meanwhile is heard before the next.
#[tokio::test(start_paused = true)]
async fn a_refusal_ends_a_payload_that_is_on_its_way() {
    struct Paced(FromTokio<WriteHalf<DuplexStream>>);
    impl ErrorType for Paced {
        type Error = io::Error;
    }
    impl Write for Paced {
        async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.0.write(bytes).await
        }
        async fn flush(&mut self) -> io::Result<()> {
            self.0.flush().await
        }
    }
    let (mut gateway, mut broker) = let_in(60, Paced).await;
    let payload = [0x55; 10_000];
    let publish = Publish::new("t", &payload).unwrap();
    let refuses = async {
        tokio::time::sleep(Duration::from_micros(4_500)).await;
        // A packet of a type that there is not.
        broker.write_all(&[0; 2]).await.unwrap();
    };
    let (result, ()) = tokio::join!(gateway.publish(&publish), refuses);
    let protocol = matches!(result, Err(ClientError::Modem(Error::Protocol(_))));
    assert!(protocol, "{result:?}");
    drop(gateway);
    let mut heard = Vec::new();
    broker.read_to_end(&mut heard).await.unwrap();
    assert!(heard.len() < 2_000, "{} bytes", heard.len());
}

/// A reader that counts how many of its reads were dropped before they were done.
struct Counting<R>(R, Rc<Cell<u32>>);

impl<R: Read> ErrorType for Counting<R> {
    type Error = R::Error;
}

impl<R: Read> Read for Counting<R> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, R::Error> {
        self.1.set(self.1.get() + 1);
        let count = self.0.read(buffer).await?;
        self.1.set(self.1.get() - 1);
        Ok(count)
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_not_dropped_for_what_is_written() {
    local(async {
        let (host, wire) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(host);
        let (network, hooks) = (Loopback::new(), Hooks::default());
        tokio::task::spawn_local(serve::on_duplex_with(wire, slow(), network, hooks));
        let dropped = Rc::new(Cell::new(0));
        let reader = Counting(FromTokio::new(reader), Rc::clone(&dropped));
        let writer = FromTokio::new(writer);
        let mut modem = hayes_simcom::client::<256, 4096, _, _, _>(
            reader,
            writer,
            Tokio::new(),
            Default::default(),
        );
        modem.bring_up(&Network::new()).await.unwrap();
        modem.connect(&ConnectOptions::new("broker.example", 1883, "d").unwrap()).await.unwrap();
        dropped.set(0);
        let payload = [0x55; 3_000];
        modem.publish(&Publish::new("t", &payload).unwrap()).await.unwrap();
        // That of the end of the call.
        assert!(dropped.get() <= 1, "{} reads", dropped.get());
    })
    .await;
}
