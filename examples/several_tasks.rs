//! Several tokio tasks on several threads share one modem: two publish, one
//! receives and answers.
//!
//! `cargo run --example several_tasks /dev/ttyUSB2 broker.example`
//!
//! An application of its own needs `hayes` with the features `shared` and
//! `tokio`, and `critical-section` with its feature `std`.

use std::{env, error, time::Duration};

use embedded_io_adapters::tokio_1::FromTokio;
use hayes::{
    clock::Tokio,
    mqtt::{ConnectOptions, Event, Network, Publish, QoS},
    shared::{Client, Failure, Shared, raw::CriticalSectionRawMutex},
};
use tokio::time;
use tokio_serial::SerialPortBuilderExt;

// 512 bytes for a line, 16 kB for messages that wait.
type Machine = hayes_simcom::Machine<512, 16_384>;
type Modem = Client<'static, CriticalSectionRawMutex, Tokio, Machine>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn error::Error>> {
    let mut args = env::args().skip(1);
    let (Some(device), Some(broker)) = (args.next(), args.next()) else {
        return Err("usage: several_tasks DEVICE BROKER".into());
    };
    let (rx, tx) = tokio::io::split(tokio_serial::new(device, 115_200).open_native_async()?);
    let machine = hayes_simcom::machine(Default::default());
    // Tasks live as long as they like, and so does what they share.
    let shared = Box::leak(Box::new(Shared::new(Tokio::new(), machine)));
    let (modem, mut events, mut runner) = shared.split(FromTokio::new(rx), FromTokio::new(tx));
    let end = tokio::spawn(async move { runner.run().await });

    modem.bring_up(&Network::new()).await?;
    modem.connect(&ConnectOptions::new(&broker, 1883, "gateway-1")?.keep_alive(120)).await?;
    modem.subscribe("gateway-1/ask", QoS::AtLeastOnce).await?;
    tokio::spawn(counter(modem, "gateway-1/seconds", Duration::from_secs(1)));
    tokio::spawn(counter(modem, "gateway-1/minutes", Duration::from_secs(60)));
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(event) = events.next(&mut buffer).await {
            match event {
                Event::Message(message) => {
                    let answer = Publish::new("gateway-1/answer", message.payload)?;
                    modem.publish(&answer).await?;
                }
                other => eprintln!("{other:?}"),
            }
        }
        Ok::<_, Failure>(())
    });
    Err(end.await?.into())
}

async fn counter(modem: Modem, topic: &'static str, every: Duration) -> Result<(), Failure> {
    let mut beats = time::interval(every);
    for count in 0_u32.. {
        beats.tick().await;
        let payload = count.to_string();
        let message = Publish::new(topic, payload.as_bytes())?;
        modem.publish(&message.qos(QoS::AtLeastOnce)).await?;
    }
    Ok(())
}
