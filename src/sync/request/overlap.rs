//! Sources and destinations that lie within one another: what is written would be listed again
//! without end, or what a mirror or a move takes away would be the source itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::sync::error::SyncError;
use crate::sync::location::Location;

/// Refuses folders of which one lies within the other. Where the destination holds the source,
/// only what `removes` anything is refused; else it is answered that it does.
pub(in crate::sync) fn folders(
    source: &Location,
    destination: &Location,
    removes: bool,
) -> Result<bool, SyncError> {
    let (below, above) = match (source, destination) {
        (Location::S3(source), Location::S3(destination)) => {
            let (from, to) = (source.folder_key(), destination.folder_key());
            let same_bucket = source.bucket == destination.bucket;
            (same_bucket && to.starts_with(&from), same_bucket && from.starts_with(&to))
        }
        (Location::Local(source), Location::Local(destination)) => {
            (is_within(destination, source), is_within(source, destination))
        }
        _ => return Ok(false),
    };
    if below || above && removes { Err(SyncError::Overlap) } else { Ok(above) }
}

/// Whether `path`, which may not exist yet, is `directory` or lies below it, whatever links and
/// mounts lead there.
fn is_within(path: &Path, directory: &Path) -> bool {
    let Some(directory) = identity(directory) else { return false };
    let existing = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    let existing = existing.or_else(|| PathBuf::from(".").canonicalize().ok()).unwrap_or_default();
    existing.ancestors().any(|ancestor| identity(ancestor) == Some(directory))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
