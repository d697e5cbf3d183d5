//! A gateway on Linux that is left alone: a modem on a serial port, tokio, and
//! whatever happens (the port vanishes and comes back, the broker is away, the
//! modem restarts) it connects again, subscribes again, and goes on. It
//! publishes a counter every minute, each number until it is acknowledged, and
//! prints what it receives.
//!
//! `cargo run --example linux_gateway /dev/ttyUSB2 broker.example`

use std::{error, time::Duration};

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_io_async::{Read, Write};
use hayes::{
    Client, ClientError, Machine, MqttClient,
    clock::Tokio,
    mqtt::{ConnectOptions, Error, Event, Message, Network, Publish, QoS},
};
use tokio::time;
use tokio_serial::SerialPortBuilderExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(device), Some(broker)) = (args.next(), args.next()) else {
        return Err("usage: linux_gateway DEVICE BROKER".into());
    };
    // 512 bytes for a line, 16 kB for messages that wait.
    let machine = hayes_simcom::machine::<512, 16_384>(Default::default());
    let open = async || {
        let (rx, tx) = tokio::io::split(tokio_serial::new(&device, 115_200).open_native_async()?);
        tokio_serial::Result::Ok((FromTokio::new(rx), FromTokio::new(tx)))
    };
    let options = ConnectOptions::new(&broker, 1883, "gateway-1")?.keep_alive(120);
    let print = |message: &Message<'_>| println!("{message:?}");
    Gateway { options, filter: "gateway-1/command", topic: "gateway-1/count", count: 1, print }
        .run(machine, open)
        .await
}

/// What the gateway does when it is connected.
pub struct Gateway<'a, P> {
    /// Whom it connects to.
    pub options: ConnectOptions<'a>,
    /// What it subscribes to.
    pub filter: &'a str,
    /// Where it publishes to.
    pub topic: &'a str,
    /// The number that is published next.
    pub count: u32,
    /// Gets what is received.
    pub print: P,
}

/// From a failure to the next try.
const PAUSE: Duration = Duration::from_secs(10);

impl<P: FnMut(&Message<'_>)> Gateway<'_, P> {
    /// Works for ever: opens the port whenever it is there.
    pub async fn run<M: Machine, R: Read, W: Write<Error = R::Error>, E: error::Error + 'static>(
        mut self,
        mut machine: M,
        mut open: impl AsyncFnMut() -> Result<(R, W), E>,
    ) -> ! {
        loop {
            match open().await {
                Err(error) => eprintln!("opening the port: {error}"),
                Ok((rx, tx)) => {
                    // What the driver knows of the modem outlives the port.
                    let mut modem = Client::new(rx, tx, Tokio::new(), &mut machine);
                    self.stay_online(&mut modem).await;
                }
            }
            time::sleep(PAUSE).await;
        }
    }

    /// Connects whenever it is not connected, until the port is gone.
    async fn stay_online<M: MqttClient>(&mut self, modem: &mut M) {
        loop {
            match self.serve(modem).await {
                // The modem, the network or the broker: all of them come back.
                Err(ClientError::Modem(error)) => eprintln!("{error}; trying again"),
                Err(error) => return eprintln!("{error}"),
                Ok(()) => {}
            }
            time::sleep(PAUSE).await;
        }
    }

    /// Connects and works until that fails. What is done already (the bearer,
    /// the modem's MQTT service) is not done again.
    async fn serve<M: MqttClient>(&mut self, modem: &mut M) -> Result<(), ClientError<M::Error>> {
        modem.bring_up(&Network::new()).await?;
        modem.connect(&self.options).await?;
        modem.subscribe(self.filter, QoS::AtLeastOnce).await?;
        let mut minutes = time::interval(Duration::from_secs(60));
        loop {
            tokio::select! {
                _ = minutes.tick() => {
                    let number = self.count.to_string();
                    let message = Publish::new(self.topic, number.as_bytes())?;
                    modem.publish(&message.qos(QoS::AtLeastOnce)).await?;
                    // Not acknowledged, it stays the next one.
                    self.count += 1;
                }
                event = modem.next_event() => match event? {
                    Event::Message(message) => (self.print)(&message),
                    Event::Lost { loss, .. } => return Err(Error::Lost(loss).into()),
                    Event::Restarted => return Err(Error::Restarted.into()),
                    other => eprintln!("{other:?}"),
                }
            }
        }
    }
}
