//! The driver of a 9704 in `hayes-iridium` on embassy's executor.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use hayes::mqtt::Publish;
use hayes_firmware::{
    app::{self, INBOX, Topics},
    board,
};
use hayes_iridium::jspr;

/// The longest line that a modem with few topics sends, with a part of 1,446
/// bytes of a message in it.
const LINE: usize = 2304;

/// Two names that are provisioned for the emulated modem.
struct Provisioned;

impl Topics for Provisioned {
    const COUNT: Publish<'static> = app::publish("RAW");
    const ANSWER: Publish<'static> = app::publish("PEBBLE");
    const COMMANDS: &'static str = "PEBBLE";
}

#[entry]
fn main() -> ! {
    board::execute(task())
}

#[embassy_executor::task]
async fn task() {
    let (rx, tx, clock) = board::start();
    let settings = jspr::Settings::new();
    let mut modem = jspr::client::<LINE, INBOX, _, _, _>(rx, tx, clock, settings);
    app::run::<Provisioned, _>(&mut modem, clock).await
}
