//! What became of a file, and of all: the JSON result.

use std::fmt;

use serde::Serialize;

use super::error::Failure;

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is at its destination now.
    Transferred { bytes: u64 },
    /// It was there already.
    Skipped { bytes: u64 },
    /// It stood for a folder, which exists now.
    Folder,
}

/// What a dry run would have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// A file would be brought, or replaced.
    Transfer {
        /// Where it is.
        source: String,
        /// Where it would be.
        destination: String,
    },
    /// A file would be deleted from a destination whose source has none of that name.
    Delete {
        /// Where it is.
        path: String,
    },
    /// A source would be removed, since it is not retained.
    Remove {
        /// Where it is.
        path: String,
    },
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transfer { source, destination } => {
                write!(f, "transfer {source} -> {destination}")
            }
            Self::Delete { path } => write!(f, "delete {path}"),
            Self::Remove { path } => write!(f, "remove {path}"),
        }
    }
}

/// The result of a run; the last line on standard output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files brought to their destination.
    pub files_transferred: u64,
    /// Their bytes.
    pub bytes_transferred: u64,
    /// Files that were at their destination already.
    pub files_skipped: u64,
    /// Their bytes.
    pub bytes_skipped: u64,
    /// Whether something failed that is no request's transfer, and so never forgiven.
    #[serde(skip)]
    pub not_forgiven: bool,
    /// Bins that folders were taken in, one after the other.
    pub bins: u64,
    /// Files at a destination that are gone because its source has none of that name.
    pub files_deleted: u64,
    /// Files of a source that are gone because the request does not retain it.
    pub sources_removed: u64,
    /// Paths removed, of those that existed.
    pub paths_removed: u64,
    /// Requests that succeeded.
    pub requests_succeeded: u64,
    /// Requests that failed, in whole or in part.
    pub requests_failed: u64,
    /// Whether nothing was changed, and this is what would have been.
    pub dry_run: bool,
    /// Every path that failed, and why.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Whether nothing failed.
    pub fn succeeded(&self) -> bool {
        self.failures.is_empty()
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Transferred { bytes } => {
                self.files_transferred += 1;
                self.bytes_transferred += bytes;
            }
            Outcome::Skipped { bytes } => {
                self.files_skipped += 1;
                self.bytes_skipped += bytes;
            }
            Outcome::Folder => {}
        }
    }

    /// Counts another report's numbers and failures as this one's.
    pub(super) fn absorb(&mut self, other: Self) {
        self.files_transferred += other.files_transferred;
        self.bytes_transferred += other.bytes_transferred;
        self.files_skipped += other.files_skipped;
        self.bytes_skipped += other.bytes_skipped;
        self.bins += other.bins;
        self.files_deleted += other.files_deleted;
        self.sources_removed += other.sources_removed;
        self.paths_removed += other.paths_removed;
        self.requests_succeeded += other.requests_succeeded;
        self.requests_failed += other.requests_failed;
        self.not_forgiven |= other.not_forgiven;
        self.dry_run |= other.dry_run;
        self.failures.extend(other.failures);
    }
}
