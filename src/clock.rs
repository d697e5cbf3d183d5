//! Time for the clients: what the time is, and how to wait for a point in it.
//!
//! The machines never read a clock; time is an argument of theirs. Only the
//! pumps (`client`, `blocking`) know a [`Clock`], and it is two methods so
//! that any executor's timer serves.

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
