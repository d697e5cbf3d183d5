//! A gateway on Linux: a modem on a serial port, tokio, and a connection that
//! is made anew whenever it is lost. It publishes a counter every minute and
//! prints what it receives.
//!
//! `cargo run --example linux_gateway /dev/ttyUSB2 broker.example`

use std::{convert::Infallible, error, time::Duration};

use embedded_io_adapters::tokio_1::FromTokio;
use hayes::{
    ClientError, Clock, Instant, MqttClient,
    mqtt::{ConnectOptions, Error, Event, Network, Publish, QoS},
};
use tokio::time;
use tokio_serial::SerialPortBuilderExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(device), Some(broker)) = (args.next(), args.next()) else {
        return Err("usage: linux_gateway DEVICE BROKER".into());
    };
    let port = tokio_serial::new(device, 115_200).open_native_async()?;
    let (rx, tx) = tokio::io::split(port);
    let (rx, tx) = (FromTokio::new(rx), FromTokio::new(tx));
    let clock = Timer(time::Instant::now());
    // 512 bytes for a line, 16 kB for messages that wait.
    let mut modem = hayes_simcom::client::<512, 16_384, _, _, _>(rx, tx, clock, Default::default());
    let mut count = 0;
    loop {
        match serve(&mut modem, &broker, &mut count).await {
            // The modem, the network or the broker: all of them come back.
            Err(ClientError::Modem(error)) => eprintln!("{error}; trying again"),
            // The serial port is gone.
            Err(error) => return Err(error.into()),
        }
        time::sleep(Duration::from_secs(10)).await;
    }
}

/// Connects and works until that fails. What is done already (the bearer, the
/// modem's MQTT service) is not done again.
async fn serve<M: MqttClient>(
    modem: &mut M,
    broker: &str,
    count: &mut u32,
) -> Result<Infallible, ClientError<M::Error>> {
    modem.bring_up(&Network::new()).await?;
    let options = ConnectOptions::new(broker, 1883, "gateway-1")?.keep_alive(120);
    modem.connect(&options).await?;
    modem.subscribe("gateway-1/command", QoS::AtLeastOnce).await?;
    let mut minutes = time::interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            _ = minutes.tick() => {
                *count += 1;
                let payload = count.to_string();
                let message = Publish::new("gateway-1/count", payload.as_bytes())?;
                modem.publish(&message.qos(QoS::AtLeastOnce)).await?;
            }
            event = modem.next_event() => match event? {
                Event::Message(message) => println!("{message:?}"),
                Event::Lost { loss, .. } => return Err(Error::Lost(loss).into()),
                Event::Restarted => return Err(Error::Restarted.into()),
                other => eprintln!("{other:?}"),
            }
        }
    }
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
