//! The job a worker runs in: what all its transfers and removals have at hand.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;

use super::progress::Progress;
use super::wire::LazyClient;
use crate::plan::submission::Mount;

/// Mounts, patience, progress and the S3 client of one run.
#[derive(Debug)]
pub(super) struct Job {
    pub mounts: Vec<Mount>,
    pub lock_timeout: Duration,
    pub progress: Arc<Progress>,
    pub lazy_client: Arc<LazyClient>,
}

impl Job {
    pub fn new(mounts: Vec<Mount>, lock_timeout: Duration) -> Self {
        Self { mounts, lock_timeout, progress: Arc::default(), lazy_client: Arc::default() }
    }

    /// The S3 client, made when it is first needed.
    pub async fn client(&self) -> Client {
        self.lazy_client.get().await
    }
}
