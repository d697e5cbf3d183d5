//! The board: QEMU's `lm3s6965evb`. Two serial ports (the console and the
//! modem's), a clock of milliseconds, the size of the stack, an end.
//!
//! It is what a HAL is on other boards, and the only place with `unsafe`.

#![allow(unsafe_code, reason = "registers, the vector table, the end of the stack")]

use core::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    panic::PanicInfo,
    pin::pin,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use cortex_m::{
    asm,
    peripheral::{NVIC, Peripherals, syst::SystClkSource},
};
use cortex_m_rt::exception;
use critical_section::Mutex;
use embassy_executor::{Executor, SpawnError, SpawnToken, Spawner};
use embassy_sync::waitqueue::{AtomicWaker, MultiWakerRegistration};
use embedded_io_async::{ErrorType, Read, Write};
use hayes::Instant;

use crate::app::decimal;

/// Switches the modem's port and the clock on; call it once.
pub fn start() -> (Rx, Tx, Clock) {
    #[cfg(any(feature = "defmt", feature = "log"))]
    crate::logs::start();
    MODEM.listen(Uart::RX, true);
    // SAFETY: nothing else uses the core's peripherals, and no critical
    // section is open that the interrupt could break.
    let mut core = unsafe {
        NVIC::unmask(Interrupt::Modem);
        Peripherals::steal()
    };
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(CYCLES_PER_MS - 1);
    core.SYST.clear_current();
    core.SYST.enable_counter();
    core.SYST.enable_interrupt();
    (Rx(()), Tx(()), Clock(()))
}

/// Of the emulated crystal and PLL after reset.
const CYCLES_PER_MS: u32 = 12_500;

// ---- serial ports ----------------------------------------------------------

/// A PL011, by its address.
#[derive(Clone, Copy)]
struct Uart(usize);

const CONSOLE: Uart = Uart(0x4000_c000);
const MODEM: Uart = Uart(0x4000_d000);

impl Uart {
    const DATA: usize = 0x00;
    const FLAGS: usize = 0x18;
    const MASK: usize = 0x38;
    const CLEAR: usize = 0x44;

    /// Flags: nothing was received, no room to send.
    const EMPTY: u32 = 1 << 4;
    const FULL: u32 = 1 << 5;

    /// Interrupts: received, room to send.
    const RX: u32 = 1 << 4;
    const TX: u32 = 1 << 5;

    fn read(self, register: usize) -> u32 {
        // SAFETY: a register of a UART, all of which may be read.
        unsafe { ((self.0 + register) as *const u32).read_volatile() }
    }

    fn write(self, register: usize, value: u32) {
        // SAFETY: a register of a UART; none of them changes memory.
        unsafe { ((self.0 + register) as *mut u32).write_volatile(value) }
    }

    fn has(self, flag: u32) -> bool {
        self.read(Self::FLAGS) & flag != 0
    }

    /// Lets these interrupts through, or not.
    #[inline(never)]
    fn listen(self, interrupts: u32, on: bool) {
        critical_section::with(|_| {
            let others = self.read(Self::MASK) & !interrupts;
            self.write(Self::MASK, if on { others | interrupts } else { others });
        });
    }
}

/// Prints on the console.
pub fn print(text: &[u8]) {
    for byte in text {
        while CONSOLE.has(Uart::FULL) {}
        CONSOLE.write(Uart::DATA, (*byte).into());
    }
}

/// Prints a word and a number.
pub fn print_number(word: &[u8], number: usize) {
    print(word);
    print(b" ");
    print(decimal(number, &mut [0; 10]));
    print(b"\n");
}

/// What the modem sent and nobody has read, up to 255 bytes: the interrupt
/// moves the tail, the reader the head. What has no room waits in the port,
/// and QEMU behind it, as it would behind an RTS line.
static RING: [AtomicU8; 256] = [const { AtomicU8::new(0) }; 256];
static HEAD: AtomicU8 = AtomicU8::new(0);
static TAIL: AtomicU8 = AtomicU8::new(0);
static RECEIVED: AtomicWaker = AtomicWaker::new();
static SENT: AtomicWaker = AtomicWaker::new();

/// Of the modem's port.
extern "C" fn modem() {
    MODEM.write(Uart::CLEAR, Uart::TX);
    while !MODEM.has(Uart::EMPTY) {
        let tail = TAIL.load(Relaxed);
        let next = tail.wrapping_add(1);
        if next == HEAD.load(Relaxed) {
            MODEM.listen(Uart::RX, false);
            break;
        }
        RING[usize::from(tail)].store(MODEM.read(Uart::DATA) as u8, Relaxed);
        TAIL.store(next, Relaxed);
    }
    RECEIVED.wake();
    if !MODEM.has(Uart::FULL) {
        MODEM.listen(Uart::TX, false);
        SENT.wake();
    }
}

/// What the modem says. A dropped read loses nothing.
pub struct Rx(());

impl Rx {
    /// Whether anything was received that nobody has read.
    fn is_ready(&self) -> bool {
        HEAD.load(Relaxed) != TAIL.load(Relaxed)
    }

    /// Takes what was received, as far as it fits.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        for slot in buffer {
            if !self.is_ready() {
                break;
            }
            let head = HEAD.load(Relaxed);
            *slot = RING[usize::from(head)].load(Relaxed);
            HEAD.store(head.wrapping_add(1), Relaxed);
            count += 1;
        }
        MODEM.listen(Uart::RX, true);
        count
    }
}

/// What the modem is told.
pub struct Tx(());

impl Tx {
    /// Sends what the port has room for.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for byte in bytes {
            if MODEM.has(Uart::FULL) {
                break;
            }
            MODEM.write(Uart::DATA, (*byte).into());
            count += 1;
        }
        count
    }
}

impl ErrorType for Rx {
    type Error = Infallible;
}

impl ErrorType for Tx {
    type Error = Infallible;
}

impl Read for Rx {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|cx| {
            RECEIVED.register(cx.waker());
            match self.take(buffer) {
                0 => Poll::Pending,
                count => Poll::Ready(Ok(count)),
            }
        })
        .await
    }
}

impl Write for Tx {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        poll_fn(|cx| {
            SENT.register(cx.waker());
            let count = self.put(bytes);
            if count < bytes.len() {
                MODEM.listen(Uart::TX, true);
            }
            if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Both, for who waits by asking again.
pub struct Port(pub Rx, pub Tx);

impl ErrorType for Port {
    type Error = Infallible;
}

impl embedded_io::ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.is_ready())
    }
}

impl embedded_io::Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        while !self.0.is_ready() {}
        Ok(self.0.take(buffer))
    }
}

impl embedded_io::Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        while MODEM.has(Uart::FULL) {}
        Ok(self.1.put(bytes))
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

// ---- the clock -------------------------------------------------------------

static NOW: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));
static ALARM: Mutex<RefCell<Alarm>> =
    Mutex::new(RefCell::new(Alarm { due: u64::MAX, waiting: MultiWakerRegistration::new() }));

/// When the first of those who wait wants to be woken. Then all are, and say
/// anew what they wait for.
struct Alarm {
    due: u64,
    waiting: MultiWakerRegistration<6>,
}

/// Milliseconds since the start.
#[derive(Clone, Copy)]
pub struct Clock(());

impl hayes::Clock for Clock {
    fn now(&self) -> Instant {
        Instant::from_millis(critical_section::with(|cs| NOW.borrow(cs).get()))
    }

    async fn wait_until(&self, at: Instant) {
        poll_fn(|cx| self.poll(at, cx.waker())).await
    }
}

impl Clock {
    /// Not inlined, so that it weighs in the base and not in each driver.
    #[inline(never)]
    fn poll(&self, at: Instant, waker: &Waker) -> Poll<()> {
        critical_section::with(|cs| {
            if NOW.borrow(cs).get() >= at.as_millis() {
                return Poll::Ready(());
            }
            if let Ok(mut alarm) = ALARM.borrow(cs).try_borrow_mut() {
                alarm.due = alarm.due.min(at.as_millis());
                alarm.waiting.register(waker);
            }
            Poll::Pending
        })
    }
}

impl hayes::blocking::Clock for Clock {
    fn now(&self) -> Instant {
        hayes::Clock::now(self)
    }

    fn idle(&self) {
        asm::wfe();
    }
}

#[exception]
fn SysTick() {
    critical_section::with(|cs| {
        let now = NOW.borrow(cs).get().wrapping_add(1);
        NOW.borrow(cs).set(now);
        if let Ok(mut alarm) = ALARM.borrow(cs).try_borrow_mut() {
            if now >= alarm.due {
                alarm.due = u64::MAX;
                alarm.waiting.wake();
            }
        }
    });
}

// ---- running and ending ----------------------------------------------------

/// Runs a future without an executor: polls it after each interrupt.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        // A wake-up between the poll and the sleep is not lost: interrupts
        // set the event that ends it.
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        asm::wfe();
    }
}

/// Runs a task on embassy's executor, without the panic of its `main`.
pub fn execute<S>(task: Result<SpawnToken<S>, SpawnError>) -> ! {
    let mut executor = Executor::new();
    // SAFETY: it is never moved, and lives as long as this function, for ever.
    let executor: &'static mut Executor = unsafe { &mut *(&raw mut executor) };
    executor.run(|spawner| {
        if let Ok(task) = task {
            spawner.spawn(task);
        }
    })
}

/// Runs another task beside the one that asks for it.
pub async fn spawn<S>(task: Result<SpawnToken<S>, SpawnError>) {
    // SAFETY: embassy's executor runs whoever has a task to spawn.
    let spawner = unsafe { Spawner::for_current_executor() }.await;
    if let Ok(task) = task {
        spawner.spawn(task);
    }
}

/// Prints how much of the stack was ever used, in bytes, and stops QEMU.
pub fn exit() -> ! {
    print_number(b"stack", stack_used());
    loop {
        // SAFETY: SYS_EXIT with ADP_Stopped_ApplicationExit.
        unsafe { cortex_m::asm::semihosting_syscall(0x18, 0x2_0026) };
    }
}

/// The stack was painted before the start.
fn stack_used() -> usize {
    unsafe extern "C" {
        static _stack_end: u32;
        static _stack_start: u32;
    }
    let (mut at, top) = (&raw const _stack_end, &raw const _stack_start);
    // SAFETY: between these addresses lies the stack.
    unsafe {
        while at < top && at.read_volatile() == cortex_m_rt::STACK_PAINT_VALUE {
            at = at.add(1);
        }
    }
    top as usize - at as usize
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    print(b"panic\n");
    exit()
}

// ---- the vector table ------------------------------------------------------

/// The interrupts in use, by their number.
#[derive(Clone, Copy)]
enum Interrupt {
    Modem = 6,
}

// SAFETY: the numbers are those of the data sheet.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

extern "C" fn unexpected() {
    exit()
}

#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [extern "C" fn(); 44] = {
    let mut table: [extern "C" fn(); 44] = [unexpected; 44];
    table[Interrupt::Modem as usize] = modem;
    table
};
