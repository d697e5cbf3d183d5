//! Neither a driver nor an executor: what `bare` is weighed against.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use hayes_firmware::{app, board};

#[entry]
fn main() -> ! {
    let (rx, tx, clock) = board::start();
    board::block_on(app::base(rx, tx, clock))
}
