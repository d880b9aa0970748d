//! A file under way: written beside its final name, then renamed over it, so that no wrong file
//! ever has that name.
//!
//! The name under way follows from the final one. A worker that was killed leaves it behind, and
//! the next run takes it up instead of littering. Workers that write the same file at once are
//! told apart by a lock on the file under way.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::fs::OFlags;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

use crate::sync::error::SyncError;

const PREFIX: &str = ".demand-";
const SUFFIX: &str = ".part";
/// How long nobody must have written a file that was left behind.
const LEFT_FOR: Duration = Duration::from_mins(10);
/// `NFS_SUPER_MAGIC` (statfs(2)), which EFS is mounted as.
#[cfg(target_os = "linux")]
const NFS: rustix::fs::FsWord = 0x6969;

/// A file that has not its final name yet; removed when dropped.
#[derive(Debug)]
pub(in crate::sync) struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
    direct: bool,
    published: bool,
    /// What waits for the worker's files waits for this one.
    under_way: Option<TaskTrackerToken>,
}

impl Partial {
    /// Opens an empty one for `target`, in `directory`, which is on its file system.
    pub fn create(directory: &Path, target: &Path) -> Result<Self, SyncError> {
        let digest = Sha256::digest(target.as_os_str().as_bytes());
        let id = u64::from_be_bytes(std::array::from_fn(|index| digest[index]));
        let path = directory.join(format!("{PREFIX}{id:016x}{SUFFIX}"));
        let taken = take(&path).map_err(SyncError::file("create", &path))?;
        let (file, path) = if let Some(file) = taken {
            (file, path)
        } else {
            let own = format!("{PREFIX}{id:016x}-{}{SUFFIX}", Uuid::new_v4().simple());
            let path = directory.join(own);
            let create = || -> io::Result<File> {
                let file = File::create_new(&path)?;
                // Nobody else has this name; the lock only tells that it is being written.
                let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
                Ok(file)
            };
            (create().map_err(SyncError::file("create", &path))?, path)
        };
        let target = target.to_owned();
        Ok(Self { file, path, target, direct: false, published: false, under_way: None })
    }

    /// Has who waits for `token` wait until the file was published or removed.
    pub fn hold(&mut self, token: TaskTrackerToken) {
        self.under_way = Some(token);
    }

    /// Has the file written past the page cache from now on, in whole blocks, where its file
    /// system can.
    pub fn go_direct(&mut self) {
        #[cfg(target_os = "linux")]
        {
            let direct = rustix::fs::fcntl_getfl(&self.file)
                .and_then(|flags| rustix::fs::fcntl_setfl(&self.file, flags | OFlags::DIRECT));
            self.direct = direct.is_ok();
        }
    }

    /// Has the file written through the page cache again, blocks or not.
    pub fn go_cached(&self) {
        #[cfg(target_os = "linux")]
        {
            let cached = rustix::fs::fcntl_getfl(&self.file)
                .and_then(|flags| rustix::fs::fcntl_setfl(&self.file, flags - OFlags::DIRECT));
            if let Err(error) = cached {
                tracing::debug!(path = %self.path.display(), %error, "cannot write it cached");
            }
        }
    }

    /// Whether it is written in whole blocks.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Cuts off what was written beyond its end.
    pub fn cut(&self, size: u64) -> Result<(), SyncError> {
        self.file.set_len(size).map_err(SyncError::file("write", &self.path))
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it lies meanwhile.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its final name, replacing what had it.
    pub fn publish(mut self) -> Result<(), SyncError> {
        if is_remote(&self.file) {
            // Its server may refuse what it was sent until then, and not after it has its name.
            // Beyond Linux no single call makes all files of a step durable at its end.
            self.file.sync_data().map_err(SyncError::file("write", &self.path))?;
        }
        match fs::rename(&self.path, &self.target) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.carry_over(),
            named => {
                named.map_err(SyncError::file("replace", &self.target))?;
                self.published = true;
                Ok(())
            }
        }
    }

    /// Publishes a file that lies on another file system than its target.
    fn carry_over(&self) -> Result<(), SyncError> {
        let directory = self.target.parent().unwrap_or(Path::new("/"));
        let partial = Self::create(directory, &self.target)?;
        let carry = || -> io::Result<()> {
            let mut from = File::open(&self.path)?;
            io::copy(&mut from, &mut &partial.file)?;
            partial.file.set_permissions(from.metadata()?.permissions())
        };
        carry().map_err(SyncError::file("write", &partial.path))?;
        partial.publish()
    }
}

/// Whether a file lies on a server, which tells late what it cannot take.
fn is_remote(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type == NFS);
    #[cfg(not(target_os = "linux"))]
    return true;
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a partial file");
        }
    }
}

/// Whether a file of this name is one under way, of this worker or of one that was killed.
pub(in crate::sync) fn is_partial(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// Removes the file of such a name at `path`, unless a worker still writes it.
pub(in crate::sync) fn remove_left(path: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().write(true).open(path) {
        // Somebody else's, who may still write it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        opened => opened?,
    };
    // One that was made a moment ago may not have been locked yet.
    let is_old = file.metadata()?.modified()?.elapsed().is_ok_and(|age| age >= LEFT_FOR);
    // As long as it is locked nobody else takes it up.
    if is_old && is_ours(&file, path)? { fs::remove_file(path) } else { Ok(()) }
}

/// Opens and empties the file at `path`, unless another worker is writing it.
fn take(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if !is_ours(&file, path)? {
        return Ok(None);
    }
    if file.metadata()?.len() > 0 {
        file.set_len(0)?;
    }
    Ok(Some(file))
}

/// Locks a file that was opened at `path`; answers whether that could be done, and it is still
/// there. Its writer may have published it between our opening and our locking: then it is ours to
/// leave alone.
fn is_ours(file: &File, path: &Path) -> io::Result<bool> {
    if flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    let opened = file.metadata()?;
    // A server is asked again only by opening.
    let named = if is_remote(file) {
        File::open(path).and_then(|file| file.metadata())
    } else {
        fs::symlink_metadata(path)
    };
    Ok(named.is_ok_and(|named| named.ino() == opened.ino() && named.dev() == opened.dev()))
}
