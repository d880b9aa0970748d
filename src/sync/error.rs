//! Why one path could not be transferred or removed.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use serde::Serialize;

use super::location::LocationError;
use crate::aws::{CallError, call};
use crate::telemetry::chain;

/// A path and the reason it failed, as the result tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The path as the user knows it: `s3://…` or a local path.
    pub path: String,
    /// What went wrong, with its causes.
    pub reason: String,
}

impl Failure {
    /// Tells `error` with its causes, about `path`.
    pub fn new(path: impl fmt::Display, error: &(dyn Error + 'static)) -> Self {
        // Some causes are told in several lines.
        let reason = chain(error).split_whitespace().collect::<Vec<_>>().join(" ");
        Self { path: path.to_string(), reason }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// What can go wrong with one path.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The path itself.
    #[error("cannot tell where it is")]
    Location(#[from] LocationError),
    /// A call to S3, after its retries.
    #[error(transparent)]
    S3(#[from] CallError),
    /// An answer that says that all is well, and not what S3 says when it is.
    #[error("the answer to {0} is not a whole one of S3's")]
    Unproven(&'static str),
    /// The bytes of an object ended early or were broken.
    #[error("cannot read the body")]
    Body(#[source] Box<dyn Error + Send + Sync>),
    /// Fewer or more bytes than announced.
    #[error("{found} bytes arrived where {expected} were announced")]
    Size {
        /// Bytes announced.
        expected: u64,
        /// Bytes that arrived.
        found: u64,
    },
    /// The bytes are not those S3 has.
    #[error("the {algorithm} of what arrived is not that of the object")]
    Checksum {
        /// The checksum that differs.
        algorithm: &'static str,
    },
    /// The source became another while it was read.
    #[error("it changed while it was being transferred")]
    Changed,
    /// A file operation.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried, such as `write`.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The source does not exist.
    #[error("it does not exist")]
    Missing,
    /// A source that is both.
    #[error("it is both an object and a folder; end it in `/` to name the folder")]
    ObjectAndFolder,
    /// A transfer within itself.
    #[error(
        "source and destination lie within one another; name folders beside each other, or, to \
         copy upwards where no file meets the source, neither mirror (delete) nor move \
         (retain_source_data)"
    )]
    Overlap,
    /// Filters that leave nothing.
    #[error("none of its files matches the filters")]
    NothingMatches,
    /// A key that no file below the destination can have.
    #[error("its key would leave the destination or cannot be a file's name")]
    Unplaceable,
    /// Nor one of this name.
    #[error("its name is one that the worker uses for files of its own")]
    OwnName,
    /// A symbolic link below the destination or source that leads out of it.
    #[error("a symbolic link leads out of {}", .0.display())]
    LeadsOut(PathBuf),
    /// A name S3 has no key for.
    #[error("its name is not UTF-8, which S3 keys and requests must be")]
    NotUtf8,
    /// What a source holds cannot be told in full.
    #[error("cannot list {0}")]
    Listing(String),
    /// A listing that breaks off.
    #[error("the listing is cut off, or goes round in a circle")]
    Truncated,
    /// A place for files under way that is none on this machine.
    #[error("`{0}` is no directory of this machine, where alone files under way can lie")]
    NotLocal(String),
    /// A destination that must not be replaced by a file.
    #[error("{} is a directory; end the destination in `/` to put the file into it", .0.display())]
    IsDirectory(PathBuf),
    /// Nor this one.
    #[error("{} is a device, a socket or a pipe, which no file replaces", .0.display())]
    IsSpecial(PathBuf),
    /// A place for requests that is none in S3.
    #[error("`{0}` is no S3 path, where alone requests are put")]
    NoS3Path(String),
    /// A pipe, socket or device.
    #[error("it is neither a file nor a directory")]
    NotAFile,
    /// A folder's placeholder that holds data.
    #[error("its key ends in `/` but it holds data")]
    FilledPlaceholder,
    /// A filter that does not compile.
    #[error("the pattern `{pattern}` is no regular expression")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        source: Box<fancy_regex::Error>,
    },
    /// A filter that gives up on a path.
    #[error("the pattern `{pattern}` takes too many steps to tell whether it matches")]
    Undecided {
        /// The pattern.
        pattern: String,
        /// Why.
        source: Box<fancy_regex::Error>,
    },
    /// `source_path_prefix` is not what the source starts with.
    #[error("the source does not start with its source_path_prefix `{0}`")]
    Prefix(String),
    /// Another worker holds the destination.
    #[error("another worker held the lock {} for {}s", path.display(), timeout.as_secs())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long it was tried.
        timeout: Duration,
    },
    /// A removal that would take more than a demand's own.
    #[error(
        "it is a whole bucket, a mount or above one, or the current directory, which is never removed"
    )]
    TooWide,
    /// A removal that would take what this step delivered.
    #[error("it holds what this step has just delivered")]
    Delivered,
    /// A task of this process ended without an answer.
    #[error("the transfer was cut off")]
    CutOff(#[source] tokio::task::JoinError),
}

impl SyncError {
    /// Wraps a failed call.
    pub(super) fn s3<E>(operation: &'static str) -> impl FnOnce(SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        move |error| match error.raw_response().map(|response| response.status().as_u16()) {
            Some(412) => Self::Changed,
            _ => Self::S3(call(operation)(error)),
        }
    }

    /// Wraps a failed file operation.
    pub(super) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { operation, path: path.to_owned(), source }
    }

    /// Whether S3 says that there is no such object.
    pub(super) fn is_not_found(&self) -> bool {
        self.has_code(&["NotFound", "NoSuchKey", "HTTP 404"])
    }

    /// Whether S3 says that there is no such bucket.
    pub(super) fn is_no_bucket(&self) -> bool {
        self.has_code(&["NoSuchBucket"])
    }

    /// Whether S3 does not know the upload, any more or at all.
    pub(super) fn is_unknown_upload(&self) -> bool {
        self.has_code(&["NoSuchUpload"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::S3(error) if error.code.as_deref().is_some_and(|code| codes.contains(&code)))
    }

    /// Whether the same transfer may succeed when tried again: what broke was a body on the wire, in
    /// either direction. Calls that could not be carried out were tried again by the SDK.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Body(_)
            | Self::Size { .. }
            | Self::Checksum { .. }
            | Self::Truncated
            | Self::Unproven(_) => true,
            _ => self.has_code(&BROKEN),
        }
    }
}

/// S3's codes for a body that arrived broken
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>), and what stands for one
/// where a good answer cannot be read.
const BROKEN: [&str; 4] =
    ["BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "HTTP 200"];

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SyncError> + Send + 'static,
) -> Result<T, SyncError> {
    tokio::task::spawn_blocking(work).await.map_err(SyncError::CutOff)?
}
