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

#[cfg(target_os = "linux")]
use rustix::fs::OFlags;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::sync::error::SyncError;

const PREFIX: &str = ".demand-";
const SUFFIX: &str = ".part";
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
            (File::create_new(&path).map_err(SyncError::file("create", &path))?, path)
        };
        Ok(Self { file, path, target: target.to_owned(), direct: false, published: false })
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

/// Whether a worker still writes the file of such a name at `path`.
pub(in crate::sync) fn is_under_way(path: &Path) -> bool {
    let file = OpenOptions::new().write(true).open(path);
    file.map_or(true, |file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
}

/// Opens and empties the file at `path`, unless another worker is writing it.
fn take(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    // Its writer may have published it between our opening and our locking: then it is ours to
    // leave alone.
    let opened = file.metadata()?;
    // A server is asked again only by opening.
    let named =
        if is_remote(&file) { File::open(path)?.metadata() } else { fs::symlink_metadata(path) };
    let ours = named.is_ok_and(|named| named.ino() == opened.ino() && named.dev() == opened.dev());
    if !ours {
        return Ok(None);
    }
    if opened.len() > 0 {
        file.set_len(0)?;
    }
    Ok(Some(file))
}
