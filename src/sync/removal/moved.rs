//! Removing the sources that a request does not retain, once all of them are at their destination.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::sync::disk::access;
use crate::sync::error::{Failure, SyncError};
use crate::sync::job::Job;
use crate::sync::journal::{Journal, VerifiedSource, nanoseconds};
use crate::sync::location::{Location, S3Path};
use crate::sync::outcome::Report;
use crate::sync::s3::deletion::Doomed;

/// Removes the recorded sources that are still what was transferred, then the directories left
/// empty below `roots`. `spared` are destinations of the same task. In `working`, the task's own
/// directory, and below `roots` no directory's mode is in the way.
pub(in crate::sync) async fn sources(
    job: &Job,
    journal: &Journal,
    roots: Vec<PathBuf>,
    working: Option<&Path>,
    spared: &[Location],
) -> Result<Report, SyncError> {
    let spared: Vec<_> = spared.iter().flat_map(|spared| [real(spared), spared.clone()]).collect();
    let is_spared = |path: &Location| {
        let really = real(path);
        spared.iter().any(|spared| spared.contains(path) || spared.contains(&really))
    };
    let within: Vec<_> = roots.iter().cloned().chain(working.map(Path::to_owned)).collect();
    let mut report = Report::default();
    let mut doomed: Option<Doomed> = None;
    for verified in journal.verified()? {
        match verified.source {
            VerifiedSource::Object { bucket, key, etag } => {
                let path = S3Path { bucket, key };
                if is_spared(&Location::S3(path.clone())) {
                    continue;
                }
                if let Some(other) = doomed.take_if(|doomed| doomed.bucket != path.bucket) {
                    count(&mut report, other.finish().await);
                }
                if doomed.is_none() {
                    doomed = Some(Doomed::new(job.client().await, path.bucket.clone()));
                }
                if let Some(doomed) = &mut doomed {
                    doomed.add(path.key, Some(etag)).await;
                }
            }
            VerifiedSource::File { path, size, modified_ns } => {
                let path = path.decode();
                if is_spared(&Location::Local(path.clone())) {
                    continue;
                }
                match remove_unchanged(&path, size, modified_ns, &within) {
                    Ok(removed) => report.sources_removed += u64::from(removed),
                    Err(error) => report.failures.push(Failure::new(path.display(), &error)),
                }
            }
        }
    }
    if let Some(doomed) = doomed {
        count(&mut report, doomed.finish().await);
    }
    for root in roots {
        sweep(&root);
    }
    Ok(report)
}

/// The same location by the path that no link is on, where there is one.
fn real(location: &Location) -> Location {
    match location {
        Location::Local(path) => {
            Location::Local(path.canonicalize().unwrap_or_else(|_| path.clone()))
        }
        Location::S3(_) => location.clone(),
    }
}

/// Removes what moving away the files below `root` has left: empty directories, and links whose
/// targets went with them. A link that led nowhere before would have failed the transfer.
fn sweep(root: &Path) {
    let remove = |links: bool| {
        for entry in WalkDir::new(root).contents_first(true).into_iter().flatten() {
            // Not empty is no failure: something else lies there.
            let _ = match entry.file_type() {
                kind if kind.is_dir() => fs::remove_dir(entry.path()),
                kind if links && kind.is_symlink() && !entry.path().exists() => {
                    fs::remove_file(entry.path())
                }
                _ => Ok(()),
            };
        }
    };
    remove(false);
    remove(true);
}

fn count(report: &mut Report, (deleted, failures): (u64, Vec<Failure>)) {
    report.sources_removed += deleted;
    report.failures.extend(failures);
}

/// The recorded files that are no longer what was transferred.
pub(in crate::sync) fn changed(journal: &mut Journal) -> Result<Vec<Failure>, SyncError> {
    journal.flush()?;
    let mut failures = Vec::new();
    for verified in journal.verified()? {
        let VerifiedSource::File { path, size, modified_ns } = verified.source else { continue };
        let path = path.decode();
        if let Err(error) = is_there_unchanged(&path, size, modified_ns) {
            failures.push(Failure::new(path.display(), &error));
        }
    }
    Ok(failures)
}

fn remove_unchanged(
    path: &Path,
    size: u64,
    modified_ns: u64,
    within: &[PathBuf],
) -> Result<bool, SyncError> {
    if !is_there_unchanged(path, size, modified_ns)? {
        return Ok(false);
    }
    access::remove_file(path, within).map_err(SyncError::file("remove", path))?;
    Ok(true)
}

/// Whether a file is still there; one that is another by now is an error.
fn is_there_unchanged(path: &Path, size: u64, modified_ns: u64) -> Result<bool, SyncError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(SyncError::file("look at", path)(error)),
    };
    let modified = metadata.modified().map_err(SyncError::file("look at", path))?;
    if metadata.len() == size && nanoseconds(modified) == modified_ns {
        Ok(true)
    } else {
        Err(SyncError::Changed)
    }
}
