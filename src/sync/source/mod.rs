//! What a source holds: nothing, a single file, or a folder listed as a stream, so that a folder
//! of any size is read without holding all its names.
//!
//! | file | subject |
//! |---|---|
//! | `objects`, `files` | looking at either side |
//! | `filter` | which of it is taken |
//! | `survey` | how much it is, counted beside the transfers |

mod files;
pub(super) mod filter;
mod objects;
pub(super) mod survey;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use tokio::sync::mpsc;

use super::error::{Failure, SyncError};
use super::job::Job;
use super::location::{Location, S3Path};
use crate::plan::data_sync::DataSyncRequest;

pub(super) use files::is_own;
pub(super) use objects::{in_s3, list, list_all};

/// Names read ahead of the transfers.
const AHEAD: usize = 1000;

/// A file of the source.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub origin: Origin,
    /// Its path below the source; empty for a single file.
    pub relative: OsString,
    pub size: u64,
    pub modified: SystemTime,
}

/// Where it is read from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Object {
        path: S3Path,
        etag: String,
    },
    File(PathBuf),
    /// A directory, which is nothing to S3 but something to a directory.
    Directory(PathBuf),
}

impl Item {
    /// Its whole path, as filters and failures name it.
    pub fn path(&self) -> String {
        match &self.origin {
            Origin::Object { path, .. } => path.to_string(),
            Origin::File(path) | Origin::Directory(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// Its path below `source`, the folder it was listed from, whatever its relative path is cut
    /// from.
    pub fn below(&self, source: &Location) -> OsString {
        match (&self.origin, source) {
            (Origin::Object { path, .. }, Location::S3(source)) => {
                path.key.strip_prefix(&source.folder_key()).unwrap_or(&path.key).into()
            }
            _ => self.relative.clone(),
        }
    }

    /// Its path below the source as text, as S3 needs it.
    pub fn relative_key(&self) -> Result<&str, SyncError> {
        self.relative.to_str().ok_or(SyncError::NotUtf8)
    }

    /// Whether it is a directory on disk.
    pub fn is_directory(&self) -> bool {
        matches!(self.origin, Origin::Directory(_))
    }

    /// Whether it is the empty object that stands for a folder.
    pub fn is_placeholder(&self) -> bool {
        matches!(&self.origin, Origin::Object { path, .. } if path.key.ends_with('/'))
    }
}

/// The files of a folder; one that cannot be listed comes as its failure.
pub(super) type Items = mpsc::Receiver<Result<Item, Unlisted>>;

/// What could not be listed.
#[derive(Debug)]
pub(super) enum Unlisted {
    /// A single entry, which filters may leave out.
    Entry(Failure),
    /// A folder: nobody knows what else is in it.
    Folder(Failure),
}

impl From<Unlisted> for Failure {
    fn from(unlisted: Unlisted) -> Self {
        match unlisted {
            Unlisted::Entry(failure) | Unlisted::Folder(failure) => failure,
        }
    }
}

/// What a source turned out to be.
pub(super) enum Source {
    Missing,
    Single(Box<Item>),
    Folder(Items),
}

/// Looks at the source of `request`, which is `source`.
pub(super) async fn look(
    job: &Job,
    request: &DataSyncRequest,
    source: &Location,
) -> Result<Source, SyncError> {
    match source {
        Location::S3(path) => {
            let prefix = request.source_path_prefix.as_deref();
            in_s3(&job.client().await, path, prefix).await
        }
        Location::Local(path) => files::on_disk(path),
    }
}
