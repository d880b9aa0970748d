//! Where below a destination directory a file may be put, and making what had been put durable.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::SyncError;

/// Directories remembered as checked; beyond it they are checked again.
const REMEMBERED: usize = 10_000;

/// A destination directory that nothing placed in it can leave.
#[derive(Debug)]
pub(super) struct Placing {
    root: PathBuf,
    real_root: PathBuf,
    checked: Mutex<HashSet<PathBuf>>,
}

impl Placing {
    /// Makes the directory `root` where it is missing.
    pub fn new(root: &Path) -> Result<Self, SyncError> {
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        fs::create_dir_all(root).map_err(SyncError::file("create the directory", root))?;
        let real_root = root.canonicalize().map_err(SyncError::file("resolve", root))?;
        Ok(Self { root: root.to_owned(), real_root, checked: Mutex::default() })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of the file `relative`, its parent directory made.
    pub fn file(&self, relative: &str) -> Result<PathBuf, SyncError> {
        let path = self.path(relative)?;
        if let Some(parent) = path.parent() {
            self.make(parent)?;
        }
        Ok(path)
    }

    /// The path of a file whose relative path is one of this machine's, its parent made.
    pub fn local_file(&self, relative: &OsStr) -> Result<PathBuf, SyncError> {
        let relative = Path::new(relative);
        if relative.as_os_str().is_empty() || !is_plain(relative) {
            return Err(SyncError::Unplaceable);
        }
        let path = self.root.join(relative);
        if let Some(parent) = path.parent() {
            self.make(parent)?;
        }
        Ok(path)
    }

    /// Makes the directory `relative`.
    pub fn directory(&self, relative: &str) -> Result<(), SyncError> {
        self.make(&self.path(relative.trim_end_matches('/'))?)
    }

    fn path(&self, relative: &str) -> Result<PathBuf, SyncError> {
        let strange = relative.split('/').any(|segment| matches!(segment, "" | "." | ".."));
        let path = Path::new(relative);
        if strange || !is_plain(path) || relative.contains('\0') {
            return Err(SyncError::Unplaceable);
        }
        Ok(self.root.join(path))
    }

    fn make(&self, directory: &Path) -> Result<(), SyncError> {
        let lock = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().contains(directory) {
            return Ok(());
        }
        // What is there already decides before anything is made below it.
        let existing = directory.ancestors().find(|ancestor| ancestor.exists());
        self.check(existing.unwrap_or(&self.root))?;
        fs::create_dir_all(directory)
            .map_err(SyncError::file("create the directory", directory))?;
        self.check(directory)?;
        let mut checked = lock();
        if checked.len() >= REMEMBERED {
            checked.clear();
        }
        checked.insert(directory.to_owned());
        Ok(())
    }

    fn check(&self, directory: &Path) -> Result<(), SyncError> {
        let real = directory.canonicalize().map_err(SyncError::file("resolve", directory))?;
        if real.starts_with(&self.real_root) {
            Ok(())
        } else {
            Err(SyncError::LeadsOut(self.root.clone()))
        }
    }
}

fn is_plain(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}

/// Returns when everything written to the file system of `directory` would survive a power
/// failure. Where there is no such call, each file was made durable by itself.
pub(super) fn make_durable(directory: &Path) -> Result<(), SyncError> {
    let sync = |directory: &Path| -> io::Result<()> {
        let directory = File::open(directory)?;
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&directory)?;
        #[cfg(not(target_os = "linux"))]
        directory.sync_all()?;
        Ok(())
    };
    sync(directory).map_err(SyncError::file("make durable", directory))
}
