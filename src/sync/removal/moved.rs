//! Removing the sources that a request does not retain, once all of them are at their destination.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::sync::disk::access;
use crate::sync::error::{Failure, SyncError, blocking};
use crate::sync::job::Job;
use crate::sync::journal::{Journal, Verified, VerifiedSource, nanoseconds};
use crate::sync::location::{Location, S3Path};
use crate::sync::outcome::Report;
use crate::sync::s3::deletion::Doomed;

/// Files that are removed before the worker looks up again.
const AT_ONCE: usize = 1000;

/// The sources that a task's requests move away, by the requests' places; none where a request
/// retains its source, or did not succeed.
pub(in crate::sync) type Moving = [Option<Location>];

/// A file that was transferred.
struct Transferred {
    path: PathBuf,
    size: u64,
    modified_ns: u64,
}

/// Where local files may be removed, and where not.
#[derive(Clone)]
struct Bounds {
    /// Destinations of the same task, and sources that other requests retain, without links.
    spared: Vec<Location>,
    /// Directories in which no mode is in the way.
    within: Vec<PathBuf>,
    /// Sources that are links out of what is the task's: the files they lead to are somebody
    /// else's.
    linked: Vec<PathBuf>,
}

/// Removes the recorded sources that are still what was transferred, then the directories left
/// empty below them. `spared` are destinations of the same task and what others retain. In
/// `working`, the task's own directory, and in the sources no directory's mode is in the way.
pub(in crate::sync) async fn sources(
    job: &Job,
    journal: &Journal,
    moving: &Moving,
    working: Option<&Path>,
    spared: &[Location],
) -> Result<Report, SyncError> {
    let local = |source: &Location| match source {
        Location::Local(path) => Some(path.clone()),
        Location::S3(_) => None,
    };
    let roots: Vec<_> = moving.iter().flatten().filter_map(local).collect();
    let own = working.map(Path::to_owned);
    let (of, spared) = (roots.clone(), spared.to_vec());
    let bounds = blocking(move || {
        let linked = of.iter().filter(|root| leads_out(root, own.as_deref())).cloned().collect();
        let spared = spared.iter().map(Location::real).collect();
        Ok(Bounds { spared, within: of.into_iter().chain(own).collect(), linked })
    })
    .await?;
    let mut report = Report::default();
    let mut doomed: Option<Doomed> = None;
    let mut files = Vec::new();
    for source in journal.verified()?.filter_map(|verified| of_moving(verified, moving)) {
        match source {
            VerifiedSource::Object { bucket, key, etag } => {
                let path = S3Path { bucket, key };
                let location = Location::S3(path.clone());
                if bounds.spared.iter().any(|spared| spared.contains(&location)) {
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
                files.push(Transferred { path: path.decode(), size, modified_ns });
                if files.len() == AT_ONCE {
                    report.absorb(remove(std::mem::take(&mut files), &bounds).await?);
                }
            }
        }
    }
    if let Some(doomed) = doomed {
        count(&mut report, doomed.finish().await);
    }
    report.absorb(remove(files, &bounds).await?);
    blocking(move || {
        for root in roots {
            if !bounds.linked.contains(&root) {
                sweep(&root);
            } else if root.is_symlink() {
                fs::remove_file(&root).map_err(SyncError::file("remove", &root))?;
            }
        }
        Ok(())
    })
    .await?;
    Ok(report)
}

/// What was recorded, unless it is none of the sources that are moved: a journal lies where the
/// demand's own command may have written.
fn of_moving(verified: Verified, moving: &Moving) -> Option<VerifiedSource> {
    let source = moving.get(verified.request)?.as_ref()?;
    let location = match &verified.source {
        VerifiedSource::Object { bucket, key, .. } => {
            Location::S3(S3Path { bucket: bucket.clone(), key: key.clone() })
        }
        VerifiedSource::File { path, .. } => Location::Local(path.decode()),
    };
    source.contains(&location).then_some(verified.source)
}

/// Whether a source is a link, or lies in the task's directory only by links that lead out of it.
fn leads_out(root: &Path, working: Option<&Path>) -> bool {
    let own = |working: &Path| {
        let (root, working) = (Location::Local(root.into()), Location::Local(working.into()));
        working.contains(&root) && !working.real().contains(&root.real())
    };
    root.is_symlink() || working.is_some_and(own)
}

async fn remove(files: Vec<Transferred>, bounds: &Bounds) -> Result<Report, SyncError> {
    let bounds = bounds.clone();
    blocking(move || {
        let mut report = Report::default();
        for file in files {
            let location = Location::Local(file.path.clone()).real();
            let is_linked = bounds.linked.iter().any(|linked| file.path.starts_with(linked));
            if is_linked || bounds.spared.iter().any(|spared| spared.contains(&location)) {
                continue;
            }
            match remove_unchanged(&file, &bounds.within) {
                Ok(removed) => report.sources_removed += u64::from(removed),
                Err(error) => report.failures.push(Failure::new(file.path.display(), &error)),
            }
        }
        Ok(report)
    })
    .await
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

/// The recorded files that are no longer what was transferred, each with its request's place.
pub(in crate::sync) async fn changed(
    journal: &mut Journal,
    moving: &Moving,
) -> Result<Vec<(usize, Failure)>, SyncError> {
    journal.flush()?;
    let verified = journal.verified()?;
    let moving: Vec<_> = moving.iter().map(Option::is_some).collect();
    blocking(move || {
        let mut failures = Vec::new();
        for Verified { request, source } in verified {
            let VerifiedSource::File { path, size, modified_ns } = source else { continue };
            if !moving.get(request).is_some_and(|moves| *moves) {
                continue;
            }
            let file = Transferred { path: path.decode(), size, modified_ns };
            if let Err(error) = is_there_unchanged(&file) {
                failures.push((request, Failure::new(file.path.display(), &error)));
            }
        }
        Ok(failures)
    })
    .await
}

fn remove_unchanged(file: &Transferred, within: &[PathBuf]) -> Result<bool, SyncError> {
    if !is_there_unchanged(file)? {
        return Ok(false);
    }
    access::remove_file(&file.path, within).map_err(SyncError::file("remove", &file.path))?;
    Ok(true)
}

/// Whether a file is still there; one that is another by now is an error.
fn is_there_unchanged(file: &Transferred) -> Result<bool, SyncError> {
    let Transferred { path, size, modified_ns } = file;
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(SyncError::file("look at", path)(error)),
    };
    let modified = metadata.modified().map_err(SyncError::file("look at", path))?;
    if metadata.len() == *size && nanoseconds(modified) == *modified_ns {
        Ok(true)
    } else {
        Err(SyncError::Changed)
    }
}
