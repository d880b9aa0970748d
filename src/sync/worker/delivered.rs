//! That a step delivered everything, so that a working directory it removed is told from one that
//! was lost.
//!
//! A `wrap_up` removes the working directory, and its journal with it; Batch may run it again
//! after that. Before the directory goes, the task's fingerprint is therefore made durable in
//! `<mount>/.demand/delivered/<day>/<execution_id>`, on the mount the directory lies on; no
//! execution id starts with a dot. A demand that begins anew or is given up forgets it: at
//! `stage_in`, at `clean_up`, and at a `wrap_up` that finds its working directory. That of a demand
//! that ended well stays, and goes with its day when a later demand's is written: far longer than
//! Batch runs a job again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::plan::submission::Mount;
use crate::sync::disk::partial::Partial;
use crate::sync::error::SyncError;

const DIRECTORY: [&str; 2] = [".demand", "delivered"];
/// Days for which a marker is kept at least.
const KEPT: u64 = 30;

/// The marker of one demand's delivery.
#[derive(Debug, Clone)]
pub(in crate::sync) struct Delivered {
    /// The directory the markers' own is in, which exists before any step.
    base: PathBuf,
    execution_id: String,
}

impl Delivered {
    /// The marker of the demand `execution_id`, which works in `working`.
    pub fn new(execution_id: &str, working: &Path, mounts: &[Mount]) -> Self {
        let mount = mounts
            .iter()
            .map(|mount| Path::new(&mount.mount_point))
            .filter(|mount| working.starts_with(mount) && *mount != working)
            .max_by_key(|mount| mount.components().count());
        let base = mount.or(working.parent()).unwrap_or(Path::new("/"));
        // An id is one segment; a task that was not made by a plan may have any.
        let execution_id = execution_id.replace(['/', '\0'], "_");
        Self { base: base.to_owned(), execution_id }
    }

    /// Whether the marker is there and of the task with this fingerprint.
    pub fn is_of(&self, fingerprint: &str) -> Result<bool, SyncError> {
        for (_, path) in self.days()? {
            let path = path.join(&self.execution_id);
            if present(fs::read(&path)).map_err(SyncError::file("read", &path))?.as_deref()
                == Some(fingerprint.as_bytes())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the marker; durable when it returns. Removes those of days long gone.
    pub fn record(&self, fingerprint: &str) -> Result<(), SyncError> {
        let today = today();
        let directory = self.directory().join(today.to_string());
        fs::create_dir_all(&directory)
            .map_err(SyncError::file("create the directory", &directory))?;
        let path = directory.join(&self.execution_id);
        let partial = Partial::create(&directory, &path)?;
        let mut file = partial.file();
        file.write_all(fingerprint.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(SyncError::file("write", partial.path()))?;
        partial.publish()?;
        for directory in directory.ancestors().take_while(|path| path.starts_with(&self.base)) {
            File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(SyncError::file("sync", directory))?;
        }
        for (day, path) in self.days()? {
            if day + KEPT < today
                && let Err(error) = present(fs::remove_dir_all(&path))
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove old markers");
            }
        }
        Ok(())
    }

    /// Removes the marker where there is one.
    pub fn forget(&self) -> Result<(), SyncError> {
        for (_, path) in self.days()? {
            let path = path.join(&self.execution_id);
            present(fs::remove_file(&path)).map_err(SyncError::file("remove", &path))?;
        }
        Ok(())
    }

    fn directory(&self) -> PathBuf {
        self.base.join(DIRECTORY[0]).join(DIRECTORY[1])
    }

    /// The days of which there are markers, since 1970.
    fn days(&self) -> Result<Vec<(u64, PathBuf)>, SyncError> {
        let directory = self.directory();
        let fail = || SyncError::file("list", &directory);
        let Some(entries) = present(fs::read_dir(&directory)).map_err(fail())? else {
            return Ok(Vec::new());
        };
        let mut days = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fail())?;
            if let Some(day) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                days.push((day, entry.path()));
            }
        }
        Ok(days)
    }
}

fn today() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() / (24 * 60 * 60)
}

/// What is there, or nothing where another worker removed it or it never was.
fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
