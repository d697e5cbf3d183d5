//! One function for modems of any vendor, over the trait `MqttClient`: it
//! subscribes to one topic, publishes to another (or the same, to hear
//! itself), and waits for a message. Only `main` knows who made the modem.
//!
//! ```sh
//! cargo run --example generic simcom /dev/ttyUSB2 broker.example 1883 echo echo
//! cargo run --example generic rockremote 192.168.250.1:1883 192.168.250.1 1883 echo echo
//! cargo run --example generic jspr /dev/ttyUSB0 - 0 PEBBLE RAW
//! ```

use std::{env, error};

use embedded_io_adapters::tokio_1::FromTokio;
use hayes::mqtt::{ConnectOptions, Event, Network, Publish, QoS};
use hayes::{ClientError, MqttClient, clock::Tokio};
use hayes_iridium::{jspr, rockremote};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_serial::SerialPortBuilderExt;

async fn greet<M: MqttClient>(
    mut modem: M,
    options: &ConnectOptions<'_>,
    down: &str,
    up: &str,
) -> Result<(), ClientError<M::Error>> {
    modem.bring_up(&Network::new()).await?;
    modem.connect(options).await?;
    modem.subscribe(down, QoS::AtLeastOnce).await?;
    let proof = modem.publish(&Publish::new(up, b"hello")?.qos(QoS::AtLeastOnce)).await?;
    println!("published: {proof:?}");
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
    let [vendor, device, host, port, down, up] = &args[..] else {
        return Err("usage: generic simcom|luat|rockremote|jspr DEVICE HOST PORT DOWN UP".into());
    };
    let options = ConnectOptions::new(host, port.parse()?, "generic-1")?.keep_alive(120);
    let clock = Tokio::new();
    let serial = |baud| tokio_serial::new(device, baud).open_native_async().map(halves);
    // 512 bytes for a line (4,096 of a 9704), 16 kB for messages that wait.
    match vendor.as_str() {
        "simcom" => {
            let ((rx, tx), settings) = (serial(115_200)?, Default::default());
            let modem = hayes_simcom::client::<512, 16_384, _, _, _>(rx, tx, clock, settings);
            greet(modem, &options, down, up).await?;
        }
        "luat" => {
            let ((rx, tx), settings) = (serial(115_200)?, Default::default());
            let modem = hayes_luat::client::<512, 16_384, _, _, _>(rx, tx, clock, settings);
            greet(modem, &options, down, up).await?;
        }
        "rockremote" => {
            let (rx, tx) = halves(TcpStream::connect(device).await?);
            // Any port, to try it with an emulated box.
            let settings = rockremote::Settings::new().any_port(true);
            let modem = rockremote::client::<16_384, _, _, _>(rx, tx, clock, settings);
            greet(modem, &options, down, up).await?;
        }
        "jspr" => {
            let ((rx, tx), settings) = (serial(230_400)?, Default::default());
            let modem = jspr::client::<4_096, 16_384, _, _, _>(rx, tx, clock, settings);
            greet(modem, &options, down, up).await?;
        }
        other => return Err(format!("no vendor is called {other}").into()),
    }
    Ok(())
}

type Halves<S> = (FromTokio<ReadHalf<S>>, FromTokio<WriteHalf<S>>);

fn halves<S: AsyncRead + AsyncWrite>(stream: S) -> Halves<S> {
    let (rx, tx) = tokio::io::split(stream);
    (FromTokio::new(rx), FromTokio::new(tx))
}
