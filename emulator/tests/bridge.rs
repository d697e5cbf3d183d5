//! A modem in front of a real broker, with an ordinary MQTT client on the other side.
#![cfg(feature = "broker")]

#[path = "support/authority.rs"]
mod authority;
mod support;
#[path = "support/witness.rs"]
mod witness;

use authority::{authority, tls_front};
use hayes_emulator::bridge::Route;
use hayes_emulator::broker::Broker;
use hayes_emulator::serve::{Control, Direction, Hooks, on_duplex};
use hayes_emulator::simcom::{Config, Family};
use rumqttc::QoS;
use support::Host;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use witness::{next_message, observer};

fn modem(family: Family, route: Route) -> Host<DuplexStream> {
    modem_with(family, route, Hooks::default())
}

fn modem_with(family: Family, route: Route, hooks: Hooks) -> Host<DuplexStream> {
    let (host, line) = tokio::io::duplex(1 << 16);
    let config = Config { family, ..Config::default() };
    tokio::spawn(on_duplex(line, config, route, hooks));
    Host::new(host)
}

#[tokio::test]
async fn messages_go_both_ways_at_every_qos() {
    let broker = Broker::start().expect("a broker");
    for family in Family::ALL {
        let (client, mut events) =
            observer(broker.port, &format!("observer-{family}"), &format!("{family}/up")).await;
        let mut host = modem(family, Route::to("127.0.0.1", broker.port));
        host.prepare(&format!("modem-{family}"), 0).await;
        host.connect("broker.invalid:1883", "", 0).await;
        let down = format!("{family}/down");
        host.subscribe(&down, 2).await;
        for qos in [0, 1, 2] {
            let payload = format!("reading {qos}\r\nOK\r\n>");
            host.publish(&format!("{family}/up"), payload.as_bytes(), qos).await;
            let message = next_message(&mut events).await;
            assert_eq!(message.payload, payload.as_bytes());

            let level = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)];
            client.publish(&down, level, false, vec![b'x'; 2000]).await.expect("queued");
            // The client only moves when it is polled; the modem does so by itself.
            let heard = tokio::select! {
                heard = host.wait("+CMQTTRXEND: 0\r\n") => heard,
                _ = async { loop { events.poll().await.expect("connected"); } } => String::new(),
            };
            let start = format!("+CMQTTRXSTART: 0,{},2000\r\n", down.len());
            assert!(heard.contains(&start), "{heard}");
            assert!(heard.contains("+CMQTTRXPAYLOAD: 0,1500\r\n"), "{heard}");
            assert!(heard.contains("+CMQTTRXPAYLOAD: 0,500\r\n"), "{heard}");
        }
        host.enter(&format!("AT+CMQTTUNSUB=0,{},0", down.len()), down.as_bytes()).await;
        host.wait("+CMQTTUNSUB: 0,0\r\n").await;
        host.ask("AT+CMQTTDISC=0,60\r", "+CMQTTDISC: 0,0\r\n").await;
        host.ask("AT+CMQTTREL=0\r", "OK\r\n").await;
    }
}

#[tokio::test]
async fn several_filters_in_one_subscribe_and_unsubscribe() {
    let broker = Broker::start().expect("a broker");
    let mut host = modem(Family::Sim7600, Route::to("127.0.0.1", broker.port));
    host.prepare("modem", 0).await;
    host.connect("broker.invalid", "", 0).await;
    for filter in ["a/1", "a/2", "a/3"] {
        host.enter("AT+CMQTTSUBTOPIC=0,3,1", filter.as_bytes()).await;
    }
    host.ask("AT+CMQTTSUB=0\r", "+CMQTTSUB: 0,0\r\n").await;
    for topic in ["a/1", "a/2", "a/3"] {
        host.publish(topic, b"hello", 1).await;
        let heard = host.wait("+CMQTTRXEND: 0\r\n").await;
        assert!(heard.contains(topic), "{heard}");
    }
    for filter in ["a/1", "a/2"] {
        host.enter("AT+CMQTTUNSUBTOPIC=0,3", filter.as_bytes()).await;
    }
    host.ask("AT+CMQTTUNSUB=0,0\r", "+CMQTTUNSUB: 0,0\r\n").await;
    host.publish("a/1", b"unheard", 1).await;
    host.publish("a/3", b"heard", 1).await;
    let heard = host.wait("+CMQTTRXEND: 0\r\n").await;
    assert!(heard.contains("a/3") && !heard.contains("unheard"), "{heard}");
}

#[tokio::test]
async fn a_will_is_published_when_the_modem_restarts() {
    let broker = Broker::start().expect("a broker");
    let (_client, mut events) = observer(broker.port, "observer", "will").await;
    let (control, actions) = mpsc::unbounded_channel();
    let hooks = Hooks { control: Some(actions), ..Hooks::default() };
    let mut host = modem_with(Family::Sim7600, Route::to("127.0.0.1", broker.port), hooks);
    host.prepare("modem", 0).await;
    host.enter("AT+CMQTTWILLTOPIC=0,4", b"will").await;
    host.enter("AT+CMQTTWILLMSG=0,4,1", b"gone").await;
    host.connect("broker.invalid", "", 0).await;
    control.send(Control::Urc("+CSQ: 1,99".into())).expect("the modem runs");
    host.wait("\r\n+CSQ: 1,99\r\n").await;
    control.send(Control::Reboot).expect("the modem runs");
    host.wait("RDY\r\n").await;
    assert_eq!(next_message(&mut events).await.payload, &b"gone"[..]);
}

#[tokio::test]
async fn failures_have_the_codes_of_the_table() {
    let broker = Broker::start_with_login("user", "word").expect("a broker");
    let mut host = modem(Family::Sim7600, Route::AsAsked);
    host.prepare("modem", 0).await;

    // A label is at most 63 bytes long: no resolver asks anybody for this name.
    host.connect(&format!("{}:1883", "a".repeat(64)), "", 25).await;

    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    let closer = tokio::spawn(async move { drop(free.accept().await) });
    host.connect(&address, "", 26).await;
    closer.await.expect("one connection");
    host.connect(&address, "", 3).await;

    let address = format!("127.0.0.1:{}", broker.port);
    host.connect(&address, ",\"user\",\"word\"", 0).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_announced() {
    let broker = Broker::start().expect("a broker");
    let front = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = front.local_addr().expect("an address").to_string();
    let proxy = tokio::spawn(async move {
        let (mut front, _) = front.accept().await.expect("a modem");
        let mut back = TcpStream::connect(("127.0.0.1", broker.port)).await.expect("a broker");
        tokio::io::copy_bidirectional(&mut front, &mut back).await
    });
    let mut host = modem(Family::Sim7600, Route::AsAsked);
    host.prepare("modem", 0).await;
    host.connect(&address, "", 0).await;
    proxy.abort();
    host.wait("\r\n+CMQTTCONNLOST: 0,1\r\n").await;
    host.ask("AT+CMQTTDISC?\r", "+CMQTTDISC: 0,1\r\n").await;

    // Wildcards are for filters: a broker does not talk any longer to who publishes to one.
    host.connect(&format!("127.0.0.1:{}", broker.port), "", 0).await;
    host.enter("AT+CMQTTTOPIC=0,1", b"#").await;
    host.ask("AT+CMQTTPUB=0,1,60\r", "+CMQTTPUB: 0,6\r\n\r\n+CMQTTCONNLOST: 0,1\r\n").await;
    host.connect(&format!("127.0.0.1:{}", broker.port), "", 0).await;
}

#[tokio::test]
async fn both_clients_of_one_modem() {
    let broker = Broker::start().expect("a broker");
    let mut host = modem(Family::A76xx, Route::to("127.0.0.1", broker.port));
    host.prepare("first", 0).await;
    host.connect("broker.invalid", "", 0).await;
    host.subscribe("t", 1).await;
    host.ask("AT+CMQTTACCQ=1,\"second\"\r", "OK\r\n").await;
    let connect = "AT+CMQTTCONNECT=1,\"tcp://broker.invalid\",60,1\r";
    host.ask(connect, "+CMQTTCONNECT: 1,0\r\n").await;
    host.enter("AT+CMQTTTOPIC=1,1", b"t").await;
    host.ask("AT+CMQTTPUB=1,1,60,1\r", "+CMQTTPUB: 1,0\r\n").await;
    host.wait("+CMQTTRXSTART: 0,1,0\r\n+CMQTTRXTOPIC: 0,1\r\nt\r\n+CMQTTRXEND: 0\r\n").await;
}

#[tokio::test]
async fn the_observer_sees_both_directions() {
    let (observer, mut seen) = mpsc::unbounded_channel();
    let hooks = Hooks { observer: Some(observer), ..Hooks::default() };
    let mut host = modem_with(Family::Sim7600, Route::AsAsked, hooks);
    host.ask("AT\r", "OK\r\n").await;
    let (from, bytes) = seen.recv().await.expect("the command");
    assert_eq!((from, &bytes[..]), (Direction::HostToModem, &b"AT\r"[..]));
    let (from, bytes) = seen.recv().await.expect("the answer");
    assert_eq!((from, &bytes[..]), (Direction::ModemToHost, &b"AT\r\r\nOK\r\n"[..]));
}

// ---- TLS --------------------------------------------------------------------------------------

async fn download(host: &mut Host<DuplexStream>, name: &str, file: &str) {
    let command = format!("AT+CCERTDOWN=\"{name}\",{}", file.len());
    host.enter(&command, file.as_bytes()).await;
}

#[tokio::test]
async fn tls_with_both_sides_verified() {
    let broker = Broker::start().expect("a broker");
    let authority = authority(false);
    let (port, mut shown) = tls_front(broker.port, authority.server).await;
    let (_client, mut events) = observer(broker.port, "observer", "t").await;
    let mut host = modem(Family::Sim7600, Route::to("127.0.0.1", port));
    host.ask("ATE0\r", "OK\r\n").await;
    download(&mut host, "ca.pem", &authority.ca).await;
    download(&mut host, "cert.pem", &authority.client_certificate).await;
    download(&mut host, "key.pem", &authority.client_key).await;
    for setting in [
        "\"sslversion\",3,3",
        "\"authmode\",3,1",
        "\"cacert\",3,\"ca.pem\"",
        "\"clientcert\",3,\"cert.pem\"",
        "\"clientkey\",3,\"key.pem\"",
        "\"enableSNI\",3,1",
    ] {
        host.ask(format!("AT+CSSLCFG={setting}\r"), "OK\r\n").await;
    }
    host.prepare("modem", 1).await;
    for (mode, certificate) in [(1, false), (2, true), (0, false)] {
        host.ask(format!("AT+CSSLCFG=\"authmode\",3,{mode}\r"), "OK\r\n").await;
        host.ask("AT+CMQTTSSLCFG=0,3\r", "OK\r\n").await;
        host.connect("broker.example:8883", "", 0).await;
        assert_eq!(shown.recv().await, Some(certificate), "authmode {mode}");
        host.publish("t", b"secret", 1).await;
        assert_eq!(next_message(&mut events).await.payload, &b"secret"[..]);
        host.ask("AT+CMQTTDISC=0,60\r", "+CMQTTDISC: 0,0\r\n").await;
    }
}

#[tokio::test]
async fn tls_refuses_a_stranger_and_a_wrong_date() {
    let broker = Broker::start().expect("a broker");
    let late = authority(true);
    let (port, _shown) = tls_front(broker.port, late.server).await;
    for (family, code) in [(Family::Sim7600, 32), (Family::A76xx, 34)] {
        let mut host = modem(family, Route::to("127.0.0.1", port));
        host.ask("ATE0\r", "OK\r\n").await;
        download(&mut host, "ca.pem", &late.ca).await;
        download(&mut host, "other.pem", &authority(false).ca).await;
        host.ask("AT+CSSLCFG=\"authmode\",0,1\r", "OK\r\n").await;
        host.prepare(&format!("modem-{family}"), 1).await;
        host.connect("broker.example:8883", "", 33).await;

        host.ask("AT+CSSLCFG=\"cacert\",0,\"other.pem\"\r", "OK\r\n").await;
        host.connect("broker.example:8883", "", code).await;
        host.ask("AT+CSSLCFG=\"sslversion\",0,0\r", "OK\r\n").await;
        host.connect("broker.example:8883", "", code).await;
        host.ask("AT+CSSLCFG=\"sslversion\",0,4\r", "OK\r\n").await;
        host.ask("AT+CSSLCFG=\"cacert\",0,\"ca.pem\"\r", "OK\r\n").await;
        host.ask("AT+CSSLCFG=\"ignorelocaltime\",0,0\r", "OK\r\n").await;
        host.connect("broker.example:8883", "", code).await;
        host.ask("AT+CSSLCFG=\"ignorelocaltime\",0,1\r", "OK\r\n").await;
        host.connect("broker.example:8883", "", 0).await;
    }
}
