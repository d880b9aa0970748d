//! That a request mirrored its source and began to move it away: what is missing from the source
//! then is what it has delivered, and no longer what the destination must not have.
//!
//! A step's task knows it by the journal in its working directory. Requests that belong to no task
//! have no such place; their mark lies at the destination, until all that was moved is gone from
//! the source.

use std::fs::{self, File};
use std::io::{self, Write};

use aws_sdk_s3::primitives::ByteStream;
use sha2::{Digest, Sha256};

use super::disk::partial::Partial;
use super::error::{SyncError, blocking};
use super::job::Job;
use super::location::Location;

const NAME: &str = ".demand.moving";

/// Whether a file of this name is a mark.
pub(super) fn is_mark(name: &[u8]) -> bool {
    name == NAME.as_bytes()
}

/// The mark of one request.
#[derive(Debug, Clone)]
pub(super) struct Unfinished {
    /// Where it lies while there is one.
    place: Location,
    /// What tells its request from others of the same destination.
    fingerprint: String,
}

impl Unfinished {
    /// The mark of a request that moves the folder `source` to `destination`, however it names them
    /// and whatever else it lays down.
    pub fn new(source: &Location, destination: &Location) -> Self {
        let place = match destination {
            Location::Local(directory) => Location::Local(directory.join(NAME)),
            Location::S3(folder) => {
                Location::S3(folder.with_key(format!("{}{NAME}", folder.folder_key())))
            }
        };
        let folder = |location: &Location| match location.real() {
            Location::S3(path) => path.with_key(path.folder_key()).to_string(),
            local @ Location::Local(_) => local.to_string(),
        };
        let both = format!("{}\n{}", folder(source), folder(destination));
        Self { place, fingerprint: hex::encode(Sha256::digest(both)) }
    }

    /// Whether an earlier run left it.
    pub async fn is_there(&self, job: &Job) -> Result<bool, SyncError> {
        let found = match &self.place {
            Location::Local(path) => match fs::read(path) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(SyncError::file("read", path)(error)),
            },
            Location::S3(path) => {
                let call = job.client().await.get_object().bucket(&path.bucket).key(&path.key);
                match call.send().await.map_err(SyncError::s3("GetObject")) {
                    Ok(answer) => {
                        let body = answer.body.collect().await;
                        body.map_err(|error| SyncError::Body(Box::new(error)))?.to_vec()
                    }
                    Err(error) if error.is_not_found() || error.is_no_bucket() => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(found == self.fingerprint.as_bytes())
    }

    /// Leaves it; durable when it returns.
    pub async fn leave(&self, job: &Job) -> Result<(), SyncError> {
        let content = self.fingerprint.clone().into_bytes();
        match &self.place {
            Location::Local(path) => {
                let path = path.clone();
                blocking(move || {
                    let directory = path.parent().unwrap_or(&path);
                    let partial = Partial::create(directory, &path)?;
                    let written =
                        partial.file().write_all(&content).and_then(|()| partial.file().sync_all());
                    written.map_err(SyncError::file("write", partial.path()))?;
                    partial.publish()?;
                    let synced = File::open(directory).and_then(|directory| directory.sync_all());
                    synced.map_err(SyncError::file("sync", directory))
                })
                .await
            }
            Location::S3(path) => {
                let call = job.client().await.put_object().bucket(&path.bucket).key(&path.key);
                let put = call.body(ByteStream::from(content)).send().await;
                put.map(|_| ()).map_err(SyncError::s3("PutObject"))
            }
        }
    }

    /// Takes it away: nothing of the source is left.
    pub async fn clear(&self, job: &Job) -> Result<(), SyncError> {
        match &self.place {
            Location::Local(path) => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(SyncError::file("remove", path)(error))
                }
                _ => Ok(()),
            },
            Location::S3(path) => {
                let call = job.client().await.delete_object().bucket(&path.bucket).key(&path.key);
                call.send().await.map(|_| ()).map_err(SyncError::s3("DeleteObject"))
            }
        }
    }
}
