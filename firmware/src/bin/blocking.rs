//! The driver `hayes-simcom` with the blocking client, in a bare loop.

#![no_std]
#![no_main]

use core::convert::Infallible;

use cortex_m_rt::entry;
use hayes::{
    ClientError,
    blocking::{Client, Clock as _},
    mqtt::{Network, Publish, QoS},
};
use hayes_firmware::{
    app::{Any, BROKER, Duty, INBOX, LINE, PERIOD_MS, Topics, decimal},
    board::{self, Clock, Port},
};
use hayes_simcom::{Machine, Settings};

#[entry]
fn main() -> ! {
    let (rx, tx, clock) = board::start();
    let machine = hayes_simcom::machine(Settings::new());
    let mut modem = Client::new(Port(rx, tx), clock, machine);
    while session(&mut modem, clock).is_err() {
        board::print(b"failed\n");
    }
    board::exit()
}

/// What [`hayes_firmware::app::run`] does in a session.
fn session(
    modem: &mut Client<Port, Clock, Machine<LINE, INBOX>>,
    clock: Clock,
) -> Result<(), ClientError<Infallible>> {
    modem.bring_up(&Network::new())?;
    modem.connect(&BROKER)?;
    modem.subscribe(Any::COMMANDS, QoS::AtLeastOnce)?;
    board::print(b"subscribed\n");
    let mut count = 0;
    let mut due = clock.now();
    loop {
        let duty = modem.poll_event()?.map_or(Duty::None, |event| Duty::of(&event));
        let (publish, number) = match duty {
            Duty::Answer(length) => (Any::ANSWER, length),
            Duty::Stop => return Ok(()),
            Duty::Reconnect => return Err(ClientError::Closed),
            Duty::None if clock.now() < due => {
                clock.idle();
                continue;
            }
            Duty::None => {
                count += 1;
                due = due.after_millis(PERIOD_MS);
                (Any::COUNT, count)
            }
        };
        let mut digits = [0; 10];
        let payload = decimal(number, &mut digits);
        modem.publish(&Publish { payload, ..publish })?;
    }
}
