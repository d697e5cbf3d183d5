//! The driver of a RockREMOTE in `hayes-iridium` on embassy's executor. The
//! modem's port stands for a TCP connection to the box: QEMU joins it to one.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use hayes_firmware::{
    app::{self, Any, INBOX},
    board,
};
use hayes_iridium::rockremote;

#[entry]
fn main() -> ! {
    board::execute(task())
}

#[embassy_executor::task]
async fn task() {
    let (rx, tx, clock) = board::start();
    let settings = rockremote::Settings::new();
    let mut gateway = rockremote::client::<INBOX, _, _, _>(rx, tx, clock, settings);
    app::run::<Any, _>(&mut gateway, clock).await
}
