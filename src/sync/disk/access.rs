//! Directories that a command left without its owner's right to read, enter or change them: their
//! owner, who runs the worker too, takes the right back before removing what they hold.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const OWNER: u32 = 0o700;

/// Gives the owner all rights to a directory, never through a symbolic link. What cannot be given
/// is left to fail by its own name.
pub(in crate::sync) fn open_up(directory: &Path) {
    let opened = fs::symlink_metadata(directory).and_then(|metadata| {
        let mut permissions = metadata.permissions();
        if !metadata.is_dir() || permissions.mode() & OWNER == OWNER {
            return Ok(());
        }
        permissions.set_mode(permissions.mode() & 0o7777 | OWNER);
        fs::set_permissions(directory, permissions)
    });
    if let Err(error) = opened {
        tracing::debug!(path = %directory.display(), %error, "cannot open up a directory");
    }
}

/// Opens up `root` and every directory below it.
fn open_up_tree(root: &Path) {
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        // A link's entries lie elsewhere.
        if !fs::symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir()) {
            continue;
        }
        open_up(&directory);
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        directories.extend(below.map(|entry| entry.path()));
    }
}

/// Removes a directory with all below it; one that is gone already is no error.
pub(in crate::sync) fn remove_tree(path: &Path) -> io::Result<()> {
    let mut removed = fs::remove_dir_all(path);
    if is_denied(&removed) {
        open_up_tree(path);
        removed = fs::remove_dir_all(path);
    }
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes a file, whose directory is opened up where it lies really in one of `within`.
pub(in crate::sync) fn remove_file(path: &Path, within: &[PathBuf]) -> io::Result<()> {
    let removed = fs::remove_file(path);
    if is_denied(&removed)
        && let Some(Ok(directory)) = path.parent().map(Path::canonicalize)
        && within
            .iter()
            .any(|root| root.canonicalize().is_ok_and(|root| directory.starts_with(root)))
    {
        open_up(&directory);
        return fs::remove_file(path);
    }
    removed
}

fn is_denied(ended: &io::Result<()>) -> bool {
    ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
