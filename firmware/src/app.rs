//! What all images do: a counter goes up, a command is answered.

use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};
use hayes::{
    ClientError, Clock as _, MqttClient,
    mqtt::{ConnectOptions, Event, FieldError, Network, Publish, QoS},
};

use crate::board::{self, Clock, Rx, Tx};

/// The longest line that is read: everything but received messages.
pub const LINE: usize = 96;
/// Room for one message of 256 bytes with a topic of 64, and what is noted of
/// it.
pub const INBOX: usize = 256 + 64 + 36;

/// How often the counter goes up, in milliseconds.
pub const PERIOD_MS: u32 = 200;

/// Where the broker is.
pub const BROKER: ConnectOptions<'_> =
    valid(ConnectOptions::new("broker.example", 1883, "device-7")).keep_alive(120);

/// What is published, and what is subscribed to.
pub trait Topics {
    /// The counter.
    const COUNT: Publish<'static>;
    /// The length of a command.
    const ANSWER: Publish<'static>;
    /// A filter for commands.
    const COMMANDS: &'static str;
}

/// Where the broker takes any topic.
pub struct Any;

impl Topics for Any {
    const COUNT: Publish<'static> = publish("device-7/count");
    const ANSWER: Publish<'static> = publish("device-7/answer");
    const COMMANDS: &'static str = "device-7/cmd/#";
}

/// A topic to publish on, with QoS 1.
pub const fn publish(topic: &'static str) -> Publish<'static> {
    valid(Publish::new(topic, b"")).qos(QoS::AtLeastOnce)
}

/// What is constant is checked at compile time.
const fn valid<T: Copy>(value: Result<T, FieldError>) -> T {
    match value {
        Ok(value) => value,
        Err(_) => panic!("a field cannot be sent"),
    }
}

/// Runs sessions until one was told to stop.
pub async fn run<T: Topics, M: MqttClient>(modem: &mut M, clock: Clock) -> ! {
    while session::<T, M>(modem, clock).await.is_err() {
        board::print(b"failed\n");
    }
    board::exit()
}

/// Publishes a counter, and the length of each command, until one is `stop`.
async fn session<T: Topics, M: MqttClient>(
    modem: &mut M,
    clock: Clock,
) -> Result<(), ClientError<M::Error>> {
    modem.bring_up(&Network::new()).await?;
    modem.connect(&BROKER).await?;
    modem.subscribe(T::COMMANDS, QoS::AtLeastOnce).await?;
    board::print(b"subscribed\n");
    let mut count = 0;
    let mut due = clock.now();
    loop {
        let (publish, number) = match select(modem.next_event(), clock.wait_until(due)).await {
            Either::First(event) => match Duty::of(&event?) {
                Duty::Answer(length) => (T::ANSWER, length),
                Duty::Stop => return Ok(()),
                Duty::Reconnect => return Err(ClientError::Closed),
                Duty::None => continue,
            },
            Either::Second(()) => {
                count += 1;
                due = due.after_millis(PERIOD_MS);
                (T::COUNT, count)
            }
        };
        let mut digits = [0; 10];
        let payload = decimal(number, &mut digits);
        modem.publish(&Publish { payload, ..publish }).await?;
    }
}

/// What an event asks for.
pub enum Duty {
    /// Nothing.
    None,
    /// An answer to a command of that length.
    Answer(usize),
    /// The end of the image.
    Stop,
    /// A new session.
    Reconnect,
}

impl Duty {
    /// That of this event.
    pub fn of(event: &Event<'_>) -> Self {
        match event {
            Event::Message(message) if message.payload == b"stop" => Self::Stop,
            Event::Message(message) => Self::Answer(message.payload.len()),
            Event::Lost { .. } | Event::Restarted => Self::Reconnect,
            _ => Self::None,
        }
    }
}

/// A number in decimal, at the end of `digits`.
pub fn decimal(mut number: usize, digits: &mut [u8; 10]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || at == 0 {
            return &digits[at..];
        }
    }
}

/// What the images have in common without a driver: says `AT` and shows what
/// comes back within a moment.
pub async fn base(mut rx: Rx, mut tx: Tx, clock: Clock) -> ! {
    let mut buffer = [0; 64];
    let Ok(_) = tx.write(b"AT\r").await;
    let Ok(()) = tx.flush().await;
    let due = clock.now().after_millis(PERIOD_MS);
    while let Either::First(Ok(count)) = select(rx.read(&mut buffer), clock.wait_until(due)).await {
        board::print_number(b"received", count);
    }
    board::exit()
}
