//! Removing paths: what a task asks for, and the sources that a request does not retain.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use walkdir::WalkDir;

use super::access;
use super::error::{Failure, SyncError, blocking};
use super::job::Job;
use super::journal::{Journal, VerifiedSource, nanoseconds};
use super::location::{Location, S3Path};
use super::outcome::Report;
use super::placing::beside;
use super::source::{Origin, list};

/// What the name of a directory ends in that is being removed.
const GOING: &str = ".demand-removed";
/// Keys in one `DeleteObjects`.
const BATCH: usize = 1000;

/// Objects of one bucket to be deleted, a batch a call.
#[derive(Debug)]
pub(super) struct Doomed {
    client: Client,
    bucket: String,
    batch: Vec<ObjectIdentifier>,
    deleted: u64,
    failures: Vec<Failure>,
}

impl Doomed {
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket, batch: Vec::new(), deleted: 0, failures: Vec::new() }
    }

    /// Adds an object, to be deleted only while it has `etag`.
    pub async fn add(&mut self, key: String, etag: Option<String>) {
        // The key is given, which is all that building needs.
        let identifier = ObjectIdentifier::builder().key(key).set_e_tag(etag).build();
        self.batch.extend(identifier);
        if self.batch.len() == BATCH {
            self.flush().await;
        }
    }

    /// Deletes what is left; answers how many in all, and what failed.
    pub async fn finish(mut self) -> (u64, Vec<Failure>) {
        self.flush().await;
        (self.deleted, self.failures)
    }

    async fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let call = match Delete::builder().set_objects(Some(batch)).quiet(true).build() {
            Ok(delete) => {
                self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await
            }
            Err(error) => Err(error.into()),
        };
        match call.map_err(SyncError::s3("DeleteObjects")) {
            Ok(answer) => {
                self.deleted += count.saturating_sub(answer.errors().len() as u64);
                self.failures.extend(answer.errors().iter().map(|error| Failure {
                    path: format!("s3://{}/{}", self.bucket, error.key().unwrap_or_default()),
                    reason: format!(
                        "DeleteObjects failed: {}: {}",
                        error.code().unwrap_or_default(),
                        error.message().unwrap_or_default()
                    ),
                }));
            }
            Err(error) => {
                self.failures.push(Failure::new(format!("s3://{}", self.bucket), &error));
            }
        }
    }
}

/// Removes `paths`, each with all that is below it. Those that do not exist are gone already.
/// `delivered` are paths that none of them may touch.
pub(super) async fn paths(job: &Job, paths: &[String], delivered: &[Location]) -> Report {
    let mut report = Report::default();
    let mut locations = Vec::new();
    for path in paths {
        match Location::parse(path, &job.mounts) {
            Ok(location) => locations.push(location),
            Err(error) => report.failures.push(Failure::new(path, &SyncError::from(error))),
        }
    }
    for location in parents_only(locations) {
        let removed = if delivered.iter().any(|delivered| location.contains(delivered)) {
            Err(SyncError::Delivered)
        } else {
            remove(job, &location, &mut report.failures).await
        };
        match removed {
            Ok(existed) => report.paths_removed += u64::from(existed),
            Err(error) => report.failures.push(Failure::new(&location, &error)),
        }
    }
    report
}

/// Each path once, and none that lies below another, in the order of their first mention.
fn parents_only(locations: Vec<Location>) -> Vec<Location> {
    let mut parents: Vec<Location> = Vec::new();
    for location in locations {
        if parents.iter().any(|parent| parent.contains(&location)) {
            continue;
        }
        parents.retain(|parent| !location.contains(parent));
        parents.push(location);
    }
    parents
}

async fn remove(
    job: &Job,
    location: &Location,
    failures: &mut Vec<Failure>,
) -> Result<bool, SyncError> {
    match location {
        Location::Local(path) => {
            let holds_mount =
                job.mounts.iter().any(|mount| Path::new(&mount.mount_point).starts_with(path));
            if holds_mount || path.parent().is_none() {
                return Err(SyncError::TooWide);
            }
            let path = path.clone();
            blocking(move || remove_local(&path)).await
        }
        Location::S3(path) if path.key.trim_matches('/').is_empty() => Err(SyncError::TooWide),
        Location::S3(path) => {
            let client = job.client().await;
            let mut doomed = Doomed::new(client.clone(), path.bucket.clone());
            if !path.is_folder() && super::integrity::head(&client, path).await?.is_some() {
                doomed.add(path.key.clone(), None).await;
            }
            let mut below = list(client, path.with_key(path.folder_key()), String::new());
            while let Some(item) = below.recv().await {
                match item {
                    Ok(item) => {
                        if let Origin::Object { path, .. } = item.origin {
                            doomed.add(path.key, None).await;
                        }
                    }
                    Err(failure) => failures.push(failure),
                }
            }
            let (deleted, failed) = doomed.finish().await;
            failures.extend(failed);
            Ok(deleted > 0)
        }
    }
}

/// Removes a file or a directory. A directory first takes a name that says so, in one step: it is
/// there whole or gone, never half, and a worker killed meanwhile is finished by the next.
fn remove_local(path: &Path) -> Result<bool, SyncError> {
    let going = beside(path, GOING);
    remove_tree(&going)?;
    let is_dir = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(SyncError::file("look at", path)(error)),
    };
    if !is_dir {
        fs::remove_file(path).map_err(SyncError::file("remove", path))?;
    } else if fs::rename(path, &going).is_ok() {
        remove_tree(&going)?;
    } else {
        // No right to write beside it, or a mount: then as it stands.
        remove_tree(path)?;
    }
    Ok(true)
}

fn remove_tree(path: &Path) -> Result<(), SyncError> {
    access::remove_tree(path).map_err(SyncError::file("remove", path))
}

/// Removes the recorded sources that are still what was transferred, then the directories left
/// empty below `roots`. `spared` are destinations of the same task. In `working`, the task's own
/// directory, and below `roots` no directory's mode is in the way.
pub(super) async fn sources(
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
pub(super) fn changed(journal: &mut Journal) -> Result<Vec<Failure>, SyncError> {
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
