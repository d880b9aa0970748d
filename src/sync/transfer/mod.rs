//! One file's way, from where it was found to where the request sends it.
//!
//! | file | from … to … |
//! |---|---|
//! | `download` | S3 to disk |
//! | `upload` | disk to S3 |
//! | `copy` | S3 to S3, disk to disk |
//! | `rules` | what a request lays down for each file |

mod copy;
mod download;
pub(super) mod rules;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::placing::{Placed, Placing};
use super::error::{SyncError, blocking};
use super::location::{Location, S3Path};
use super::outcome::{Intent, Outcome};
use super::s3::wire::Wire;
use super::source::{Item, Origin, is_own};
use rules::{Object, Rules};

/// Where a request's files go.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Directory(Arc<Placing>),
    S3(Keys),
}

impl Target {
    /// Whether it is on disk.
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_))
    }

    /// Whether a file would be written into `source`, a location without links.
    pub fn lies_in(&self, source: &Location, item: &Item) -> bool {
        match self {
            Self::S3(keys) => item
                .relative_key()
                .is_ok_and(|relative| source.contains(&Location::S3(keys.of(relative).0))),
            Self::Directory(placing) => {
                let target = Location::Local(placing.root().join(&item.relative));
                source.contains(&target.real())
            }
        }
    }

    /// Whether a file would be written over itself.
    pub fn is_itself(&self, item: &Item) -> bool {
        match (&item.origin, self) {
            (Origin::Object { path, .. }, Self::S3(keys)) => {
                item.relative_key().is_ok_and(|relative| keys.of(relative).0 == *path)
            }
            (Origin::File(path), Self::Directory(placing)) => {
                is_same_file(path, &placing.root().join(&item.relative))
            }
            _ => false,
        }
    }
}

/// The keys of a request's files.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    /// A key that ends in `/` or is empty, and whether anything lies under it already.
    Below { folder: S3Path, occupied: bool },
    /// The key of the only file.
    Exact(S3Path),
}

/// What the transfers of a request share.
#[derive(Debug)]
pub(super) struct Transfer {
    pub wire: Wire,
    pub rules: Rules,
    pub target: Target,
}

impl Transfer {
    /// Transfers one file.
    pub async fn one(self: Arc<Self>, item: Arc<Item>) -> Result<Outcome, SyncError> {
        let Self { wire, rules, target } = &*self;
        match (&item.origin, target) {
            (Origin::Object { path, etag }, Target::Directory(placing)) => {
                if item.is_placeholder() {
                    return directory(&item, placing).await;
                }
                let relative = item.relative_key()?;
                // What stands there would be taken for the worker's own, by it or by the next.
                if relative.split('/').any(|name| is_own(name.as_bytes())) {
                    return Err(SyncError::OwnName);
                }
                let file = ready(placing, placing.file(relative)?).await?;
                download::download(wire, rules, &object(&item, path, etag), &file).await
            }
            (Origin::Object { path, etag }, Target::S3(keys)) => {
                let (key, _) = keys.of(item.relative_key()?);
                copy::in_s3(wire, rules, &object(&item, path, etag), &key).await
            }
            (Origin::File(path), Target::Directory(placing)) => {
                let file = ready(placing, placing.local_file(&item.relative)?).await?;
                let outcome = copy::on_disk(rules, path.clone(), file, wire.tasks.token()).await?;
                if let Outcome::Transferred { bytes } = outcome {
                    wire.progress.add_bytes(bytes);
                }
                Ok(outcome)
            }
            (Origin::Directory(_), Target::Directory(placing)) => {
                let placed = placing.local_file(&item.relative)?;
                let placing = Arc::clone(placing);
                blocking(move || placing.make(&placed.path)).await?;
                Ok(Outcome::Folder)
            }
            (Origin::Directory(_), Target::S3(_)) => Ok(Outcome::Folder),
            (Origin::File(path), Target::S3(keys)) => {
                let (key, occupied) = keys.of(item.relative_key()?);
                upload::upload(wire, rules, path, &key, occupied).await
            }
        }
    }

    /// What would be done with a file.
    pub fn intent(&self, item: &Item) -> Intent {
        let destination = match &self.target {
            Target::Directory(placing) => placing.root().join(&item.relative).display().to_string(),
            Target::S3(keys) => keys.of(&item.relative.to_string_lossy()).0.to_string(),
        };
        Intent::Transfer { source: item.path(), destination }
    }
}

/// The path of a file whose directory exists from now on.
async fn ready(placing: &Arc<Placing>, placed: Placed) -> Result<PathBuf, SyncError> {
    let Placed { path, ready } = placed;
    if ready {
        return Ok(path);
    }
    let placing = Arc::clone(placing);
    blocking(move || placing.make_parent(&path).map(|()| path)).await
}

/// Makes the directory that an empty object stands for.
async fn directory(item: &Item, placing: &Arc<Placing>) -> Result<Outcome, SyncError> {
    if item.size > 0 {
        return Err(SyncError::FilledPlaceholder);
    }
    let (placing, relative) = (Arc::clone(placing), item.relative_key()?.to_owned());
    if !relative.is_empty() {
        blocking(move || placing.directory(&relative)).await?;
    }
    Ok(Outcome::Folder)
}

impl Keys {
    /// The key of a file, and whether something may lie there already.
    fn of(&self, relative: &str) -> (S3Path, bool) {
        match self {
            Self::Below { folder, occupied } => {
                (folder.with_key(format!("{}{relative}", folder.key)), *occupied)
            }
            Self::Exact(path) => (path.clone(), true),
        }
    }
}

/// Whether both paths lead to one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn object(item: &Item, path: &S3Path, etag: &str) -> Object {
    Object { path: path.clone(), etag: etag.to_owned(), size: item.size, modified: item.modified }
}
