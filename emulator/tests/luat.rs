//! A Luat modem in front of a real broker, with an ordinary MQTT client on the other side.
#![cfg(feature = "broker")]

#[path = "support/authority.rs"]
mod authority;
#[allow(dead_code, reason = "half of it speaks SIMCom's dialect")]
mod support;
#[path = "support/witness.rs"]
mod witness;

use authority::{authority, tls_front};
use hayes_emulator::bridge::Route;
use hayes_emulator::broker::Broker;
use hayes_emulator::luat::{Config, Delays, Family};
use hayes_emulator::serve::{Control, Hooks, Pty, on_duplex, on_listener};
use rumqttc::QoS;
use support::Host;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use witness::{next_message, observer};

fn modem(family: Family, route: Route) -> Host<DuplexStream> {
    modem_with(
        Config { family, delays: Delays::NONE, ..Config::default() },
        route,
        Hooks::default(),
    )
}

fn modem_with(config: Config, route: Route, hooks: Hooks) -> Host<DuplexStream> {
    let (host, line) = tokio::io::duplex(1 << 16);
    tokio::spawn(on_duplex(line, config, route, hooks));
    Host::new(host)
}

async fn connect(host: &mut Host<DuplexStream>, start: &str, settings: &str) {
    host.ask("ATE0\r\n", "OK\r\n").await;
    host.ask(format!("AT+MCONFIG={settings}\r\n"), "OK\r\n").await;
    host.ask(format!("AT+{start}\r\n"), "\r\nOK\r\n\r\nCONNECT OK\r\n").await;
    host.ask("AT+MCONNECT=1,60\r\n", "\r\nOK\r\n\r\nCONNACK OK\r\n").await;
}

const START: &str = "MIPSTART=\"broker.invalid\",1883";

async fn publish(host: &mut Host<DuplexStream>, topic: &str, payload: &[u8], qos: usize) {
    let length = payload.len();
    host.ask(format!("AT+MPUBEX=\"{topic}\",{qos},0,{length}\r\n"), "\r\n>").await;
    let end = ["OK\r\n", "PUBACK\r\n", "PUBREC\r\n\r\nPUBCOMP\r\n"][qos];
    host.ask(payload, end).await;
}

#[tokio::test]
async fn messages_go_both_ways_at_every_qos() {
    let broker = Broker::start().expect("a broker");
    for (family, longest) in [
        (Family::Air724, 4100),
        (Family::Air780e, 4100),
        (Family::Air700eaqV2019, 5120),
        (Family::V2015plus, 5120),
    ] {
        let (client, mut events) =
            observer(broker.port, &format!("observer-{family}"), &format!("{family}/up")).await;
        let mut host = modem(family, Route::to("127.0.0.1", broker.port));
        connect(&mut host, START, &format!("\"modem-{family}\"")).await;
        let down = format!("{family}/down");
        host.ask(format!("AT+MSUB=\"{down}\",2\r\n"), "\r\nOK\r\n\r\nSUBACK\r\n").await;
        for qos in [0, 1, 2] {
            let payload: Vec<u8> = (0..=255).cycle().skip(qos).take(longest).collect();
            publish(&mut host, &format!("{family}/up"), &payload, qos).await;
            let seen = next_message(&mut events).await;
            // The broker passes everything on with the QoS of the subscription.
            assert!(seen.payload[..] == payload[..], "QoS {qos}");

            let text = format!("{{\n \"qos\": {qos}\n}}\r\nOK\r\n> ");
            let quality = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][qos];
            client.publish(&down, quality, false, text.as_bytes()).await.expect("room");
            let pump = async {
                loop {
                    let _ = events.poll().await;
                }
            };
            let line = format!("\r\n+MSUB: \"{down}\",{} byte,{text}\r\n", text.len());
            tokio::select! {
                _ = host.wait(&line) => {}
                () = pump => {}
            }
        }
        let json = "AT+MPUB=\"retained\",1,1,\"{\\22a\\22:\\0D\\0A\\5C1}\"\r\n";
        host.ask(json, "\r\nOK\r\n\r\nPUBACK\r\n").await;
        host.ask("AT+MSUB=\"retained\",0\r\n", "SUBACK\r\n").await;
        host.wait("\r\n+MSUB: \"retained\",10 byte,{\"a\":\r\n\\1}\r\n").await;
        // Emptied for the next family, and not heard of any more.
        host.ask("AT+MUNSUB=\"retained\"\r\n", "\r\nOK\r\n\r\nUNSUBACK\r\n").await;
        host.ask("AT+MPUB=\"retained\",1,1,\"\"\r\n", "PUBACK\r\n").await;
        host.ask(format!("AT+MUNSUB=\"{down}\"\r\n"), "\r\nOK\r\n\r\nUNSUBACK\r\n").await;
    }
}

#[tokio::test]
async fn a_will_is_for_those_who_go_without_a_word() {
    let broker = Broker::start().expect("a broker");
    let (_client, mut events) = observer(broker.port, "observer", "will/#").await;
    let (control, actions) = mpsc::unbounded_channel();
    let hooks = Hooks { control: Some(actions), ..Hooks::default() };
    let config = Config { delays: Delays::NONE, ..Config::default() };
    let mut host = modem_with(config, Route::to("127.0.0.1", broker.port), hooks);
    connect(&mut host, START, "\"modem\",\"\",\"\",1,0,\"will/none\",\"gone\"").await;
    // At once, so that the DISCONNECT has to be quick.
    host.ask("AT+MDISCONNECT\r\nAT+MIPCLOSE\r\n", "\r\nOK\r\n\r\nOK\r\n").await;
    connect(&mut host, START, "\"modem\",\"\",\"\",1,0,\"will/cut\",\"gone\"").await;
    control.send(Control::Reboot).expect("the modem runs");
    host.wait("RDY\r\n").await;
    let will = next_message(&mut events).await;
    assert_eq!((&will.topic[..], &will.payload[..]), ("will/cut", &b"gone"[..]));
}

#[tokio::test]
async fn failures_tell_nothing() {
    let broker = Broker::start_with_login("user", "word").expect("a broker");
    let mut host = modem(Family::Air780e, Route::AsAsked);
    host.ask("ATE0\r\n", "OK\r\n").await;

    let fail = "\r\nOK\r\n\r\nSTATE: IP STATUS\r\n\r\nCONNECT FAIL\r\n";
    let nowhere = format!("AT+MIPSTART=\"{}\",1883\r\n", "a".repeat(64));
    host.ask(nowhere, fail).await;
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    let start = format!("AT+MIPSTART=\"127.0.0.1\",{}\r\n", address.port());

    // Closed while nothing was said.
    let closer = tokio::spawn(async move {
        drop(free.accept().await);
        free
    });
    host.ask(&start, "CONNECT OK\r\n").await;
    host.wait("\r\nCLOSED\r\n").await;
    host.ask("AT+MCONNECT=1,60\r\n", "\r\n+CME ERROR: 767\r\n").await;
    host.ask("AT+MIPCLOSE\r\n", "\r\n+CME ERROR: 767\r\n").await;

    // Closed by whoever reads a CONNECT.
    let free = closer.await.expect("one connection");
    let closer = tokio::spawn(async move {
        let (mut stream, _) = free.accept().await.expect("a modem");
        assert!(stream.read(&mut [0; 64]).await.expect("a CONNECT") > 0);
    });
    host.ask(&start, "CONNECT OK\r\n").await;
    host.ask("AT+MCONNECT=1,60\r\n", "\r\nOK\r\n\r\nCLOSED\r\n").await;
    closer.await.expect("one connection");
    host.ask(&start, fail).await;

    // The same host and the right password.
    let start = format!("MIPSTART=127.0.0.1,{}", broker.port);
    connect(&mut host, &start, "\"modem\",\"user\",\"word\"").await;
}

/// A broker's refusal with a return code.
#[tokio::test]
async fn a_refusal_is_a_bare_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let broker = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a modem");
        let mut connect = [0; 64];
        assert!(stream.read(&mut connect).await.expect("a CONNECT") > 0);
        stream.write_all(b"\x20\x02\x00\x05").await.expect("an open connection");
    });
    let mut host = modem(Family::Air780e, Route::to("127.0.0.1", port));
    host.ask("ATE0\r\n", "OK\r\n").await;
    host.ask(format!("AT+{START}\r\n"), "CONNECT OK\r\n").await;
    host.ask("AT+MCONNECT=1,60\r\n", "\r\nOK\r\n\r\nERROR\r\n").await;
    broker.await.expect("one connection");
    host.ask("AT+MQTTSTATU\r\n", "\r\n+MQTTSTATU :2\r\n").await;
    host.ask("AT+MIPCLOSE\r\n", "\r\nOK\r\n").await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_announced() {
    let broker = Broker::start().expect("a broker");
    let front = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = front.local_addr().expect("an address").port();
    let proxy = tokio::spawn(async move {
        let (mut front, _) = front.accept().await.expect("a modem");
        let mut back = TcpStream::connect(("127.0.0.1", broker.port)).await.expect("a broker");
        tokio::io::copy_bidirectional(&mut front, &mut back).await
    });
    let mut host = modem(Family::Air780e, Route::to("127.0.0.1", port));
    connect(&mut host, START, "\"modem\"").await;
    proxy.abort();
    host.wait("\r\nCLOSED\r\n").await;
    host.ask("AT+MQTTSTATU\r\n", "\r\n+MQTTSTATU :0\r\n").await;
}

async fn store(host: &mut Host<DuplexStream>, name: &str, file: &str) {
    host.ask(format!("AT+FSCREATE=\"{name}\"\r\n"), "\r\nOK\r\n").await;
    host.ask(format!("AT+FSWRITE=\"{name}\",0,{},15\r\n", file.len()), "\r\n>").await;
    host.ask(file, "\r\nOK\r\n").await;
    host.ask(format!("AT+FSFLSIZE=\"{name}\"\r\n"), &format!("{}\r\n", file.len())).await;
}

async fn set(host: &mut Host<DuplexStream>, setting: &str) {
    host.ask(format!("AT+SSLCFG={setting}\r\n"), "\r\nOK\r\n").await;
}

#[tokio::test]
async fn tls_with_both_sides_verified() {
    let broker = Broker::start().expect("a broker");
    let authority = authority(false);
    let (port, mut shown) = tls_front(broker.port, authority.server).await;
    let (_client, mut events) = observer(broker.port, "observer", "t").await;
    let mut host = modem(Family::Air700eaqV2019, Route::to("127.0.0.1", port));
    host.ask("ATE0\r\n", "OK\r\n").await;
    store(&mut host, "ca.crt", &authority.ca).await;
    store(&mut host, "client.crt", &authority.client_certificate).await;
    store(&mut host, "client.key", &authority.client_key).await;
    for setting in [
        "\"sslversion\",88,3",
        "\"cacert\",88,\"ca.crt\"",
        "\"clientcert\",88,\"client.crt\"",
        "\"clientkey\",88,\"client.key\"",
    ] {
        set(&mut host, setting).await;
    }
    let start = "SSLMIPSTART=\"broker.example\",8883";
    for (level, certificate) in [(1, false), (2, true), (0, false)] {
        set(&mut host, &format!("\"seclevel\",88,{level}")).await;
        connect(&mut host, start, "\"modem\"").await;
        assert_eq!(shown.recv().await, Some(certificate), "seclevel {level}");
        publish(&mut host, "t", b"secret", 1).await;
        assert_eq!(next_message(&mut events).await.payload, &b"secret"[..]);
        host.ask("AT+MDISCONNECT\r\n", "\r\nOK\r\n").await;
        host.ask("AT+MIPCLOSE\r\n", "\r\nOK\r\n").await;
    }

    // A name that is set is compared.
    set(&mut host, "\"seclevel\",88,1").await;
    set(&mut host, "\"hostname\",88,\"other.example\"").await;
    host.ask(format!("AT+{start}\r\n"), "\r\nCONNECT FAIL\r\n").await;
    set(&mut host, "\"hostname\",88,\"broker.example\"").await;
    connect(&mut host, start, "\"modem\"").await;
}

#[tokio::test]
async fn tls_refuses_a_stranger_and_a_wrong_date() {
    let broker = Broker::start().expect("a broker");
    let late = authority(true);
    let (port, _shown) = tls_front(broker.port, late.server).await;
    let mut host = modem(Family::Air780e, Route::to("127.0.0.1", port));
    host.ask("ATE0\r\n", "OK\r\n").await;
    store(&mut host, "ca.crt", &late.ca).await;
    store(&mut host, "other.crt", &authority(false).ca).await;
    set(&mut host, "\"seclevel\",88,1").await;
    let start = "AT+SSLMIPSTART=\"broker.example\",8883\r\n";
    let fail = "\r\nOK\r\n\r\nSTATE: IP STATUS\r\n\r\nCONNECT FAIL\r\n";
    for setting in [
        "\"cacert\",88,\"other.crt\"",
        "\"cacert\",88,\"none.crt\"",
        "\"cacert\",88,\"ca.crt\"",
        "\"sslversion\",88,0",
    ] {
        set(&mut host, setting).await;
        host.ask(start, fail).await;
    }
    set(&mut host, "\"sslversion\",88,4").await;
    set(&mut host, "\"ignorelocaltime\",88,1").await;
    host.ask(start, "\r\nOK\r\n\r\nCONNECT OK\r\n").await;
}

/// The ways to serve it are those of every modem; default delays.
#[tokio::test]
async fn on_a_pty_and_on_a_tcp_port() {
    let pty = Pty::open(None).expect("a PTY");
    let on_pty = tokio::spawn(pty.serve(Config::default(), Route::AsAsked, Hooks::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let on_tcp =
        tokio::spawn(on_listener(listener, Config::default(), Route::AsAsked, Hooks::default()));
    let mut host = Host::new(TcpStream::connect(address).await.expect("a modem"));
    host.ask("ATI\r\n", "ATI\r\r\nAirM2M_780E_V1169_LTE_AT\r\n\r\nOK\r\n").await;
    on_pty.abort();
    on_tcp.abort();
}
