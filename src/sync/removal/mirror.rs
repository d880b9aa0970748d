//! Removing from a destination folder what its source does not have.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aws_sdk_s3::Client;
use walkdir::WalkDir;

use crate::sync::error::SyncError;
use crate::sync::job::Tell;
use crate::sync::location::{Location, S3Path};
use crate::sync::outcome::{Intent, Report};
use crate::sync::s3::deletion::Doomed;
use crate::sync::source::{Origin, is_own, list};

/// The files a destination must have, as hashes of their relative paths, so that the names of a
/// large folder are not held. Two names of one hash spare a file, never cost one.
#[derive(Debug, Default)]
pub(in crate::sync) struct Expected(HashSet<u64>);

impl Expected {
    pub fn add(&mut self, relative: &OsStr) {
        self.0.insert(hash(relative.as_bytes()));
    }

    fn has(&self, relative: &[u8]) -> bool {
        self.0.contains(&hash(relative))
    }
}

fn hash(relative: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    relative.hash(&mut hasher);
    hasher.finish()
}

/// Deletes the files below `root` that are not expected, and the directories emptied by it; only
/// tells of them where there is somebody to `tell`.
pub(in crate::sync) fn on_disk(
    root: &Path,
    expected: &Expected,
    spared: &[Location],
    tell: Option<&Tell>,
) -> Result<Report, SyncError> {
    let mut report = Report::default();
    if tell.is_some() && !root.exists() {
        return Ok(report);
    }
    for entry in WalkDir::new(root).min_depth(1) {
        let entry = entry.map_err(|error| SyncError::file("list", root)(error.into()))?;
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        if entry.file_type().is_dir()
            || is_own(entry.file_name().as_bytes())
            || expected.has(relative.as_os_str().as_bytes())
            || is_spared(&Location::Local(entry.path().to_owned()), spared)
        {
            continue;
        }
        report.files_deleted += 1;
        if let Some(tell) = tell {
            tell(&Intent::Delete { path: entry.path().display().to_string() });
            continue;
        }
        fs::remove_file(entry.path()).map_err(SyncError::file("remove", entry.path()))?;
        for directory in relative.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()) {
            let placeholder = [directory.as_os_str().as_bytes(), b"/"].concat();
            // Not empty is the common answer.
            if expected.has(&placeholder) || fs::remove_dir(root.join(directory)).is_err() {
                break;
            }
        }
    }
    Ok(report)
}

/// Deletes the objects below `folder` that are not expected, or tells of them.
pub(in crate::sync) async fn in_s3(
    client: &Client,
    folder: &S3Path,
    expected: &Expected,
    spared: &[Location],
    tell: Option<&Tell>,
) -> Report {
    let mut report = Report::default();
    let mut there = list(client.clone(), folder.clone(), folder.key.clone());
    let mut doomed = Doomed::new(client.clone(), folder.bucket.clone());
    while let Some(item) = there.recv().await {
        let item = match item {
            Ok(item) => item,
            Err(failure) => {
                report.failures.push(failure);
                continue;
            }
        };
        let Origin::Object { path, etag } = item.origin else { continue };
        let kept = item.relative.is_empty() || expected.has(item.relative.as_bytes());
        if kept || is_spared(&Location::S3(path.clone()), spared) {
            continue;
        }
        if let Some(tell) = tell {
            report.files_deleted += 1;
            tell(&Intent::Delete { path: path.to_string() });
        } else {
            doomed.add(path.key, Some(etag)).await;
        }
    }
    let (deleted, failures) = doomed.finish().await;
    report.files_deleted += deleted;
    report.failures.extend(failures);
    report
}

fn is_spared(path: &Location, spared: &[Location]) -> bool {
    spared.iter().any(|spared| spared.contains(path))
}
