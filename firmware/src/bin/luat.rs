//! The driver `hayes-luat` on embassy's executor.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use hayes_firmware::{
    app::{self, Any, INBOX, LINE},
    board,
};

#[entry]
fn main() -> ! {
    board::execute(task())
}

#[embassy_executor::task]
async fn task() {
    let (rx, tx, clock) = board::start();
    let settings = hayes_luat::Settings::new();
    let mut modem = hayes_luat::client::<LINE, INBOX, _, _, _>(rx, tx, clock, settings);
    app::run::<Any, _>(&mut modem, clock).await
}
