//! A modem that keeps what it receives until its host has time, against real
//! brokers: the driver itself, as the command has no flag for it.

use embedded_io_adapters::tokio_1::FromTokio;
use hayes::{
    MqttClient,
    clock::Tokio,
    mqtt::{ConnectOptions, Event, Network, QoS},
};
use hayes_emulator::{
    bridge::Route,
    luat,
    serve::{self, Direction, Hooks},
};
use hayes_luat::{Receiving, Settings};
use tokio::{sync::mpsc, task::LocalSet};

use crate::support::{RunningBroker, Witness, brokers};

#[test]
fn of_five_messages_for_four_slots_one_is_announced_as_lost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    for broker in brokers() {
        for family in luat::Family::ALL {
            LocalSet::new().block_on(&runtime, five(&broker, family));
        }
    }
}

async fn five(broker: &RunningBroker, family: luat::Family) {
    let (host, wire) = tokio::io::duplex(4_096);
    let config = luat::Config { family, ..luat::Config::default() };
    let (observer, mut seen) = mpsc::unbounded_channel();
    let hooks = Hooks { observer: Some(observer), ..Hooks::default() };
    let modem = serve::on_duplex(wire, config, Route::AsAsked, hooks);
    let modem = tokio::task::spawn_local(modem);
    let (reader, writer) = tokio::io::split(host);
    let clock = Tokio::new();
    let mut client = hayes_luat::client::<512, 16_384, _, _, _>(
        FromTokio::new(reader),
        FromTokio::new(writer),
        clock,
        Settings::new().receiving(Receiving::Cached),
    );
    let port = broker.port.parse().expect("a port");
    let options = ConnectOptions::new("127.0.0.1", port, "sleeper").expect("valid");
    client.bring_up(&Network::new()).await.expect("up");
    client.connect(&options).await.expect("connected");
    client.subscribe("cached/#", QoS::AtLeastOnce).await.expect("subscribed");

    // The host sleeps; the modem hears all of it.
    while seen.try_recv().is_ok() {}
    let witness = Witness::new(broker);
    for number in ["one", "two", "three", "four", "five"] {
        witness.publish("cached/t", number.as_bytes(), false);
    }
    let mut told = Vec::new();
    while told.windows(7).filter(|part| part == b"+MSUB: ").count() < 5 {
        let (direction, bytes) = seen.recv().await.expect("the modem is there");
        assert_eq!(direction, Direction::ModemToHost, "the host sleeps");
        told.extend(bytes);
    }

    let (mut heard, mut lost) = (Vec::new(), 0);
    while heard.len() < 4 || lost < 1 {
        match client.next_event().await.expect("an event") {
            Event::Message(message) => heard.push(message.payload.to_vec()),
            Event::Dropped(dropped) => lost += dropped.count,
            other => panic!("{other:?}"),
        }
    }
    heard.sort();
    assert_eq!(heard, ["five", "four", "three", "two"].map(str::as_bytes), "{family}");
    assert_eq!(lost, 1, "{family}");
    client.disconnect().await.expect("disconnected");
    modem.abort();
}
