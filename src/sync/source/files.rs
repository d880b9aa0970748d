//! Looking at a local source.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use walkdir::WalkDir;

use super::{AHEAD, Item, Items, Origin, Source, Unlisted};
use crate::plan::env_file;
use crate::sync::disk::lock::is_lock;
use crate::sync::disk::partial::is_partial;
use crate::sync::error::{Failure, SyncError};
use crate::sync::journal;
use crate::sync::unfinished::is_mark;

/// Looks at a local source.
pub(super) fn on_disk(source: &Path) -> Result<Source, SyncError> {
    let metadata = match source.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Source::Missing),
        Err(error) => return Err(SyncError::file("look at", source)(error)),
    };
    if metadata.is_dir() {
        return walk(source.to_owned()).map(Source::Folder);
    }
    item(source.to_owned(), OsString::new(), &metadata).map(|item| Source::Single(Box::new(item)))
}

/// The files below `root`. Symbolic links are followed while they stay inside it.
fn walk(root: PathBuf) -> Result<Items, SyncError> {
    let real_root = root.canonicalize().map_err(SyncError::file("resolve", &root))?;
    let (found, ahead) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut entries = WalkDir::new(&root).follow_links(true).min_depth(1).into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // A link to a directory above itself: what it leads to is being read already.
                Err(error) if error.loop_ancestor().is_some() => continue,
                Err(error) => {
                    let path = error.path().unwrap_or(&root);
                    let failure = Failure::new(path.display(), &error);
                    // Only a link that leads nowhere is known to be no directory.
                    let is_entry = path.is_symlink() && !path.is_dir();
                    let unlisted =
                        if is_entry { Unlisted::Entry(failure) } else { Unlisted::Folder(failure) };
                    if found.blocking_send(Err(unlisted)).is_err() {
                        return;
                    }
                    continue;
                }
            };
            if entry.path_is_symlink()
                && !entry.path().canonicalize().is_ok_and(|real| real.starts_with(&real_root))
            {
                if entry.file_type().is_dir() {
                    entries.skip_current_dir();
                }
                let error = SyncError::LeadsOut(root.clone());
                let failure = Failure::new(entry.path().display(), &error);
                if found.blocking_send(Err(Unlisted::Entry(failure))).is_err() {
                    return;
                }
                continue;
            }
            if is_own(entry.file_name().as_bytes()) {
                continue;
            }
            let listed = entry
                .metadata()
                .map_err(|error| Failure::new(entry.path().display(), &error))
                .and_then(|metadata| {
                    let relative = entry.path().strip_prefix(&root).unwrap_or(entry.path());
                    item(entry.path().to_owned(), relative.into(), &metadata)
                        .map_err(|error| Failure::new(entry.path().display(), &error))
                })
                .map_err(Unlisted::Entry);
            if found.blocking_send(listed).is_err() {
                return;
            }
        }
    });
    Ok(ahead)
}

/// Files of the worker itself, and the env file, are never data.
pub(in crate::sync) fn is_own(name: &[u8]) -> bool {
    let own = [journal::NAME, env_file::NAME];
    is_partial(name)
        || is_lock(name)
        || is_mark(name)
        || own.iter().any(|own| name == own.as_bytes())
}

fn item(path: PathBuf, relative: OsString, metadata: &Metadata) -> Result<Item, SyncError> {
    let modified = metadata.modified().map_err(SyncError::file("look at", &path))?;
    if metadata.is_dir() {
        return Ok(Item { origin: Origin::Directory(path), relative, size: 0, modified });
    }
    if !metadata.is_file() {
        return Err(SyncError::NotAFile);
    }
    Ok(Item { origin: Origin::File(path), relative, size: metadata.len(), modified })
}
