//! The client for several tasks on embassy's executor: three of its tasks
//! publish, a fourth receives, a fifth is the runner. In real time, of which
//! an emulated modem that answers at once takes some milliseconds.

use std::{sync::mpsc, thread, time::Duration};

use embassy_executor::{Executor, Spawner};
use embassy_sync::pipe::{Pipe, Reader, Writer};
use embassy_time::{Instant, Timer, with_deadline};
use embedded_io_async::Write as _;
use hayes::{
    clock::Embassy,
    mqtt::{ConnectOptions, Event, Network, Publish, QoS},
    shared::{Client, Events, Runner, Shared, raw::NoopRawMutex},
};
use hayes_emulator::{
    network::Loopback,
    simcom::{Config, Modem},
};

const EACH: u8 = 20;

type Rx = Reader<'static, NoopRawMutex, 256>;
type Tx = Writer<'static, NoopRawMutex, 256>;
type Simcom = hayes_simcom::Machine<256, 1024>;

fn leaked<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

#[embassy_executor::task]
async fn emulator(rx: Rx, mut tx: Tx) {
    let (mut modem, mut broker) = (Modem::new(Config::default()), Loopback::new());
    let mut buffer = [0; 64];
    loop {
        let now = Instant::now().as_millis();
        broker.exchange(&mut modem, now);
        tx.write_all(&modem.transmit(now)).await.unwrap();
        let due = modem.deadline().map_or(Instant::MAX, Instant::from_millis);
        if let Ok(count) = with_deadline(due, rx.read(&mut buffer)).await {
            modem.receive(Instant::now().as_millis(), &buffer[..count]);
        }
    }
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, NoopRawMutex, Embassy, Simcom, Rx, Tx>) {
    runner.run().await;
}

#[embassy_executor::task(pool_size = 3)]
async fn publisher(client: Client<'static, NoopRawMutex, Embassy, Simcom>, topic: &'static str) {
    for number in 0..EACH {
        let payload = [number];
        let message = Publish::new(topic, &payload).unwrap().qos(QoS::AtLeastOnce);
        client.publish(&message).await.unwrap();
        Timer::after_micros(100).await;
    }
}

#[embassy_executor::task]
async fn app(
    spawner: Spawner,
    client: Client<'static, NoopRawMutex, Embassy, Simcom>,
    mut events: Events<'static, NoopRawMutex, Embassy, Simcom>,
    done: mpsc::Sender<[u8; 3]>,
) {
    client.bring_up(&Network::new()).await.unwrap();
    let options = ConnectOptions::new("broker.example", 1883, "device-7").unwrap();
    client.connect(&options).await.unwrap();
    client.subscribe("t/#", QoS::AtLeastOnce).await.unwrap();
    for topic in ["t/0", "t/1", "t/2"] {
        spawner.spawn(publisher(client, topic)).unwrap();
    }
    let mut next = [0; 3];
    let mut buffer = [0; 64];
    while next != [EACH; 3] {
        let Event::Message(message) = events.next(&mut buffer).await.unwrap() else { panic!() };
        let task = usize::from(message.topic[2] - b'0');
        assert_eq!(message.payload, [next[task]]);
        next[task] += 1;
    }
    done.send(next).unwrap();
}

#[test]
fn three_embassy_tasks_publish_while_a_fourth_receives() {
    let (done, result) = mpsc::channel();
    // An executor runs for ever; its thread ends with the process.
    thread::spawn(move || {
        leaked(Executor::new()).run(|spawner| {
            let (rx, modem_tx) = leaked(Pipe::new()).split();
            let (modem_rx, tx) = leaked(Pipe::new()).split();
            let machine = hayes_simcom::machine(Default::default());
            let (client, events, runner) = leaked(Shared::new(Embassy, machine)).split(rx, tx);
            spawner.spawn(emulator(modem_rx, modem_tx)).unwrap();
            spawner.spawn(run(runner)).unwrap();
            spawner.spawn(app(spawner, client, events, done)).unwrap();
        })
    });
    // Longer than any machine needs.
    assert_eq!(result.recv_timeout(Duration::from_secs(60)), Ok([EACH; 3]));
}
