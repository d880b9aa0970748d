//! The pace of all calls to AWS Batch: one token bucket for the whole process.
//!
//! `SubmitJob` is limited to 50 a second for an account
//! (<https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html>). The limits of the
//! other calls are not published; keeping all of them together below this one leaves room for what
//! else the account does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two calls in the long run: 50 a second.
const INTERVAL: Duration = Duration::from_millis(20);

/// How far calls may run ahead of that after a rest: ten at once.
const BURST: Duration = Duration::from_millis(200);

/// Hands out moments for calls, first come, first served.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The moment at which the bucket would be full again, `None` while nothing was taken.
    full_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// Returns when a call may be made.
    pub(super) async fn turn(&self) {
        let at = self.reserve(Instant::now());
        tokio::time::sleep_until(at).await;
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let level = full_at.map_or(now, |at| at.max(now));
        *full_at = Some(level + INTERVAL);
        // The bucket may be behind by a burst before anybody has to wait.
        level.checked_sub(BURST).map_or(now, |at| at.max(now))
    }
}
