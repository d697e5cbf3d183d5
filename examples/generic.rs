//! One function for modems of any vendor, over the trait `MqttClient`: it
//! subscribes, publishes to the same topic, and waits for its own message.
//! Only `main` knows who made the modem.
//!
//! `cargo run --example generic simcom|luat /dev/ttyUSB2 broker.example 1883`

use std::{env, error, time::Duration};

use embedded_io_adapters::tokio_1::FromTokio;
use hayes::mqtt::{ConnectOptions, Event, Network, Publish, QoS};
use hayes::{ClientError, Clock, Instant, MqttClient};
use tokio::time;
use tokio_serial::SerialPortBuilderExt;

async fn hear_myself<M: MqttClient>(
    mut modem: M,
    host: &str,
    port: u16,
) -> Result<(), ClientError<M::Error>> {
    modem.bring_up(&Network::new()).await?;
    modem.connect(&ConnectOptions::new(host, port, "generic-1")?.keep_alive(120)).await?;
    modem.subscribe("generic-1/echo", QoS::AtLeastOnce).await?;
    modem.publish(&Publish::new("generic-1/echo", b"hello")?.qos(QoS::AtLeastOnce)).await?;
    loop {
        if let Event::Message(message) = modem.next_event().await? {
            println!("{}: {}", message.topic.escape_ascii(), message.payload.escape_ascii());
            return modem.disconnect().await;
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn error::Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [vendor, device, host, port] = &args[..] else {
        return Err("usage: generic simcom|luat DEVICE HOST PORT".into());
    };
    let port = port.parse()?;
    let (rx, tx) = tokio::io::split(tokio_serial::new(device, 115_200).open_native_async()?);
    let (rx, tx, clock) = (FromTokio::new(rx), FromTokio::new(tx), Timer(time::Instant::now()));
    // 512 bytes for a line, 16 kB for messages that wait.
    match vendor.as_str() {
        "simcom" => {
            let settings = hayes_simcom::Settings::new();
            let modem = hayes_simcom::client::<512, 16_384, _, _, _>(rx, tx, clock, settings);
            hear_myself(modem, host, port).await?;
        }
        "luat" => {
            let settings = hayes_luat::Settings::new();
            let modem = hayes_luat::client::<512, 16_384, _, _, _>(rx, tx, clock, settings);
            hear_myself(modem, host, port).await?;
        }
        other => return Err(format!("no vendor is called {other}").into()),
    }
    Ok(())
}

struct Timer(time::Instant);

impl Clock for Timer {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.elapsed().as_millis() as u64)
    }

    async fn wait_until(&self, at: Instant) {
        time::sleep_until(self.0 + Duration::from_millis(at.as_millis())).await;
    }
}
