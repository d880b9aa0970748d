//! Where below a destination directory a file may be put, and making what had been put durable.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::sync::error::SyncError;

/// Bytes in a file's name (limits.h).
const NAME_MAX: usize = 255;
/// Directories remembered as checked; beyond it they are checked again.
const REMEMBERED: usize = 10_000;

/// A destination directory that nothing placed in it can leave.
#[derive(Debug, Default)]
pub(in crate::sync) struct Placing {
    root: PathBuf,
    /// Opened before anything is placed: who opens it later is not told of what failed before.
    file_system: Option<File>,
    /// None where the directory is missing and is not to be made.
    real_root: Option<PathBuf>,
    makes: bool,
    checked: Mutex<HashSet<PathBuf>>,
    aliases: Mutex<HashSet<Alias>>,
}

/// A directory below the destination that files were placed in through a link.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::sync) struct Alias {
    /// As it was named.
    pub path: PathBuf,
    /// Where it really lies, below the destination too.
    pub real: PathBuf,
}

impl Placing {
    /// Makes the directory `root` where it is missing.
    pub fn new(root: &Path) -> Result<Self, SyncError> {
        let root = or_current(root);
        fs::create_dir_all(root).map_err(SyncError::file("create the directory", root))?;
        let real_root = root.canonicalize().map_err(SyncError::file("resolve", root))?;
        let file_system = File::open(root).map_err(SyncError::file("open", root))?;
        Ok(Self {
            root: root.to_owned(),
            file_system: Some(file_system),
            real_root: Some(real_root),
            makes: true,
            ..Self::default()
        })
    }

    /// Tells where files would be placed, and makes nothing.
    pub fn dry(root: &Path) -> Self {
        let root = or_current(root);
        let real_root = root.canonicalize().ok();
        Self { root: root.to_owned(), real_root, makes: false, ..Self::default() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directories below it that files were placed in through links.
    pub fn aliases(&self) -> Vec<Alias> {
        let aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        aliases.iter().cloned().collect()
    }

    /// The place of the file `relative`.
    pub fn file(&self, relative: &str) -> Result<Placed, SyncError> {
        Ok(self.placed(self.path(relative)?))
    }

    /// The place of a file whose relative path is one of this machine's.
    pub fn local_file(&self, relative: &OsStr) -> Result<Placed, SyncError> {
        let relative = Path::new(relative);
        if relative.as_os_str().is_empty() || !is_plain(relative) {
            return Err(SyncError::Unplaceable);
        }
        Ok(self.placed(self.root.join(relative)))
    }

    /// Makes the directory `relative`.
    pub fn directory(&self, relative: &str) -> Result<(), SyncError> {
        self.make(&self.path(relative.trim_end_matches('/'))?)
    }

    /// Makes the directory that `file` lies in.
    pub fn make_parent(&self, file: &Path) -> Result<(), SyncError> {
        self.make(file.parent().unwrap_or(&self.root))
    }

    /// Returns when everything written to its file system would survive a power failure. Where
    /// there is no such call, each file was made durable by itself.
    pub fn make_durable(&self) -> Result<(), SyncError> {
        let Some(directory) = &self.file_system else { return Ok(()) };
        #[cfg(target_os = "linux")]
        let synced = rustix::fs::syncfs(directory).map_err(io::Error::from);
        #[cfg(not(target_os = "linux"))]
        let synced = directory.sync_all();
        synced.map_err(SyncError::file("make durable", &self.root))
    }

    fn placed(&self, path: PathBuf) -> Placed {
        let ready = path.parent().is_some_and(|parent| self.checked().contains(parent));
        Placed { path, ready }
    }

    fn path(&self, relative: &str) -> Result<PathBuf, SyncError> {
        let strange = relative.split('/').any(|segment| matches!(segment, "" | "." | ".."));
        let path = Path::new(relative);
        if strange || !is_plain(path) || relative.contains('\0') {
            return Err(SyncError::Unplaceable);
        }
        Ok(self.root.join(path))
    }

    /// Makes `directory`, which is one of its own paths.
    pub fn make(&self, directory: &Path) -> Result<(), SyncError> {
        if self.checked().contains(directory) {
            return Ok(());
        }
        // What is there already decides before anything is made below it.
        let existing = directory.ancestors().find(|ancestor| ancestor.exists());
        self.check(existing.unwrap_or(&self.root))?;
        if self.makes {
            fs::create_dir_all(directory)
                .map_err(SyncError::file("create the directory", directory))?;
            self.check(directory)?;
        }
        let mut checked = self.checked();
        if checked.len() >= REMEMBERED {
            checked.clear();
        }
        checked.insert(directory.to_owned());
        Ok(())
    }

    fn checked(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, directory: &Path) -> Result<(), SyncError> {
        let Some(real_root) = &self.real_root else { return Ok(()) };
        let really = directory.canonicalize().map_err(SyncError::file("resolve", directory))?;
        let Ok(real) = really.strip_prefix(real_root) else {
            return Err(SyncError::LeadsOut(self.root.clone()));
        };
        if let Ok(path) = directory.strip_prefix(&self.root)
            && path != real
        {
            let alias = Alias { path: path.to_owned(), real: real.to_owned() };
            self.aliases.lock().unwrap_or_else(PoisonError::into_inner).insert(alias);
        }
        Ok(())
    }
}

/// The path of a file to be.
#[derive(Debug)]
pub(in crate::sync) struct Placed {
    pub path: PathBuf,
    /// Whether its directory is known to be there.
    pub ready: bool,
}

fn or_current(root: &Path) -> &Path {
    if root.as_os_str().is_empty() { Path::new(".") } else { root }
}

/// Refuses what no file takes the place of, given what lies at its path.
pub(in crate::sync) fn replaceable(path: &Path, there: &Metadata) -> Result<(), SyncError> {
    let kind = there.file_type();
    if kind.is_dir() {
        Err(SyncError::IsDirectory(path.to_owned()))
    } else if kind.is_file() || kind.is_symlink() {
        Ok(())
    } else {
        Err(SyncError::IsSpecial(path.to_owned()))
    }
}

/// The path of a file of the worker's own that belongs to `path`: `.NAME` and `suffix` beside it.
/// The end of a name too long for that is replaced by its hash.
pub(in crate::sync) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or(path.as_os_str()).as_bytes();
    let mut own = b".".to_vec();
    if 1 + name.len() + suffix.len() <= NAME_MAX {
        own.extend_from_slice(name);
    } else {
        let hash = hex::encode(&Sha256::digest(name)[..8]);
        own.extend_from_slice(&name[..NAME_MAX - 1 - hash.len() - suffix.len()]);
        own.extend_from_slice(hash.as_bytes());
    }
    own.extend_from_slice(suffix.as_bytes());
    path.with_file_name(OsStr::from_bytes(&own))
}

fn is_plain(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}
