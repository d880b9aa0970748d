//! Removing from a destination folder what its source does not have.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aws_sdk_s3::Client;
use walkdir::{DirEntry, WalkDir};

use crate::sync::disk::partial::{is_partial, remove_left};
use crate::sync::disk::placing::Placing;
use crate::sync::error::{Failure, SyncError};
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

    /// Adds a folder, which an empty object may stand for.
    pub fn add_folder(&mut self, relative: &OsStr) {
        self.0.insert(hash(&[relative.as_bytes(), b"/"].concat()));
    }

    fn has(&self, relative: &[u8]) -> bool {
        self.0.contains(&hash(relative))
    }

    fn has_folder(&self, relative: &Path) -> bool {
        self.has(&[relative.as_os_str().as_bytes(), b"/"].concat())
    }
}

fn hash(relative: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    relative.hash(&mut hasher);
    hasher.finish()
}

/// Deletes the files placed by `placing` that are not expected, and the directories emptied by
/// it; only tells of them where there is somebody to `tell`. `spared` are locations without links.
pub(in crate::sync) fn on_disk(
    placing: &Placing,
    expected: &Expected,
    spared: &[Location],
    tell: Option<&Tell>,
) -> Report {
    let (root, mut report) = (placing.root(), Report::default());
    if tell.is_some() && !root.exists() {
        return report;
    }
    let real_root = Location::Local(root.to_owned()).real();
    let Location::Local(real_root) = real_root else { return report };
    let aliases = placing.aliases();
    for entry in WalkDir::new(root).min_depth(1) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                // Its directory went, with what was to be deleted in it.
                if error.io_error().is_none_or(|error| error.kind() != io::ErrorKind::NotFound) {
                    let path = error.path().unwrap_or(root).display().to_string();
                    report.failures.push(Failure::new(path, &error));
                }
                continue;
            }
        };
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let is_expected = expected.has(relative.as_os_str().as_bytes())
            || aliases.iter().any(|alias| {
                // Placed through a link, or the link itself.
                let through = relative.strip_prefix(&alias.real).ok();
                alias.path.starts_with(relative)
                    || through.is_some_and(|rest| {
                        expected.has(alias.path.join(rest).as_os_str().as_bytes())
                    })
            });
        if entry.file_type().is_dir()
            || is_expected
            || is_own(name(&entry)) && !is_partial(name(&entry))
            || is_spared(&Location::Local(real_root.join(relative)), spared)
        {
            continue;
        }
        let is_partial = is_partial(name(&entry));
        if let Some(tell) = tell {
            if !is_partial {
                report.files_deleted += 1;
                tell(&Intent::Delete { path: entry.path().display().to_string() });
            }
            continue;
        }
        let removed =
            if is_partial { remove_left(entry.path()) } else { fs::remove_file(entry.path()) };
        match removed {
            // What was left under way was never there for anybody.
            Ok(()) => report.files_deleted += u64::from(!is_partial),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let error = SyncError::file("remove", entry.path())(error);
                report.failures.push(Failure::new(entry.path().display(), &error));
                continue;
            }
        }
        for directory in relative.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()) {
            // Not empty is the common answer.
            if expected.has_folder(directory) || fs::remove_dir(root.join(directory)).is_err() {
                break;
            }
        }
    }
    report
}

fn name(entry: &DirEntry) -> &[u8] {
    entry.file_name().as_bytes()
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
            Err(unlisted) => {
                report.failures.push(unlisted.into());
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
