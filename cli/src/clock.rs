//! The clock of the host, for the driver: tokio's timer.

use std::time::Duration;

use hayes::{Clock, Instant};

/// Milliseconds since it was made.
pub struct TokioClock(tokio::time::Instant);

impl TokioClock {
    /// A clock that shows zero now.
    pub fn start() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        let millis = self.0.elapsed().as_millis();
        Instant::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    async fn wait_until(&self, at: Instant) {
        tokio::time::sleep_until(self.0 + Duration::from_millis(at.as_millis())).await;
    }
}
