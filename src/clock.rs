//! Time for the clients: what the time is, and how to wait for a point in it.
//!
//! The machines never read a clock; time is an argument of theirs. Only the
//! pumps (`client`, `shared`, `blocking`) know a [`Clock`], and it is two
//! methods so that any executor's timer serves.
//!
//! Two are ready: `Embassy` with the feature `embassy-time`, and `Tokio` with
//! the feature `tokio`.

use core::time::Duration;

/// A point in time, in milliseconds since an epoch that the [`Clock`] chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The point `millis` milliseconds after the epoch of the clock.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch of the clock.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The point `millis` milliseconds later; saturates at the end of time.
    #[must_use]
    pub const fn after_millis(self, millis: u32) -> Self {
        Self(self.0.saturating_add(millis as u64))
    }

    /// How long before this point `earlier` was; zero if it was not before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// What an async client needs to know of time.
///
/// One of your own, here over tokio's timer:
///
/// ```
/// use hayes::{Clock, Instant};
///
/// struct Tokio(tokio::time::Instant);
///
/// impl Clock for Tokio {
///     fn now(&self) -> Instant {
///         Instant::from_millis(self.0.elapsed().as_millis() as u64)
///     }
///     async fn wait_until(&self, at: Instant) {
///         let wait = std::time::Duration::from_millis(at.as_millis());
///         tokio::time::sleep_until(self.0 + wait).await;
///     }
/// }
/// ```
pub trait Clock {
    /// The present. Must not run backwards.
    fn now(&self) -> Instant;

    /// Returns at `at`, or at once if that has passed. The future may be
    /// dropped at any time; nothing is lost by it.
    #[allow(async_fn_in_trait, reason = "concrete types are handed out; no Send bound is promised")]
    async fn wait_until(&self, at: Instant);
}

impl<C: Clock> Clock for &C {
    fn now(&self) -> Instant {
        C::now(self)
    }

    async fn wait_until(&self, at: Instant) {
        C::wait_until(self, at).await;
    }
}

/// The time of `embassy-time`, on whatever driver the board has.
///
/// A program that is not run by `embassy-executor` needs one of the features
/// `generic-queue-…` of `embassy-time` to link.
#[cfg(feature = "embassy-time")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Embassy;

#[cfg(feature = "embassy-time")]
impl Clock for Embassy {
    fn now(&self) -> Instant {
        Instant(embassy_time::Instant::now().as_millis())
    }

    async fn wait_until(&self, at: Instant) {
        embassy_time::Timer::at(embassy_time::Instant::from_millis(at.0)).await;
    }
}

/// The time of tokio, also where a test has paused it. To be used inside a
/// runtime with its timer enabled.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug)]
pub struct Tokio(tokio::time::Instant);

#[cfg(feature = "tokio")]
impl Tokio {
    /// A clock that shows zero now.
    #[must_use]
    pub fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[cfg(feature = "tokio")]
impl Default for Tokio {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "tokio")]
impl Clock for Tokio {
    fn now(&self) -> Instant {
        Instant(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn wait_until(&self, at: Instant) {
        match self.0.checked_add(Duration::from_millis(at.0)) {
            Some(at) => tokio::time::sleep_until(at).await,
            None => core::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_lent_is_the_clock() {
        async fn waits(clock: impl Clock) -> Duration {
            let begun = tokio::time::Instant::now();
            let at = Clock::now(&clock).after_millis(250);
            clock.wait_until(at).await;
            assert_eq!(Clock::now(&clock), at);
            begun.elapsed()
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let clock = Tokio::new();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(waits(&clock).await, Duration::from_millis(250));
        assert_eq!(waits(clock).await, Duration::from_millis(250));
    }

    #[test]
    fn the_clock_of_embassy_shows_its_time() {
        use crate::blocking;
        let millis = || embassy_time::Instant::now().as_millis();
        while millis() == 0 {
            std::hint::spin_loop();
        }
        for now in [|| Clock::now(&Embassy), || blocking::Clock::now(&Embassy)] {
            let (before, shown, after) = (millis(), now().as_millis(), millis());
            assert!((before..=after).contains(&shown), "{before} {shown} {after}");
        }
    }
}
