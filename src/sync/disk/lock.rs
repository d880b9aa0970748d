//! One writer at a destination: `flock` on a file beside it.
//!
//! The lock file is never unlinked: a worker that waits on a name that was unlinked would hold a
//! lock that nobody else sees.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use super::placing::beside;
use crate::sync::error::SyncError;

const SUFFIX: &str = ".demand.lock";
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A held lock, let go when dropped or when the process ends.
#[derive(Debug)]
pub(in crate::sync) struct Lock {
    _file: File,
}

/// Whether a file of this name is a lock, held or not.
pub(in crate::sync) fn is_lock(name: &[u8]) -> bool {
    name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes())
}

/// Beside the destination; of a mounted file system's root, which has nothing beside it that others
/// see, inside.
fn place(destination: &Path) -> PathBuf {
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    let parent = destination.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.and_then(device).or_else(|| device(Path::new(".")));
    match device(destination) {
        Some(own) if Some(own) != parent && destination.is_dir() => destination.join(SUFFIX),
        _ => beside(destination, SUFFIX),
    }
}

impl Lock {
    /// Waits at most `timeout` for the lock of `destination`.
    pub async fn acquire(destination: &Path, timeout: Duration) -> Result<Self, SyncError> {
        let path = place(destination);
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(SyncError::file("create the directory", parent))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(SyncError::file("open", &path))?;
        let deadline = Instant::now() + timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(SyncError::file("lock", &path)(error.into())),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(SyncError::Locked { path, timeout });
            }
            sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
