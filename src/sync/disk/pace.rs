//! Where small pieces of file work run. A local file system answers in microseconds, less than it
//! takes to wake another thread and be woken by it; one on the network takes milliseconds, during
//! which other transfers must go on. So the work runs where its caller is for as long as that is
//! quick, and elsewhere while it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sync::error::{SyncError, blocking};

/// Longer than a local file system takes to make a small file, far shorter than EFS does.
const QUICK: Duration = Duration::from_micros(400);
/// How much the last piece of work weighs against those before it, as a shift.
const WEIGHT: u32 = 3;

/// A file system, by how long it takes.
#[derive(Debug, Clone)]
pub(in crate::sync) struct Disk {
    /// Nanoseconds, a running average.
    usual: Arc<AtomicU64>,
}

impl Default for Disk {
    /// Takes it for slow until it has shown otherwise.
    fn default() -> Self {
        let usual = u64::try_from(2 * QUICK.as_nanos()).unwrap_or(u64::MAX);
        Self { usual: Arc::new(usual.into()) }
    }
}

impl Disk {
    /// Runs `work`, which may block for about as long as it did before.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SyncError> + Send + 'static,
    ) -> Result<T, SyncError> {
        let usual = self.usual.load(Ordering::Relaxed);
        if u128::from(usual) <= QUICK.as_nanos() {
            return self.time(work);
        }
        let disk = self.clone();
        blocking(move || disk.time(work)).await
    }

    fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Two at once may each miss the other's: it is an average.
        let usual = self.usual.load(Ordering::Relaxed);
        let moved = usual - (usual >> WEIGHT) + (took >> WEIGHT);
        self.usual.store(moved, Ordering::Relaxed);
        done
    }
}
