//! `hayes demo`: everything at work in one process. A broker on a loopback
//! port; an emulated modem on a pseudo-terminal in front of it; the real
//! driver over the real serial stack; and a client that knows nothing of
//! modems, as the witness. Nothing is claimed that was not compared byte for
//! byte with what the witness saw or said.

use std::io::{Write, stdout};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hayes::mqtt::{ConnectOptions, Event, LinkState, Network, Publish, QoS};
use hayes::{ClientError, MqttClient};
use hayes_emulator::broker::Broker;
use rumqttc::{AsyncClient, MqttOptions, Packet};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::args::DemoArgs;
use crate::device::{Device, Shared, Tap, note};
use crate::failure::Failure;
use crate::session::{Modem, modem};
use crate::signals::Signals;
use crate::transcript::{Transcript, readable};
use crate::vendor::{Demo, Setup, Vendor};

/// Far more than it takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// All that a careless driver takes for something else.
const HOSTILE: &[u8] = b"\r\nOK\r\n\"quoted\", > \r\n> \r\n+CMQTTRXEND: 0\r\nERROR\r\n\
    +MSUB: \"t\",9 byte,\\22 \x1a\r\nCLOSED\r\n";

/// Runs it.
pub async fn run(args: DemoArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(|e| Failure::new("listening to signals", e))?;
    tokio::select! {
        done = timeout(PATIENCE, play(args.modem)) => match done {
            Ok(done) => done,
            Err(_) => Err(Failure::new("demo", format!("not done after {PATIENCE:?}"))),
        },
        () = signals.next() => Err(Failure::Interrupted),
    }
}

async fn play(vendor: Vendor) -> Result<(), Failure> {
    let broker = Broker::start().map_err(|e| Failure::new("starting the broker", e))?;
    let row = vendor.row();
    let place = (row.demo.emulate)(broker.port).map_err(|e| Failure::new("being a modem", e))?;
    let device: Device = place.parse().map_err(|e| Failure::new("being a modem", e))?;
    let transcript = Transcript::new((row.view)(), Box::new(stdout()));
    let transcript = Arc::new(Mutex::new(transcript));
    say(&transcript, format!("broker on 127.0.0.1:{}, modem on {device}", broker.port));

    let mut witness = Witness::start(broker.port, &row.demo).await?;
    let stream = device.open(row.baud).await?;
    let tap = Tap::new(stream, Some(Arc::clone(&transcript)));
    let modem = modem(vendor, &Setup { any_port: true, ..Setup::default() }, tap);
    let mut stage = Stage { vendor, modem, transcript };

    stage.connect(broker.port).await?;
    let published = stage.publish(&mut witness).await?;
    let received = stage.receive(&mut witness).await?;
    stage.disconnect().await?;
    let millis = stage.transcript.lock().map(|t| t.millis()).unwrap_or_default();
    let end = format!(
        "demo ok: {published} published, {received} received, \
         all compared byte for byte with an independent client, in {millis} ms"
    );
    writeln!(stdout(), "{end}").map_err(|error| Failure::of_output(&error))
}

/// A text, bytes that look like answers of the modem, and all bytes there are.
fn payloads() -> [Vec<u8>; 3] {
    [b"21.5 \xc2\xb0C".to_vec(), HOSTILE.to_vec(), (0..=255).cycle().take(2048).collect()]
}

fn say(transcript: &Shared, text: impl AsRef<str>) {
    note(transcript, |t| t.event(text.as_ref()));
}

/// The driver, and the page on which all is written.
struct Stage {
    vendor: Vendor,
    modem: Modem,
    transcript: Shared,
}

impl Stage {
    async fn connect(&mut self, port: u16) -> Result<(), Failure> {
        let done = self.modem.bring_up(&Network::new()).await;
        self.check("bringing up the modem", done)?;
        let status = self.modem.status().await;
        let status = self.check("asking the modem", status)?;
        let address = status.address.map(|one| one.to_string()).unwrap_or_default();
        let known = [status.model.as_str(), &address];
        let known: Vec<_> = known.into_iter().filter(|one| !one.is_empty()).collect();
        self.say(format!("up: {}", known.join(", ")));

        let options = ConnectOptions::new("127.0.0.1", port, "hayes-demo")?;
        let done = self.modem.connect(&options).await;
        self.check("connecting", done)?;
        self.say("connected");
        let demo = &self.vendor.row().demo;
        let (down, qos) = (demo.down.0, demo.levels[2]);
        let done = self.modem.subscribe(down, qos).await;
        self.check("subscribing", done)?;
        self.say(format!("subscribed to {down}"));
        Ok(())
    }

    /// Publishes with each QoS; the witness must receive the very same. (Not
    /// the same QoS: `rumqttd` delivers with that of the subscription.)
    async fn publish(&mut self, witness: &mut Witness) -> Result<usize, Failure> {
        let payloads = payloads();
        let demo = &self.vendor.row().demo;
        let (local, remote) = demo.up;
        for (qos, payload) in demo.levels.into_iter().zip(&payloads) {
            let doing = format!("publishing with QoS {}", qos.level());
            let done = self.modem.publish(&Publish::new(local, payload)?.qos(qos)).await;
            let proof = self.check(&doing, done)?;
            let heard = witness.message().await?;
            same(&doing, (remote.as_bytes(), payload), (heard.topic.as_bytes(), &heard.payload))?;
            let size = payload.len();
            self.say(format!("published {size} bytes, {qos:?}, {proof:?}; the witness has them"));
        }
        Ok(payloads.len())
    }

    /// The witness publishes with each QoS; the modem must receive the very
    /// same.
    async fn receive(&mut self, witness: &mut Witness) -> Result<usize, Failure> {
        let payloads = payloads();
        let demo = &self.vendor.row().demo;
        let (local, remote) = demo.down;
        for (qos, payload) in demo.levels.into_iter().zip(&payloads) {
            let doing = format!("receiving with QoS {}", qos.level());
            witness.publish(remote, qos, payload.clone()).await?;
            let message = match self.modem.next_event().await {
                Ok(Event::Message(message)) => message,
                Ok(other) => return Err(Failure::new(doing, format!("{other:?} instead"))),
                Err(error) => return Err(Failure::of_client(doing, self.vendor, error)),
            };
            same(&doing, (local.as_bytes(), payload), (message.topic, message.payload))?;
            let (size, shown) = (payload.len(), readable(payload));
            self.say(format!("message on {local}, {size} bytes as sent: {shown}"));
        }
        Ok(payloads.len())
    }

    async fn disconnect(&mut self) -> Result<(), Failure> {
        let done = self.modem.unsubscribe(self.vendor.row().demo.down.0).await;
        self.check("unsubscribing", done)?;
        self.say("unsubscribed");
        let done = self.modem.disconnect().await;
        self.check("disconnecting", done)?;
        match self.modem.link() {
            LinkState::Idle => self.say("disconnected"),
            other => return Err(Failure::new("disconnecting", format!("{other:?} afterwards"))),
        }
        Ok(())
    }

    fn say(&self, text: impl AsRef<str>) {
        say(&self.transcript, text);
    }

    fn check<T>(
        &self,
        doing: &str,
        done: Result<T, ClientError<std::io::Error>>,
    ) -> Result<T, Failure> {
        done.map_err(|error| Failure::of_client(doing, self.vendor, error))
    }
}

/// Topic and payload must have arrived as they were sent.
fn same(doing: &str, sent: (&[u8], &[u8]), arrived: (&[u8], &[u8])) -> Result<(), Failure> {
    if sent == arrived {
        return Ok(());
    }
    let show = |(topic, payload)| format!("{} on {}", readable(payload), readable(topic));
    let cause = format!("sent {}, arrived {}", show(sent), show(arrived));
    Err(Failure::new(doing, cause))
}

/// A client of the same broker that knows nothing of modems.
struct Witness {
    client: AsyncClient,
    heard: mpsc::UnboundedReceiver<Result<Packet, String>>,
}

impl Witness {
    /// Connects and subscribes to what the modem publishes.
    async fn start(port: u16, demo: &Demo) -> Result<Self, Failure> {
        let options = MqttOptions::new("witness", "127.0.0.1", port);
        let (client, mut events) = AsyncClient::new(options, 10);
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (news, last) = match events.poll().await {
                    Ok(rumqttc::Event::Incoming(packet)) => (Ok(packet), false),
                    Ok(_) => continue,
                    Err(error) => (Err(error.to_string()), true),
                };
                if tell.send(news).is_err() || last {
                    return;
                }
            }
        });
        let mut witness = Self { client, heard };
        let asked = witness.client.subscribe(demo.up.1, rumqttc::QoS::ExactlyOnce).await;
        asked.map_err(Self::failed)?;
        while !matches!(witness.next().await?, Packet::SubAck(_)) {}
        Ok(witness)
    }

    async fn publish(&self, topic: &str, qos: QoS, payload: Vec<u8>) -> Result<(), Failure> {
        let qos = match qos {
            QoS::AtMostOnce => rumqttc::QoS::AtMostOnce,
            QoS::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
            QoS::ExactlyOnce => rumqttc::QoS::ExactlyOnce,
        };
        self.client.publish(topic, qos, false, payload).await.map_err(Self::failed)
    }

    /// The next message that it receives.
    async fn message(&mut self) -> Result<rumqttc::Publish, Failure> {
        loop {
            if let Packet::Publish(message) = self.next().await? {
                return Ok(message);
            }
        }
    }

    async fn next(&mut self) -> Result<Packet, Failure> {
        match self.heard.recv().await {
            Some(Ok(packet)) => Ok(packet),
            Some(Err(error)) => Err(Self::failed(error)),
            None => Err(Self::failed("it is gone")),
        }
    }

    fn failed(error: impl std::fmt::Display) -> Failure {
        Failure::new("asking the independent client", error)
    }
}
