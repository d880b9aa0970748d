//! Directories of this machine that the service writes to.

use std::path::Path;

use rustix::fs::Access;

use super::finding::Finding;
use crate::config::Config;
use crate::local::site::DataDir;

/// Whether the database can be where it is to be.
pub(super) fn database(config: &Config) -> Finding {
    let path = &config.store.path;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let what = format!("database {}", path.display());
    let what_to_do = format!(
        "make {} a directory that this user can write to, or set store.path",
        directory.display()
    );
    // SQLite keeps files beside the database, so the directory counts as much as the file.
    if let Err(error) = tempfile::tempfile_in(directory) {
        return Finding::failed(&what, &error, what_to_do);
    }
    // Asked, and not opened: closing a file drops all locks that this process has on it (fcntl(2)),
    // and the service that has it open may be this process.
    if path.exists()
        && let Err(error) = rustix::fs::access(path, Access::WRITE_OK)
    {
        return Finding::failed(&what, &std::io::Error::from(error), what_to_do);
    }
    Finding::ok(what)
}

/// What local mode needs.
pub(super) fn local(config: &Config) -> Vec<Finding> {
    let data_dir = &config.local.data_dir;
    let what = format!("data directory {}", data_dir.display());
    let prepared = match DataDir::prepare(data_dir) {
        Ok(_) => Finding::ok(what),
        Err(error) => {
            Finding::failed(&what, &error, "choose another with --data-dir, or correct this one")
        }
    };
    let bash = if Path::new("/bin/bash").exists() {
        Finding::ok("/bin/bash, which runs commands")
    } else {
        Finding::missing("/bin/bash is not there", "install bash: commands are run by it")
    };
    vec![prepared, database(config), bash]
}
