//! A RockREMOTE on a TCP port with ordinary MQTT clients on its LAN side and, at the cloud, on the
//! other side of a real broker.

#[allow(dead_code, reason = "half of it speaks SIMCom's dialect")]
mod support;
#[path = "support/witness.rs"]
mod witness;

use hayes_emulator::network::Loopback;
use hayes_emulator::rockremote::{Config, Gateway, Login, Queue};
use hayes_emulator::serve::{Control, Direction, Hooks, on_lan_with, on_listener};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, EventLoop, LastWill, MqttOptions, Packet,
    Publish, QoS, SubscribeFilter, SubscribeReasonCode,
};
use support::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use witness::{next_message, packet};

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A box on a port, and the way to get it back.
struct Served {
    port: u16,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Gateway>,
}

impl Served {
    async fn start(config: Config, hooks: Hooks) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut gateway = Gateway::new(config);
            tokio::select! {
                end = on_lan_with(listener, &mut gateway, Loopback::new(), hooks) => {
                    end.expect("a port to accept on");
                }
                _ = stopped => {}
            }
            gateway
        });
        Served { port, stop, task }
    }

    /// Cancels it.
    async fn stop(self) -> Gateway {
        self.stop.send(()).expect("it runs");
        self.task.await.expect("it ran")
    }

    fn options(&self, id: &str) -> MqttOptions {
        let mut options = MqttOptions::new(id, "127.0.0.1", self.port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        options
    }

    /// A client that is connected and has subscribed.
    async fn client(&self, id: &str, filter: &str, qos: QoS) -> Host {
        let mut host = Host::new(self.options(id));
        assert!(!host.connack().await);
        host.client.subscribe(filter, qos).await.expect("a free channel");
        host.packet(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
        host
    }
}

struct Host {
    client: AsyncClient,
    events: EventLoop,
}

impl Host {
    fn new(options: MqttOptions) -> Host {
        let (client, events) = AsyncClient::new(options, 100);
        Host { client, events }
    }

    async fn packet<T>(&mut self, pick: impl Fn(Packet) -> Option<T>) -> T {
        packet(&mut self.events, pick).await
    }

    /// Whether a session was present.
    async fn connack(&mut self) -> bool {
        self.packet(|packet| match packet {
            Packet::ConnAck(ack) => Some(ack.session_present),
            _ => None,
        })
        .await
    }

    async fn message(&mut self) -> Publish {
        next_message(&mut self.events).await
    }

    /// Publishes, and waits for the last acknowledgement.
    async fn publish(&mut self, topic: &str, qos: QoS, retain: bool, payload: &[u8]) {
        self.client.publish(topic, qos, retain, payload).await.expect("a free channel");
        match qos {
            QoS::AtMostOnce => {
                // It is out when a PINGREQ behind it is answered; an empty SUBACK serves as one.
                self.client.subscribe("nothing", QoS::AtMostOnce).await.expect("a free channel");
                self.packet(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
            }
            QoS::AtLeastOnce => {
                self.packet(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
            }
            QoS::ExactlyOnce => {
                self.packet(|packet| matches!(packet, Packet::PubComp(_)).then_some(())).await;
            }
        }
    }
}

#[tokio::test]
async fn several_clients_at_every_qos() {
    let served = Served::start(Config::default(), Hooks::default()).await;
    let mut from = Host::new(served.options("from"));
    assert!(!from.connack().await);
    let mut hosts = Vec::new();
    for (at, granted) in LEVELS.into_iter().enumerate() {
        hosts.push((granted, served.client(&format!("to-{at}"), "t/#", granted).await));
    }
    for qos in LEVELS {
        let payload = vec![qos as u8; 90_001];
        from.publish("t/a", qos, false, &payload).await;
        for (granted, to) in &mut hosts {
            let message = to.message().await;
            assert_eq!(message.payload, payload);
            let expected = LEVELS[usize::from((qos as u8).min(*granted as u8))];
            assert_eq!((message.qos, message.retain, message.dup), (expected, false, false));
        }
    }
    let gateway = served.stop().await;
    assert_eq!(gateway.counters().topics["t/a"].dropped, 3);
}

#[tokio::test]
async fn a_will_goes_out_when_the_connection_breaks_and_is_kept() {
    let served = Served::start(Config::default(), Hooks::default()).await;
    let mut witness = served.client("witness", "will", QoS::ExactlyOnce).await;
    let mut options = served.options("frail");
    options.set_last_will(LastWill::new("will", "gone", QoS::ExactlyOnce, true));
    let mut frail = Host::new(options.clone());
    frail.connack().await;
    drop(frail);
    let message = witness.message().await;
    assert_eq!((&message.payload[..], message.retain), (&b"gone"[..], false));
    assert_eq!(message.qos, QoS::ExactlyOnce);
    let mut late = served.client("late", "will", QoS::AtMostOnce).await;
    assert!(late.message().await.retain);

    // Who takes leave has no will.
    let mut polite = Host::new(options);
    polite.connack().await;
    polite.client.disconnect().await.expect("a free channel");
    while polite.events.poll().await.is_ok() {}
    let mut other = served.client("other", "nothing", QoS::AtMostOnce).await;
    other.publish("will", QoS::AtLeastOnce, false, b"next").await;
    assert_eq!(witness.message().await.payload, &b"next"[..]);
}

#[tokio::test]
async fn retained_messages_come_with_the_subscription() {
    let served = Served::start(Config::default(), Hooks::default()).await;
    let mut from = served.client("from", "nothing", QoS::AtMostOnce).await;
    from.publish("t/kept", QoS::AtLeastOnce, true, b"state").await;
    from.publish("t/gone", QoS::AtLeastOnce, true, b"state").await;
    from.publish("t/gone", QoS::AtLeastOnce, true, b"").await;
    let mut to = served.client("to", "t/#", QoS::AtLeastOnce).await;
    let message = to.message().await;
    assert_eq!((&*message.topic, message.retain), ("t/kept", true));
    from.publish("t/gone", QoS::AtLeastOnce, false, b"end").await;
    assert_eq!(to.message().await.payload, &b"end"[..]);
}

#[tokio::test]
async fn a_kept_session_gets_what_it_missed() {
    let served = Served::start(Config::default(), Hooks::default()).await;
    let mut options = served.options("keeper");
    options.set_clean_session(false);
    let mut keeper = Host::new(options.clone());
    assert!(!keeper.connack().await);
    keeper.client.subscribe("t", QoS::ExactlyOnce).await.expect("a free channel");
    keeper.packet(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
    drop(keeper);
    let mut from = served.client("from", "nothing", QoS::AtMostOnce).await;
    for qos in LEVELS {
        from.publish("t", qos, false, &[qos as u8]).await;
    }
    let mut keeper = Host::new(options);
    assert!(keeper.connack().await);
    // Whether the first was still heard depends on who noticed the end first.
    let mut message = keeper.message().await;
    if message.qos == QoS::AtMostOnce {
        message = keeper.message().await;
    }
    assert_eq!((message.qos, &message.payload[..]), (QoS::AtLeastOnce, &[1][..]));
    let message = keeper.message().await;
    assert_eq!((message.qos, &message.payload[..]), (QoS::ExactlyOnce, &[2][..]));
    keeper.packet(|packet| matches!(packet, Packet::PubRel(_)).then_some(())).await;
}

#[tokio::test]
async fn refusals_are_told_with_their_codes() {
    let login = Login { user: "u".into(), password: "p".into() };
    let refused_filters = vec!["no".to_owned()];
    let config = Config { login: Some(login), max_qos: 1, refused_filters, ..Config::default() };
    let served = Served::start(config, Hooks::default()).await;
    let mut stranger = Host::new(served.options("stranger"));
    let refused = timeout(PATIENCE, stranger.events.poll()).await.expect("in time");
    let Err(ConnectionError::ConnectionRefused(code)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(code, ConnectReturnCode::NotAuthorized);

    let mut options = served.options("friend");
    options.set_credentials("u", "p");
    let mut friend = Host::new(options);
    friend.connack().await;
    let filters =
        ["a", "no"].map(|filter| SubscribeFilter::new(filter.to_owned(), QoS::ExactlyOnce));
    friend.client.subscribe_many(filters).await.expect("a free channel");
    let granted = friend
        .packet(|packet| match packet {
            Packet::SubAck(ack) => Some(ack.return_codes),
            _ => None,
        })
        .await;
    let expected = [SubscribeReasonCode::Success(QoS::AtLeastOnce), SubscribeReasonCode::Failure];
    assert_eq!(granted, expected);
}

#[tokio::test]
async fn a_host_that_is_cut_off_finds_the_box_again() {
    let (control, actions) = mpsc::unbounded_channel();
    let (observer, mut seen) = mpsc::unbounded_channel();
    let hooks = Hooks { observer: Some(observer), control: Some(actions) };
    let served = Served::start(Config::default(), hooks).await;
    for cut in [Control::Lose { client: 0, cause: 1 }, Control::Reboot] {
        let mut host = Host::new(served.options("c"));
        host.connack().await;
        control.send(cut).expect("the box runs");
        let end = timeout(PATIENCE, async { while host.events.poll().await.is_ok() {} });
        end.await.expect("in time");
        host.connack().await;
        let (direction, bytes) = seen.recv().await.expect("a CONNECT");
        assert_eq!((direction, bytes[0]), (Direction::HostToModem, 0x10));
        let (direction, bytes) = seen.recv().await.expect("a CONNACK");
        assert_eq!((direction, &bytes[..]), (Direction::ModemToHost, &[0x20, 2, 0, 0][..]));
        drop(host);
        while seen.try_recv().is_ok() {}
    }
}

#[tokio::test]
async fn the_last_word_arrives_before_the_end() {
    let served = Served::start(Config::default(), Hooks::default()).await;
    let mut host = TcpStream::connect(("127.0.0.1", served.port)).await.expect("a box");
    // A CONNECT of MQTT 5, and more behind it that nobody will read.
    let connect = b"\x10\x0e\0\x04MQTT\x05\x02\0\0\0\0\x01c";
    host.write_all(&[&connect[..], &[0; 3000]].concat()).await.expect("an open line");
    let mut heard = Vec::new();
    let end = timeout(PATIENCE, host.read_to_end(&mut heard)).await.expect("in time");
    assert_eq!((end.expect("no reset"), &heard[..]), (4, &[0x20, 2, 0, 1][..]));
}

#[tokio::test]
async fn the_view_of_one_host_serves_one_after_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = Config { cloud: None, ..Config::default() };
    let route = hayes_emulator::bridge::Route::AsAsked;
    let modem = tokio::spawn(on_listener(listener, config, route, Hooks::default()));
    for _ in 0..2 {
        let mut host = TcpStream::connect(address).await.expect("a box");
        host.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c\xFF").await.expect("a line");
        let mut heard = Vec::new();
        timeout(PATIENCE, host.read_to_end(&mut heard)).await.expect("in time").expect("an end");
        assert_eq!(heard, [0x20, 2, 0, 0]);
    }
    modem.abort();
}

#[tokio::test]
async fn what_is_due_later_comes_without_another_cause() {
    let config = Config { answer: 20, cloud: None, ..Config::default() };
    let served = Served::start(config, Hooks::default()).await;
    let mut host = Host::new(served.options("c"));
    host.connack().await;
    host.publish("t", QoS::ExactlyOnce, false, b"x").await;
    assert_eq!(served.stop().await.queued(), 1);
}

#[cfg(feature = "broker")]
#[tokio::test]
async fn both_ways_through_a_real_broker() {
    use hayes_emulator::bridge::Route;
    use hayes_emulator::broker::Broker;
    use hayes_emulator::serve::on_lan;

    let broker = Broker::start().expect("a broker");
    let (cloud, mut events) = witness::observer(broker.port, "application", "iot/acc/up/#").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let config = Config {
        account: "acc".into(),
        mt_filters: vec!["#".parse().expect("a filter")],
        queue: Queue::IMMEDIATELY,
        ..Config::default()
    };
    let mut gateway = Gateway::new(config);
    let route = Route::to("127.0.0.1", broker.port);
    let serve = on_lan(listener, &mut gateway, route, Hooks::default());
    let talk = async {
        let mut host = Host::new(MqttOptions::new("host", "127.0.0.1", port));
        host.connack().await;
        host.client.subscribe("#", QoS::ExactlyOnce).await.expect("a free channel");
        host.packet(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
        for qos in LEVELS {
            let topic = format!("up/{}", qos as u8);
            host.client.publish(&topic, qos, false, [qos as u8]).await.expect("a free channel");
            assert_eq!(host.message().await.topic, topic);
            let up = tokio::select! {
                up = next_message(&mut events) => up,
                _ = async { loop { host.events.poll().await.expect("connected"); } } => continue,
            };
            assert_eq!(up.topic, format!("iot/acc/{topic}"));
            let down = format!("iot/acc/dn/{}", qos as u8);
            cloud.publish(&down, qos, false, *b"down").await.expect("a free channel");
            let down = tokio::select! {
                down = host.message() => down,
                _ = async { loop { events.poll().await.expect("connected"); } } => continue,
            };
            // The own message did not come back, or it would have come first.
            assert_eq!(down.topic, format!("dn/{}", qos as u8));
        }
    };
    tokio::select! {
        end = serve => panic!("{end:?}"),
        talked = timeout(PATIENCE, talk) => talked.expect("in time"),
    }
    let counters = gateway.counters();
    assert_eq!((counters.imts, counters.billed), (3, 1500));
    let received: u64 = counters.topics.values().map(|count| count.received).sum();
    assert_eq!(received, 3);
}
