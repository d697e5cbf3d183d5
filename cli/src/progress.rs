//! How far long work has come, on a terminal. Prints nothing into a pipe or a
//! file, nothing for work that is done at once, and leaves no trace.

use std::future::Future;
use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

/// Work that takes less is not worth a word.
const QUIET: Duration = Duration::from_millis(400);
/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(200);

/// A line on the terminal that says how far the work is.
pub struct Progress {
    what: &'static str,
    total: Option<u64>,
    enabled: bool,
    start: Instant,
    written: Option<Instant>,
}

impl Progress {
    /// `what` is counted, up to `total` where that is known.
    pub fn new(what: &'static str, total: Option<u64>, enabled: bool) -> Self {
        let enabled = enabled && stderr().is_terminal();
        Self { what, total, enabled, start: Instant::now(), written: None }
    }

    /// So many are done.
    pub fn set(&mut self, done: u64) {
        let due = self.written.map_or(self.start + QUIET, |last| last + EVERY);
        if !self.enabled || Instant::now() < due {
            return;
        }
        self.written = Some(Instant::now());
        let _ = match self.total {
            Some(total) => {
                let done = done.min(total);
                let percent = done * 100 / total.max(1);
                write!(stderr(), "\r\x1b[K{done} of {total} {} ({percent} %)", self.what)
            }
            None => write!(stderr(), "\r\x1b[K{done} {}", self.what),
        };
    }

    /// Does `work`, which counts up `counter` from what it shows now.
    pub async fn of<T>(mut self, counter: &AtomicU64, work: impl Future<Output = T>) -> T {
        let before = counter.load(Ordering::Relaxed);
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick(), if self.enabled => {
                    self.set(counter.load(Ordering::Relaxed).saturating_sub(before));
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.written.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
