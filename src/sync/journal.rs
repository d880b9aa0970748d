//! What was verified as transferred, kept in the working directory so that a repeated step knows
//! what an earlier try had done before it began to remove sources.
//!
//! Its lines are JSON. The first names the task; then each verified file; then, once every
//! request of the step succeeded, `"removing"`, made durable before anything is removed. Without
//! that last mark the sources are whole, and everything is looked at again.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::error::SyncError;

/// The journal's name in the working directory.
pub const NAME: &str = ".demand.journal";

const NO_LINK: i32 = OFlags::NOFOLLOW.bits().cast_signed();

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Task(String),
    Verified(Verified),
    Removing,
}

/// A source file that is at its destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verified {
    /// Which request of the task.
    pub request: usize,
    /// The object or file.
    pub source: VerifiedSource,
}

/// A source and what tells that it is still the one transferred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum VerifiedSource {
    Object { bucket: String, key: String, etag: String },
    File { path: EncodedPath, size: u64, modified_ns: u64 },
}

/// A path as JSON can carry it, whatever its bytes: percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EncodedPath(String);

impl EncodedPath {
    pub fn new(path: &Path) -> Self {
        const KEPT: &AsciiSet = &CONTROLS.add(b'%');
        Self(percent_encode(path.as_os_str().as_bytes(), KEPT).to_string())
    }

    pub fn decode(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(percent_decode_str(&self.0).collect()))
    }
}

/// The journal of one step.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
    removing: bool,
}

impl Journal {
    /// Opens the journal of `task` (any text that tells it from others) at `path`. One of another
    /// task, or one whose step had not come to removing, begins anew.
    pub fn open(path: &Path, task: &str) -> Result<Self, SyncError> {
        let fail = |operation| SyncError::file(operation, path);
        let removing = is_removing(path, task);
        let file = OpenOptions::new()
            .create(true)
            .append(removing)
            .write(true)
            .truncate(!removing)
            // A command that wrote in this directory may have left a link of this name.
            .custom_flags(NO_LINK)
            .open(path)
            .map_err(fail("open"))?;
        let mut journal = Self { path: path.to_owned(), file: BufWriter::new(file), removing };
        if !removing {
            journal.write(&Line::Task(task.to_owned()))?;
        }
        Ok(journal)
    }

    /// Whether an earlier try had transferred everything and begun to remove.
    pub fn is_removing(&self) -> bool {
        self.removing
    }

    /// Records a verified source; durable only with [`Journal::begin_removing`].
    pub fn record(&mut self, verified: Verified) -> Result<(), SyncError> {
        self.write(&Line::Verified(verified))
    }

    /// Marks that all requests succeeded; durable when it returns.
    pub fn begin_removing(&mut self) -> Result<(), SyncError> {
        if self.removing {
            return Ok(());
        }
        self.write(&Line::Removing)?;
        self.flush()?;
        self.file.get_ref().sync_all().map_err(SyncError::file("sync", &self.path))?;
        if let Some(parent) = self.path.parent() {
            let directory = File::open(parent).map_err(SyncError::file("open", parent))?;
            directory.sync_all().map_err(SyncError::file("sync", parent))?;
        }
        self.removing = true;
        Ok(())
    }

    /// Has everything recorded so far in the file.
    pub fn flush(&mut self) -> Result<(), SyncError> {
        self.file.flush().map_err(SyncError::file("write", &self.path))
    }

    /// The verified sources, in the order they were recorded, read from the file one by one.
    pub fn verified(&self) -> Result<impl Iterator<Item = Verified> + use<>, SyncError> {
        let file = read(&self.path).map_err(SyncError::file("read", &self.path))?;
        Ok(lines(file).filter_map(|line| match line {
            Line::Verified(verified) => Some(verified),
            _ => None,
        }))
    }

    fn write(&mut self, line: &Line) -> Result<(), SyncError> {
        let fail = || SyncError::file("write", &self.path);
        serde_json::to_writer(&mut self.file, line).map_err(|error| fail()(error.into()))?;
        self.file.write_all(b"\n").map_err(fail())
    }
}

fn is_removing(path: &Path, task: &str) -> bool {
    let Ok(file) = read(path) else { return false };
    let mut lines = lines(file);
    matches!(lines.next(), Some(Line::Task(found)) if found == task)
        && lines.any(|line| matches!(line, Line::Removing))
}

fn read(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(NO_LINK).open(path)
}

/// The whole lines; a torn one, of a worker that was killed, ends them.
fn lines(file: File) -> impl Iterator<Item = Line> + use<> {
    BufReader::new(file).lines().map_while(|line| serde_json::from_str(&line.ok()?).ok())
}

/// A time as the journal holds it; times before 1970 are all one.
pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
