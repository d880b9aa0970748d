//! How S3 is called: the client with the bounds all transfers of a request share, the sizes of
//! parts, and trying again what broke on the wire.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::client::LazyClient;
use super::open_uploads::OpenUploads;
use crate::sync::disk::pace::Disk;
use crate::sync::error::SyncError;
use crate::sync::progress::Progress;

/// From this size on an object is transferred in parts.
pub(in crate::sync) const IN_PARTS_FROM: u64 = 16 << 20;
/// S3's limit of parts in an upload.
const MOST_PARTS: u64 = 10_000;
const PART: u64 = 8 << 20;
const MIB: u64 = 1 << 20;
/// Mebibytes of files that are sent in one call and held in memory meanwhile.
const MEMORY: usize = 64;
/// Tries of one body, the first included; the calls themselves are tried again by the SDK.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The client and what bounds its use.
#[derive(Debug, Clone)]
pub(in crate::sync) struct Wire {
    client: Arc<LazyClient>,
    /// The worker's, waited for before it ends early.
    pub tasks: TaskTracker,
    /// Those of all requests.
    pub uploads: Arc<OpenUploads>,
    /// One permit a call that carries bytes, across objects and parts.
    permits: Arc<Semaphore>,
    concurrency: usize,
    /// One permit a mebibyte that is held in memory.
    memory: Arc<Semaphore>,
    pub progress: Arc<Progress>,
    /// The one that files are read from or written to.
    pub disk: Disk,
}

impl Wire {
    pub fn new(
        client: Arc<LazyClient>,
        tasks: TaskTracker,
        uploads: Arc<OpenUploads>,
        concurrency: usize,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            client,
            tasks,
            uploads,
            permits: Arc::new(Semaphore::new(concurrency)),
            memory: Arc::new(Semaphore::new(MEMORY)),
            concurrency,
            progress,
            disk: Disk::default(),
        }
    }

    /// The client.
    pub async fn client(&self) -> Client {
        self.client.get().await
    }

    /// Waits until `bytes`, of a file that is sent in one call, may be held in memory.
    pub async fn memory(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        let permits = u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX);
        // The semaphore is never closed, and has more permits than the largest such file takes.
        self.memory.acquire_many(permits).await.ok()
    }

    /// How many calls may carry bytes at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Waits until one more call may carry bytes.
    pub async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.permits.acquire().await.ok()
    }
}

/// A range of bytes, the end excluded.
pub(in crate::sync) type Part = std::ops::Range<u64>;

/// The size of the parts that `size` bytes are transferred in: whole mebibytes, and so large that
/// S3 takes as many as there are.
pub(in crate::sync) fn part_size(size: u64) -> u64 {
    size.div_ceil(MOST_PARTS).div_ceil(MIB).saturating_mul(MIB).max(PART)
}

/// Cuts `size` bytes into parts of `part` bytes, the last perhaps shorter.
pub(in crate::sync) fn parts(size: u64, part: u64) -> impl Iterator<Item = Part> {
    (0..size.div_ceil(part)).map(move |index| index * part..size.min((index + 1) * part))
}

/// Tries `transfer` until it succeeds, or fails in a way that trying again cannot mend.
pub(in crate::sync) async fn persist<T, F: Future<Output = Result<T, SyncError>>>(
    mut transfer: impl FnMut() -> F,
) -> Result<T, SyncError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match transfer().await {
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "trying a transfer again");
                sleep(pause).await;
                pause *= 2;
            }
            ended => return ended,
        }
    }
    transfer().await
}
