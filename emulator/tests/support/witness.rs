//! An ordinary MQTT client that knows nothing of modems.

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS};
use tokio::time::timeout;

use crate::support::PATIENCE;

/// An ordinary MQTT client, subscribed to a filter.
pub async fn observer(port: u16, id: &str, filter: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe(filter, QoS::ExactlyOnce).await.expect("a free channel");
    packet(&mut events, |packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
    (client, events)
}

pub async fn next_message(events: &mut EventLoop) -> Publish {
    packet(events, |packet| match packet {
        Packet::Publish(message) => Some(message),
        _ => None,
    })
    .await
}

pub async fn packet<T>(events: &mut EventLoop, pick: impl Fn(Packet) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.poll().await.expect("connected");
            let Event::Incoming(packet) = event else {
                continue;
            };
            if let Some(found) = pick(packet) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("in time")
}
