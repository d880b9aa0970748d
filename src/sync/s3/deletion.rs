//! Many objects of one bucket deleted, a batch a call.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::sync::error::{Failure, SyncError};

/// Keys in one `DeleteObjects`.
const BATCH: usize = 1000;

/// Objects of one bucket to be deleted, a batch a call.
#[derive(Debug)]
pub(in crate::sync) struct Doomed {
    client: Client,
    pub bucket: String,
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
