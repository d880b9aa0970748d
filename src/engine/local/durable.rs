//! Small files that are there whole or not at all, whatever dies meanwhile.
//!
//! Written beside their place, synced, renamed over it, and the directory synced, so that a
//! reader sees the old content or the new, and a power cut takes neither.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A record that could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `lock`, …
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not what was once written.
    #[error("cannot make sense of {}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where its JSON is wrong.
        #[source]
        source: serde_json::Error,
    },
}

impl RecordError {
    /// Names the action and the file that `source` is about.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the file, or the directory it belongs in, does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Makes `path` hold `content`, readable by the owner alone: records carry environments.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), RecordError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let replace = || {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|refused| refused.error)?;
        File::open(directory)?.sync_all()
    };
    replace().map_err(RecordError::io("write", path))
}

/// Makes `path` hold `value` as JSON.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    let content = serde_json::to_vec_pretty(value)
        .map_err(|source| RecordError::Parse { path: path.to_owned(), source })?;
    write(path, &content)
}

/// What [`write_json`] put there, or nothing where nothing was put.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    match std::fs::read(path) {
        Ok(content) => serde_json::from_slice(&content)
            .map(Some)
            .map_err(|source| RecordError::Parse { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::io("read", path)(error)),
    }
}

/// Makes a directory that only its owner may enter, lastingly; one already there will do.
pub(super) fn create_directory(path: &Path) -> Result<(), RecordError> {
    let create = || {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    create().map_err(RecordError::io("create", path))
}

/// What is in a directory.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    };
    list().map_err(RecordError::io("list", directory))
}

/// Makes what was made, renamed or removed in a directory lasting.
pub(super) fn sync_directory(path: &Path) -> Result<(), RecordError> {
    File::open(path).and_then(|it| it.sync_all()).map_err(RecordError::io("sync", path))
}
