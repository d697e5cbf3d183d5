//! The async client over a byte stream to the emulated modem, under paused
//! time; futures are dropped by the clock.

use std::{future::Future, time::Duration};

use embedded_io_adapters::tokio_1::FromTokio;
use hayes::{
    MqttClient,
    clock::Tokio,
    mqtt::{Assurance, ConnectOptions, Event, Network, Publish, QoS},
};
use hayes_emulator::{
    jspr::{Config, Delays},
    network::Loopback,
    serve::{self, Hooks},
};
use hayes_iridium::jspr;

async fn local<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

#[tokio::test(start_paused = true)]
async fn the_async_client_drives_it_and_any_call_may_be_dropped() {
    local(async {
        let (host, wire) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(host);
        let clock = Tokio::new();
        let mut modem = jspr::client::<2304, 4096, _, _, _>(
            FromTokio::new(reader),
            FromTokio::new(writer),
            clock,
            Default::default(),
        );
        let delays = Delays { answer: 20, transit: 300, ..Delays::default() };
        let config = Config { delays, ..Config::default() };
        let emulator = serve::on_duplex_with(wire, config, Loopback::new(), Hooks::default());
        tokio::task::spawn_local(emulator);

        modem.bring_up(&Network::new()).await.unwrap();
        modem.connect(&ConnectOptions::new("any", 1, "any").unwrap()).await.unwrap();
        modem.subscribe("#", QoS::AtMostOnce).await.unwrap();
        let payload = [7; 3_000];
        let publish = Publish::new("RAW", &payload).unwrap();
        assert_eq!(modem.publish(&publish).await.unwrap(), Assurance::HandedOver);
        for ms in (0..700).step_by(9) {
            let patience = Duration::from_millis(ms);
            let dropped = publish.qos(QoS::AtLeastOnce);
            let _ = tokio::time::timeout(patience, modem.publish(&dropped)).await;
            let _ = tokio::time::timeout(patience, modem.next_event()).await;
            let next = Publish::new("PEBBLE", b"next").unwrap().qos(QoS::AtLeastOnce);
            assert_eq!(modem.publish(&next).await.unwrap(), Assurance::NetworkAck, "{ms}");
        }
        let events = async {
            loop {
                assert_eq!(modem.next_event().await.unwrap(), Event::Unknown("publish"));
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), events).await.is_err());
    })
    .await;
}
