//! The file that carries a command's environment: `export NAME='value'`, one a variable.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::plan::submission::EnvFile;
use crate::sync::disk::partial::Partial;
use crate::sync::error::SyncError;

/// Its owner alone may read it: values may be secrets.
const MODE: u32 = 0o600;

/// Writes the file, whole or not at all, replacing an earlier one.
pub(in crate::sync) fn write(file: &EnvFile) -> Result<(), SyncError> {
    let path = Path::new(&file.path);
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).map_err(SyncError::file("create the directory", directory))?;
    let partial = Partial::create(directory, path)?;
    let mut written = partial.file();
    written
        .set_permissions(Permissions::from_mode(MODE))
        .and_then(|()| written.write_all(script(file).as_bytes()))
        .and_then(|()| written.sync_all())
        .map_err(SyncError::file("write", path))?;
    partial.publish()
}

/// Within single quotes a shell takes every character as it is, but the quote itself.
fn script(file: &EnvFile) -> String {
    let mut script = String::new();
    for (name, value) in &file.environment {
        script.extend(["export ", name, "='", &value.replace('\'', r"'\''"), "'\n"]);
    }
    script
}
