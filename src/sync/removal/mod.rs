//! Removing paths, as a task asks for. Beside it, `moved` removes the sources that a request does
//! not retain, and `mirror` what a destination has and its source does not.

pub(super) mod mirror;
pub(super) mod moved;

use std::fs;
use std::io;
use std::path::Path;

use super::disk::access;
use super::disk::placing::beside;
use super::error::{Failure, SyncError, blocking};
use super::job::Job;
use super::location::Location;
use super::outcome::Report;
use super::s3::deletion::Doomed;
use super::s3::integrity::head;
use super::source::{Origin, list_all};

/// What the name of a directory ends in that is being removed.
const GOING: &str = ".demand-removed";

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
        let own = location.unfollowed();
        let removed = if delivered.iter().any(|delivered| own.contains(&delivered.real())) {
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
        if parents.iter().any(|parent| takes(parent, &location)) {
            continue;
        }
        parents.retain(|parent| !takes(&location, parent));
        parents.push(location);
    }
    parents
}

/// Whether who removes `above` removes `below`. A folder is not the object of its name.
fn takes(above: &Location, below: &Location) -> bool {
    let is_folder_of = match (above, below) {
        (Location::S3(above), Location::S3(below)) => {
            above.key.strip_suffix('/') == Some(&below.key)
        }
        _ => false,
    };
    above.contains(below) && !is_folder_of
}

async fn remove(
    job: &Job,
    location: &Location,
    failures: &mut Vec<Failure>,
) -> Result<bool, SyncError> {
    match location {
        Location::Local(path) => {
            let mounts: Vec<_> = job.mounts.iter().map(|mount| mount.mount_point.clone()).collect();
            let (path, own) = (path.clone(), location.unfollowed());
            blocking(move || {
                let holds = |mount: &String| own.contains(&Location::Local(mount.into()).real());
                if path.file_name().is_none() || mounts.iter().any(holds) {
                    return Err(SyncError::TooWide);
                }
                remove_local(&path)
            })
            .await
        }
        Location::S3(path) if path.key.trim_matches('/').is_empty() => Err(SyncError::TooWide),
        Location::S3(path) => {
            let client = job.client().await;
            let mut doomed = Doomed::new(client.clone(), path.bucket.clone());
            if !path.is_folder() && head(&client, path).await?.is_some() {
                doomed.add(path.key.clone(), None).await;
            }
            let mut below = list_all(client, path.with_key(path.folder_key()), String::new());
            while let Some(item) = below.recv().await {
                match item {
                    Ok(item) => {
                        if let Origin::Object { path, .. } = item.origin {
                            doomed.add(path.key, None).await;
                        }
                    }
                    Err(unlisted) => failures.push(unlisted.into()),
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
