//! Many objects of one bucket deleted, a batch a call.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use tokio::time::sleep;

use crate::sync::error::{Failure, SyncError};

/// Keys in one `DeleteObjects`.
const BATCH: usize = 1000;
/// Tries of a key that S3 is too busy for, the first included.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// S3's codes for that.
const BUSY: [&str; 4] = ["SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted"];
/// S3's codes for what is gone already.
const GONE: [&str; 2] = ["NoSuchKey", "NotFound"];

/// Objects of one bucket to be deleted, a batch a call.
#[derive(Debug)]
pub(in crate::sync) struct Doomed {
    client: Client,
    pub bucket: String,
    batch: Batch,
    deleted: u64,
    failures: Vec<Failure>,
}

/// Keys, each with the tag the object must have, if any.
type Batch = BTreeMap<String, Option<String>>;

impl Doomed {
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket, batch: Batch::new(), deleted: 0, failures: Vec::new() }
    }

    /// Adds an object, to be deleted only while it has `etag`.
    pub async fn add(&mut self, key: String, etag: Option<String>) {
        if !fits_xml(&key) {
            return self.one(key, etag).await;
        }
        self.batch.insert(key, etag);
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
        let mut batch = std::mem::take(&mut self.batch);
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            if batch.is_empty() {
                return;
            }
            batch = self.delete(batch, attempt < ATTEMPTS).await;
            if !batch.is_empty() {
                sleep(pause).await;
                pause *= 2;
            }
        }
    }

    /// Deletes a batch; answers those of it to be tried again.
    async fn delete(&mut self, mut batch: Batch, again: bool) -> Batch {
        let identifiers = batch.iter().filter_map(|(key, etag)| {
            // The key is given, which is all that building needs.
            ObjectIdentifier::builder().key(key).set_e_tag(etag.clone()).build().ok()
        });
        let call = match Delete::builder().set_objects(Some(identifiers.collect())).build() {
            Ok(delete) => {
                self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await
            }
            Err(error) => Err(error.into()),
        };
        let answer = match call.map_err(SyncError::s3("DeleteObjects")) {
            Ok(answer) => answer,
            Err(error) => {
                self.fail(batch.into_keys(), &error);
                return Batch::new();
            }
        };
        for deleted in answer.deleted() {
            self.deleted += u64::from(batch.remove(deleted.key().unwrap_or_default()).is_some());
        }
        let mut busy = Batch::new();
        for error in answer.errors() {
            let Some((key, etag)) = batch.remove_entry(error.key().unwrap_or_default()) else {
                continue;
            };
            let code = error.code().unwrap_or_default();
            if GONE.contains(&code) {
                self.deleted += 1;
            } else if again && BUSY.contains(&code) {
                busy.insert(key, etag);
            } else {
                let message = error.message().unwrap_or_default();
                let reason = format!("DeleteObjects failed: {code}: {message}");
                self.failures.push(Failure { path: self.path(&key), reason });
            }
        }
        // An answer that does not tell of each is none of S3's.
        if again {
            busy.extend(batch);
        } else {
            self.fail(batch.into_keys(), &SyncError::Unproven("DeleteObjects"));
        }
        busy
    }

    async fn one(&mut self, key: String, etag: Option<String>) {
        let call = self.client.delete_object().bucket(&self.bucket).key(&key);
        match call.set_if_match(etag).send().await.map_err(SyncError::s3("DeleteObject")) {
            Ok(_) => self.deleted += 1,
            Err(error) if error.is_not_found() => self.deleted += 1,
            Err(error) => self.fail([key], &error),
        }
    }

    fn fail(&mut self, keys: impl IntoIterator<Item = String>, error: &SyncError) {
        let failures: Vec<_> =
            keys.into_iter().map(|key| Failure::new(self.path(&key), error)).collect();
        self.failures.extend(failures);
    }

    fn path(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

/// Whether XML, which `DeleteObjects` is told in, can carry a key
/// (<https://www.w3.org/TR/xml/#charsets>).
fn fits_xml(key: &str) -> bool {
    key.chars().all(|character| match character {
        '\t' | '\n' => true,
        // Read back, it would be a newline.
        '\r' | '\u{fffe}' | '\u{ffff}' => false,
        character => character >= ' ',
    })
}
