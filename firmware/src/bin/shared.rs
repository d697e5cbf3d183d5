//! The driver `hayes-simcom` for several tasks on embassy's executor: three
//! publish, a fourth receives and answers.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use hayes::{
    Clock as _,
    mqtt::{Network, Publish, QoS},
    shared::{self, Failure, Shared, raw::NoopRawMutex},
};
use hayes_firmware::{
    app::{self, Any, BROKER, Duty, INBOX, LINE, PERIOD_MS, Topics, decimal},
    board::{self, Clock, Rx, Tx},
};
use hayes_simcom::Settings;
use static_cell::StaticCell;

type Machine = hayes_simcom::Machine<LINE, INBOX>;
type Client = shared::Client<'static, NoopRawMutex, Clock, Machine>;
type Events = shared::Events<'static, NoopRawMutex, Clock, Machine>;
type Runner = shared::Runner<'static, NoopRawMutex, Clock, Machine, Rx, Tx>;

const COUNTS: [Publish<'static>; 3] = [
    app::publish("device-7/count/a"),
    app::publish("device-7/count/b"),
    app::publish("device-7/count/c"),
];

static SHARED: StaticCell<Shared<NoopRawMutex, Clock, Machine>> = StaticCell::new();

#[entry]
fn main() -> ! {
    board::execute(session())
}

#[embassy_executor::task]
async fn session() {
    let (rx, tx, clock) = board::start();
    let make = || Shared::new(clock, hayes_simcom::machine(Settings::new()));
    if let Some(shared) = SHARED.try_init_with(make) {
        let (client, events, runner) = shared.split(rx, tx);
        board::spawn(run(runner)).await;
        if serve(client, events, clock).await.is_err() {
            board::print(b"failed\n");
        }
    }
    board::exit()
}

#[embassy_executor::task]
async fn run(mut runner: Runner) {
    runner.run().await;
}

/// Has the others publish, and answers until a command is `stop`.
async fn serve(client: Client, mut events: Events, clock: Clock) -> Result<(), Failure> {
    client.bring_up(&Network::new()).await?;
    client.connect(&BROKER).await?;
    client.subscribe(Any::COMMANDS, QoS::AtLeastOnce).await?;
    board::print(b"subscribed\n");
    for publish in &COUNTS {
        board::spawn(count(client, clock, publish)).await;
    }
    let mut buffer = [0; 256 + 64];
    loop {
        match Duty::of(&events.next(&mut buffer).await?) {
            Duty::Answer(length) => send(client, &Any::ANSWER, length).await?,
            Duty::Stop => return Ok(()),
            Duty::Reconnect => return Err(Failure::Closed),
            Duty::None => {}
        }
    }
}

#[embassy_executor::task(pool_size = 3)]
async fn count(client: Client, clock: Clock, publish: &'static Publish<'static>) {
    let mut due = clock.now();
    for number in 1.. {
        clock.wait_until(due).await;
        due = due.after_millis(PERIOD_MS);
        if send(client, publish, number).await.is_err() {
            board::print(b"failed\n");
        }
    }
}

async fn send(client: Client, publish: &Publish<'_>, number: usize) -> Result<(), Failure> {
    let mut digits = [0; 10];
    let payload = decimal(number, &mut digits);
    client.publish(&Publish { payload, ..*publish }).await.map(drop)
}
