//! Where the library's logs go: to the debugger by semihosting, which for QEMU
//! is the terminal. As lines with the feature `log`, as frames for
//! `defmt-print` with the feature `defmt`, as both with both.

#[cfg(feature = "defmt")]
use defmt_semihosting as _;

#[cfg(feature = "log")]
struct Lines;

#[cfg(feature = "log")]
impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        cortex_m_semihosting::heprintln!("{} {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

/// Lets `log` know.
pub fn start() {
    #[cfg(feature = "log")]
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
}
