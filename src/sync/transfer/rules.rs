//! What a request lays down for the transfer of each of its files.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::sync::location::S3Path;

/// What of a request each transfer needs to know.
#[derive(Debug, Clone)]
pub(in crate::sync) struct Rules {
    pub force: bool,
    pub size_only: bool,
    /// Whether sources are removed afterwards: then only what was compared counts as there.
    pub moves: bool,
    /// Whether only to look at what would be transferred.
    pub dry_run: bool,
    /// Where files under way lie instead of beside their final names.
    pub partial_directory: Option<PathBuf>,
}

/// An object to bring, as it was listed.
#[derive(Debug, Clone)]
pub(in crate::sync) struct Object {
    pub path: S3Path,
    pub etag: String,
    pub size: u64,
    pub modified: SystemTime,
}
