//! Multipart uploads that somebody must complete or abandon, lest S3 charge for their parts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::Client;
use futures::stream::{self, StreamExt};

use super::client::LazyClient;
use crate::sync::location::S3Path;

/// Uploads that are abandoned at once.
const AT_ONCE: usize = 25;

/// The multipart uploads that have begun and neither ended nor been abandoned, by their ids.
#[derive(Debug, Default)]
pub(in crate::sync) struct OpenUploads(Mutex<HashMap<String, S3Path>>);

impl OpenUploads {
    /// Adds one.
    pub fn begun(&self, id: &str, target: &S3Path) {
        self.open().insert(id.to_owned(), target.clone());
    }

    /// Takes one out.
    pub fn ended(&self, id: &str) {
        self.open().remove(id);
    }

    /// Abandons them all, when those who began them no longer will.
    pub async fn abandon(&self, client: &LazyClient) {
        let open = std::mem::take(&mut *self.open());
        stream::iter(open)
            .for_each_concurrent(AT_ONCE, |(id, target)| async move {
                abandon(&client.get().await, &target, &id).await;
            })
            .await;
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, S3Path>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Abandons one.
pub(in crate::sync) async fn abandon(client: &Client, target: &S3Path, id: &str) {
    let call = client.abort_multipart_upload().bucket(&target.bucket).key(&target.key);
    if let Err(error) = call.upload_id(id).send().await {
        tracing::warn!(%target, %error, "cannot abort a multipart upload");
    }
}
