//! How many instructions the driver `hayes-simcom` takes for a byte, from
//! bytes to typed events. It needs no modem, but QEMU with `-icount shift=0`:
//! then each instruction is a nanosecond of the virtual time that SysTick
//! counts. `speed.sh` runs it.
//!
//! What is read is the beginning of what the host's benches read (`mixed` and
//! `receive_256` of `benches/streams`), over and over.

#![no_std]
#![no_main]

use cortex_m::{
    Peripherals, asm,
    peripheral::{SYST, syst::SystClkSource},
};
use cortex_m_rt::entry;
use hayes::{Instant, Machine as _, Operation};
use hayes_firmware::{
    app::{INBOX, LINE, decimal},
    board,
};
use hayes_simcom::Settings;

type Machine = hayes_simcom::Machine<LINE, INBOX>;

/// No deadline passes meanwhile.
const NOW: Instant = Instant::from_millis(0);
/// Bytes of a read.
const READS: [usize; 3] = [1, 16, 64];
/// How often each sample is read.
const ROUNDS: usize = 16;

#[entry]
fn main() -> ! {
    let Some(counter) = Peripherals::take().map(|core| Counter::start(core.SYST)) else {
        board::exit()
    };
    for read in READS {
        answers(&counter, read);
    }
    for read in READS {
        blocks(&counter, read);
    }
    board::exit()
}

/// Answers to the status operation, with lines that nobody asked for before
/// and in them. Only reading is counted, not what is said to the modem.
fn answers(counter: &Counter, read: usize) {
    let mut machine = machine();
    let _ = machine.start(&Operation::Status, NOW);
    // The questions by which a driver finds its modem.
    for answer in [OK, OK, OK, b"\r\n+CMEE: 1\r\n\r\nOK\r\n"] {
        command(&mut machine);
        machine.receive(answer, NOW);
    }
    let mut tally = Tally::default();
    for answer in [&ANSWERS; ROUNDS].into_iter().flatten() {
        command(&mut machine);
        tally.add(answer, counter.instructions(|| feed(&mut machine, answer, read)));
    }
    tally.print(b"mixed", read, ROUNDS * URCS);
}

/// Messages of 256 bytes, each in a block that is counted.
fn blocks(counter: &Counter, read: usize) {
    let mut machine = machine();
    let mut tally = Tally::default();
    for block in [&BLOCK; ROUNDS] {
        tally.add(block, counter.instructions(|| feed(&mut machine, block, read)));
    }
    tally.print(b"blocks", read, ROUNDS);
}

fn machine() -> Machine {
    hayes_simcom::machine(Settings::new()).report_urcs(true)
}

/// Says the next command of the status operation, beginning it anew where it
/// ended. An answer that was taken for none shows as events that are missing.
fn command(machine: &mut Machine) {
    let operation = &Operation::Status;
    for _ in 0..2 {
        if machine.outcome().is_some() {
            let _ = machine.start(operation, NOW);
        }
        let mut sent = 0;
        while let Some(bytes) = machine.transmit(Some(operation), NOW) {
            let count = bytes.len();
            machine.sent(count);
            sent += count;
        }
        if sent > 0 {
            return;
        }
    }
    board::print(b"an answer was not taken for one\n");
    board::exit()
}

/// What is counted: all of `bytes`, in reads of `read`, to typed events; how
/// many of these.
#[inline(never)]
fn feed(machine: &mut Machine, bytes: &[u8], read: usize) -> usize {
    let mut events = 0;
    for piece in bytes.chunks(read) {
        machine.receive(piece, NOW);
        while machine.has_event() {
            events += usize::from(machine.event().is_some());
        }
    }
    events
}

/// What was read, what came of it, and what it took.
#[derive(Default)]
struct Tally {
    bytes: usize,
    events: usize,
    instructions: usize,
}

impl Tally {
    fn add(&mut self, bytes: &[u8], (events, instructions): (usize, usize)) {
        self.bytes += bytes.len();
        self.events += events;
        self.instructions += instructions;
    }

    /// Prints the instructions of a hundred bytes.
    fn print(&self, stream: &[u8], read: usize, events: usize) {
        board::print(stream);
        board::print(b" ");
        board::print(decimal(read, &mut [0; 10]));
        if self.events == events {
            board::print_number(b"", self.instructions * 100 / self.bytes);
        } else {
            board::print_number(b" wrong: events", self.events);
        }
    }
}

// ---- instructions ----------------------------------------------------------

/// SysTick, counting down.
struct Counter {
    /// Instructions of a hundred ticks.
    per_100_ticks: usize,
}

impl Counter {
    /// SysTick's largest value.
    const TICKS: u32 = 0x00ff_ffff;

    /// Starts it, and sees how many ticks a loop of known length takes:
    /// `asm::delay` goes round once for two cycles, in a subtraction and a
    /// branch.
    fn start(mut timer: SYST) -> Self {
        const LOOP: u32 = 16_000_000;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(Self::TICKS);
        timer.clear_current();
        timer.enable_counter();
        let ((), ticks) = Self::ticks(|| asm::delay(LOOP));
        let per_100_ticks = LOOP as usize / (ticks / 100);
        board::print_number(b"instructions of 100 ticks", per_100_ticks);
        Self { per_100_ticks }
    }

    fn instructions<T>(&self, work: impl FnOnce() -> T) -> (T, usize) {
        let (done, ticks) = Self::ticks(work);
        (done, ticks * self.per_100_ticks / 100)
    }

    fn ticks<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = SYST::get_current();
        let done = work();
        let after = SYST::get_current();
        (done, (before.wrapping_sub(after) & Self::TICKS) as usize)
    }
}

// ---- what is read ----------------------------------------------------------

const OK: &[u8] = b"\r\nOK\r\n";

/// Events of the lines in [`ANSWERS`] that nobody asked for.
const URCS: usize = 12;

/// Three times what a modem answers to the status operation.
#[rustfmt::skip]
const ANSWERS: [&[u8]; 27] = [
    b"\r\n+CMTI: \"SM\",60\r\n\r\n+CME ERROR: SIM busy\r\n",
    b"\r\n+CGMR: A011B68A7670M7_F\r\n\r\nOK\r\n",
    b"\r\n+CPIN: READY\r\n\r\nOK\r\n",
    b"\r\n+CREG: 0,1\r\n\r\nOK\r\n",
    b"\r\n+CGEV: EPS PDN ACT 3\r\n\r\n+CGREG: 0,5\r\n\r\nOK\r\n",
    b"\r\n+CEREG: 2,1,\"EA6D\",\"00540099\",7\r\n\r\nOK\r\n",
    b"\r\n+CGEV: EPS PDN ACT 19\r\n\r\n+CSQ: 6,99\r\n\r\nOK\r\n",
    b"\r\n+CGPADDR: 1,10.184.191.37\r\n\r\nOK\r\n",
    b"\r\n+CMQTTDISC: 0,1\r\n\r\nOK\r\n",
    b"\r\nA7670E-FASE\r\n\r\n*PSUTTZ: 2026,11,20,12,58,0,\"+4\",0\r\n\r\nOK\r\n",
    b"\r\n+CME ERROR: SIM busy\r\n",
    b"\r\n+CPIN: READY\r\n\r\nOK\r\n",
    b"\r\n+CREG: 0,0\r\n\r\nOK\r\n",
    b"\r\n+CGREG: 0,5\r\n\r\nOK\r\n",
    b"\r\n+CEREG: 0,5\r\n\r\nOK\r\n",
    b"\r\n+CSQ: 15,99\r\n\r\n*PSUTTZ: 2026,11,20,12,46,0,\"+4\",0\r\n\r\nOK\r\n",
    b"\r\n+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY\r\n\r\n+CGPADDR: 1,10.184.191.91\r\n\r\nOK\r\n",
    b"\r\n+CMQTTDISC: 0,1\r\n\r\n+CUSATP: \"D02A8103012500\"\r\n\r\nOK\r\n",
    b"\r\n+CGEV: EPS PDN ACT 44\r\n\r\nA7670E-FASE\r\n\r\n+CREG: 5,\"9E9A\",\"01A2001C\",7\r\n\r\nOK\r\n",
    b"\r\n+CGMR: A011B51A7670M7_F\r\n\r\n+CMQTTCONNLOST: 0,2\r\n\r\nOK\r\n",
    b"\r\n+CPIN: READY\r\n\r\nOK\r\n",
    b"\r\n+CREG: 0,4\r\n\r\nOK\r\n",
    b"\r\n+CGREG: 2,1,\"EA6D\",\"00540088\",7\r\n\r\n*PSUTTZ: 2026,11,20,12,22,0,\"+4\",0\r\n\r\nOK\r\n",
    b"\r\n+CEREG: 2,1,\"EA6D\",\"00540071\",7\r\n\r\nOK\r\n",
    b"\r\n+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY\r\n\r\n+CME ERROR: SIM busy\r\n",
    b"\r\n+CGPADDR: 1,10.184.191.67\r\n\r\nOK\r\n",
    b"\r\n+CMQTTDISC: 1,1\r\n\r\nOK\r\n",
];

const HEAD: &[u8] = b"\r\n+CMQTTRXSTART: 0,20,256\r\n\
    +CMQTTRXTOPIC: 0,20\r\ndevice-7/inbox/04711\r\n+CMQTTRXPAYLOAD: 0,256\r\n";
const TAIL: &[u8] = b"\r\n+CMQTTRXEND: 0\r\n";
const BLOCK: [u8; HEAD.len() + 256 + TAIL.len()] = {
    let mut block = [b'%'; HEAD.len() + 256 + TAIL.len()];
    let mut at = 0;
    while at < block.len() {
        if at < HEAD.len() {
            block[at] = HEAD[at];
        } else if at >= HEAD.len() + 256 {
            block[at] = TAIL[at - HEAD.len() - 256];
        } else {
            block[at] = b' ' + (at % 95) as u8;
        }
        at += 1;
    }
    block
};
