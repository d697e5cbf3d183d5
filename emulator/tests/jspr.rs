//! An Iridium modem in front of a real broker, with an ordinary MQTT client on the other side.
#![cfg(feature = "broker")]

#[allow(dead_code, reason = "half of it speaks SIMCom's dialect")]
mod support;
#[path = "support/witness.rs"]
mod witness;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hayes_emulator::bridge::Route;
use hayes_emulator::broker::Broker;
use hayes_emulator::jspr::{Config, Delays};
use hayes_emulator::serve::{Control, Hooks, on_duplex};
use rumqttc::QoS;
use support::Host;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use witness::{next_message, observer};

/// A modem that is active; the host waits as long as the machine takes.
fn modem(broker: &Broker, hooks: Hooks) -> Host<DuplexStream> {
    let delays = Delays { segment_window: 60_000, reconnect: 1, ..Delays::NONE };
    let config = Config { configured: true, delays, ..Config::default() };
    let (host, line) = tokio::io::duplex(1 << 16);
    tokio::spawn(on_duplex(line, config, Route::to("127.0.0.1", broker.port), hooks));
    Host::new(host)
}

/// Originates a message, CRC included, and supplies what is asked for until it is acknowledged.
async fn publish(host: &mut Host<DuplexStream>, sealed: &[u8]) {
    let length = sealed.len();
    let request = format!(
        "PUT messageOriginate {{\"topic_id\": 244, \"message_length\": {length}, \
         \"request_reference\": 1}}\r"
    );
    let mut heard = host.ask(request, "messageOriginateSegment {").await;
    for (start, part) in (0..).step_by(1446).zip(sealed.chunks(1446)) {
        heard += &host.wait("}\r").await;
        let (_, id) = heard.rsplit_once("\"message_id\":").expect("a number");
        let id = id.split(',').next().expect("a number").to_owned();
        let expected = if start + part.len() < length {
            "299 messageOriginateSegment {"
        } else {
            "\"final_mo_status\":\"mo_ack_received\"}\r"
        };
        let segment = format!(
            "PUT messageOriginateSegment {{\"topic_id\": 244, \"message_id\": {id}, \
             \"segment_length\": {}, \"segment_start\": {start}, \"data\": \"{}\"}}\r",
            part.len(),
            STANDARD.encode(part)
        );
        heard = host.ask(segment, expected).await;
    }
}

#[tokio::test]
async fn messages_go_both_ways() {
    let broker = Broker::start().expect("a broker");
    let (client, mut events) = observer(broker.port, "observer", "imt/#").await;
    let mut host = modem(&broker, Hooks::default());

    // The check value of the CRC, and as many zeros as a message may have, whose CRC is zero.
    let mut sealed = b"123456789\x31\xc3".to_vec();
    for length in [9, 100_000] {
        publish(&mut host, &sealed).await;
        let seen = next_message(&mut events).await;
        assert_eq!(seen.topic, "imt/244");
        assert!(seen.payload[..] == sealed[..length]);
        sealed = vec![0; 100_002];
    }

    client.publish("imt/247", QoS::AtLeastOnce, false, "hello").await.expect("room");
    let pump = async {
        loop {
            let _ = events.poll().await;
        }
    };
    let down = host.wait("\"final_mt_status\":\"complete\"}\r");
    let heard = tokio::select! {
        heard = down => heard,
        () = pump => String::new(),
    };
    // Nothing came before it: the echoes of what went up are not for the host.
    assert_eq!(
        heard,
        "299 messageTerminate {\"topic_id\":247,\"message_id\":0,\"message_length_max\":7}\r\
         299 messageTerminateSegment {\"topic_id\":247,\"message_id\":0,\"segment_length\":7,\
         \"segment_start\":0,\"data\":\"aGVsbG/DYg==\"}\r\
         299 messageTerminateStatus {\"topic_id\":247,\"message_id\":0,\
         \"final_mt_status\":\"complete\"}\r"
    );
}

#[tokio::test]
async fn a_message_waits_for_the_broker() {
    let broker = Broker::start().expect("a broker");
    let (_client, mut events) = observer(broker.port, "observer", "imt/#").await;
    let (control, actions) = mpsc::unbounded_channel();
    let mut host = modem(&broker, Hooks { control: Some(actions), ..Hooks::default() });
    control.send(Control::Network(false)).expect("the modem runs");
    host.wait("{\"constellation_visible\":false,\"signal_bars\":0}\r").await;
    control.send(Control::Lose { client: 0, cause: 1 }).expect("the modem runs");
    control.send(Control::Network(true)).expect("the modem runs");
    host.wait("\"signal_level\":-111}\r").await;
    publish(&mut host, b"123456789\x31\xc3").await;
    assert_eq!(next_message(&mut events).await.payload[..], *b"123456789");
}
