//! No driver: what the images on embassy's executor are weighed against.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use hayes_firmware::{app, board};

#[entry]
fn main() -> ! {
    board::execute(task())
}

#[embassy_executor::task]
async fn task() {
    let (rx, tx, clock) = board::start();
    app::base(rx, tx, clock).await
}
