//! The driver `hayes-simcom` without an executor: its future is polled in
//! place, and lies on the stack.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use hayes_firmware::{
    app::{self, Any, INBOX, LINE},
    board,
};

#[entry]
fn main() -> ! {
    let (rx, tx, clock) = board::start();
    let settings = hayes_simcom::Settings::new();
    let mut modem = hayes_simcom::client::<LINE, INBOX, _, _, _>(rx, tx, clock, settings);
    board::block_on(app::run::<Any, _>(&mut modem, clock))
}
