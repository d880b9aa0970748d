//! What a source holds: nothing, a single file, or a folder listed as a stream, so that a folder
//! of any size is read without holding all its names.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::EncodingType;
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;
use walkdir::WalkDir;

use super::error::{Failure, SyncError};
use super::integrity::head;
use super::job::Job;
use super::journal;
use super::location::{Location, S3Path};
use super::lock::is_lock;
use super::partial::is_partial;
use crate::plan::data_sync::DataSyncRequest;
use crate::plan::env_file;

/// Names read ahead of the transfers.
const AHEAD: usize = 1000;

/// A file of the source.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub origin: Origin,
    /// Its path below the source; empty for a single file.
    pub relative: OsString,
    pub size: u64,
    pub modified: SystemTime,
}

/// Where it is read from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Object {
        path: S3Path,
        etag: String,
    },
    File(PathBuf),
    /// A directory, which is nothing to S3 but something to a directory.
    Directory(PathBuf),
}

impl Item {
    /// Its whole path, as filters and failures name it.
    pub fn path(&self) -> String {
        match &self.origin {
            Origin::Object { path, .. } => path.to_string(),
            Origin::File(path) | Origin::Directory(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// Its path below `source`, the folder it was listed from, whatever its relative path is cut
    /// from.
    pub fn below(&self, source: &Location) -> OsString {
        match (&self.origin, source) {
            (Origin::Object { path, .. }, Location::S3(source)) => {
                path.key.strip_prefix(&source.folder_key()).unwrap_or(&path.key).into()
            }
            _ => self.relative.clone(),
        }
    }

    /// Its path below the source as text, as S3 needs it.
    pub fn relative_key(&self) -> Result<&str, SyncError> {
        self.relative.to_str().ok_or(SyncError::NotUtf8)
    }

    /// Whether it is a directory on disk.
    pub fn is_directory(&self) -> bool {
        matches!(self.origin, Origin::Directory(_))
    }

    /// Whether it is the empty object that stands for a folder.
    pub fn is_placeholder(&self) -> bool {
        matches!(&self.origin, Origin::Object { path, .. } if path.key.ends_with('/'))
    }
}

/// The files of a folder; one that cannot be listed comes as its failure.
pub(super) type Items = mpsc::Receiver<Result<Item, Failure>>;

/// What a source turned out to be.
pub(super) enum Source {
    Missing,
    Single(Box<Item>),
    Folder(Items),
}

/// Looks at the source of `request`, which is `source`.
pub(super) async fn look(
    job: &Job,
    request: &DataSyncRequest,
    source: &Location,
) -> Result<Source, SyncError> {
    match source {
        Location::S3(path) => {
            let prefix = request.source_path_prefix.as_deref();
            in_s3(&job.client().await, path, prefix).await
        }
        Location::Local(path) => on_disk(path),
    }
}

/// Looks at an S3 source. `prefix` is what is cut off keys to get relative paths.
pub(super) async fn in_s3(
    client: &Client,
    source: &S3Path,
    prefix: Option<&str>,
) -> Result<Source, SyncError> {
    if let Some(prefix) = prefix.filter(|prefix| !source.key.starts_with(*prefix)) {
        return Err(SyncError::Prefix(prefix.to_owned()));
    }
    let folder = source.with_key(source.folder_key());
    let prefix = match prefix {
        // Cut at whole segments where it ends at one.
        Some(prefix) if folder.key[prefix.len()..].starts_with('/') => format!("{prefix}/"),
        Some(prefix) => prefix.to_owned(),
        None => folder.key.clone(),
    };
    let has_folder = async {
        let first = list_page(client, &folder, None, Some(1)).await?;
        Ok::<_, SyncError>(!first.contents().is_empty())
    };
    if source.is_folder() {
        return Ok(if has_folder.await? {
            Source::Folder(list(client.clone(), folder, prefix))
        } else {
            Source::Missing
        });
    }
    match tokio::try_join!(head(client, source), has_folder)? {
        (Some(_), true) => Err(SyncError::ObjectAndFolder),
        (None, true) => Ok(Source::Folder(list(client.clone(), folder, prefix))),
        (None, false) => Ok(Source::Missing),
        (Some(head), false) => Ok(Source::Single(Box::new(Item {
            relative: source.key.strip_prefix(&prefix).unwrap_or_default().into(),
            size: size(head.content_length()),
            modified: time(head.last_modified()),
            origin: Origin::Object {
                path: source.clone(),
                etag: head.e_tag().unwrap_or_default().to_owned(),
            },
        }))),
    }
}

/// The objects below `folder`, in the order of their keys, listed ahead of what is done with them.
pub(super) fn list(client: Client, folder: S3Path, prefix: String) -> Items {
    let (found, ahead) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut token = None;
        loop {
            let page = match list_page(&client, &folder, token, None).await {
                Ok(page) => page,
                Err(error) => {
                    let _ = found.send(Err(Failure::new(&folder, &error))).await;
                    return;
                }
            };
            for object in page.contents() {
                let key = decode(object.key().unwrap_or_default());
                let item = Item {
                    relative: key.strip_prefix(&prefix).unwrap_or(&key).to_owned().into(),
                    size: size(object.size()),
                    modified: time(object.last_modified()),
                    origin: Origin::Object {
                        path: folder.with_key(key),
                        etag: object.e_tag().unwrap_or_default().to_owned(),
                    },
                };
                if found.send(Ok(item)).await.is_err() {
                    return;
                }
            }
            token = page.next_continuation_token;
            if token.is_none() {
                return;
            }
        }
    });
    ahead
}

async fn list_page(
    client: &Client,
    folder: &S3Path,
    token: Option<String>,
    limit: Option<i32>,
) -> Result<aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output, SyncError> {
    client
        .list_objects_v2()
        .bucket(&folder.bucket)
        .prefix(&folder.key)
        // XML has no way to carry every key.
        .encoding_type(EncodingType::Url)
        .set_continuation_token(token)
        .set_max_keys(limit)
        .send()
        .await
        .map_err(SyncError::s3("ListObjectsV2"))
}

/// S3 writes a space as `+` and a plus as `%2B`.
fn decode(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// Looks at a local source.
fn on_disk(source: &Path) -> Result<Source, SyncError> {
    let metadata = match source.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Source::Missing),
        Err(error) => return Err(SyncError::file("look at", source)(error)),
    };
    if metadata.is_dir() {
        return walk(source.to_owned()).map(Source::Folder);
    }
    item(source.to_owned(), OsString::new(), &metadata).map(|item| Source::Single(Box::new(item)))
}

/// The files below `root`. Symbolic links are followed while they stay inside it.
fn walk(root: PathBuf) -> Result<Items, SyncError> {
    let real_root = root.canonicalize().map_err(SyncError::file("resolve", &root))?;
    let (found, ahead) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut entries = WalkDir::new(&root).follow_links(true).min_depth(1).into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // A link to a directory above itself: what it leads to is being read already.
                Err(error) if error.loop_ancestor().is_some() => continue,
                Err(error) => {
                    let path = error.path().unwrap_or(&root).display().to_string();
                    if found.blocking_send(Err(Failure::new(path, &error))).is_err() {
                        return;
                    }
                    continue;
                }
            };
            if entry.path_is_symlink()
                && !entry.path().canonicalize().is_ok_and(|real| real.starts_with(&real_root))
            {
                if entry.file_type().is_dir() {
                    entries.skip_current_dir();
                }
                let error = SyncError::LeadsOut(root.clone());
                let failure = Failure::new(entry.path().display(), &error);
                if found.blocking_send(Err(failure)).is_err() {
                    return;
                }
                continue;
            }
            if is_own(entry.file_name().as_bytes()) {
                continue;
            }
            let listed = entry
                .metadata()
                .map_err(|error| Failure::new(entry.path().display(), &error))
                .and_then(|metadata| {
                    let relative = entry.path().strip_prefix(&root).unwrap_or(entry.path());
                    item(entry.path().to_owned(), relative.into(), &metadata)
                        .map_err(|error| Failure::new(entry.path().display(), &error))
                });
            if found.blocking_send(listed).is_err() {
                return;
            }
        }
    });
    Ok(ahead)
}

/// Files of the worker itself, and the env file, are never data.
pub(super) fn is_own(name: &[u8]) -> bool {
    let own = [journal::NAME, env_file::NAME];
    is_partial(name) || is_lock(name) || own.iter().any(|own| name == own.as_bytes())
}

fn item(path: PathBuf, relative: OsString, metadata: &Metadata) -> Result<Item, SyncError> {
    let modified = metadata.modified().map_err(SyncError::file("look at", &path))?;
    if metadata.is_dir() {
        return Ok(Item { origin: Origin::Directory(path), relative, size: 0, modified });
    }
    if !metadata.is_file() {
        return Err(SyncError::NotAFile);
    }
    Ok(Item { origin: Origin::File(path), relative, size: metadata.len(), modified })
}

fn size(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

/// S3's time, to the second: answers to HEAD have no more, while listings do.
pub(super) fn time(time: Option<&DateTime>) -> SystemTime {
    let seconds = time.map_or(0, DateTime::secs);
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
