//! The job a worker runs in: what all its transfers and removals have at hand.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use tokio_util::task::TaskTracker;

use super::outcome::Intent;
use super::progress::Progress;
use super::s3::client::LazyClient;
use super::s3::open_uploads::OpenUploads;
use crate::plan::submission::Mount;

/// Is told what a dry run would do.
pub type Tell = Arc<dyn Fn(&Intent) + Send + Sync>;

/// Mounts, patience, progress and the S3 client of one run.
pub(super) struct Job {
    pub mounts: Vec<Mount>,
    pub lock_timeout: Duration,
    /// Where nothing is to be changed: whom to tell instead.
    pub dry_run: Option<Tell>,
    pub progress: Arc<Progress>,
    pub lazy_client: Arc<LazyClient>,
    /// The work and the transfers of single files, while they run.
    pub tasks: TaskTracker,
    pub uploads: Arc<OpenUploads>,
}

impl Job {
    pub fn new(mounts: Vec<Mount>, lock_timeout: Duration) -> Self {
        Self {
            mounts,
            lock_timeout,
            dry_run: None,
            progress: Arc::default(),
            lazy_client: Arc::default(),
            tasks: TaskTracker::new(),
            uploads: Arc::default(),
        }
    }

    /// Whether nothing is to be changed.
    pub fn is_dry(&self) -> bool {
        self.dry_run.is_some()
    }

    /// The S3 client, made when it is first needed.
    pub async fn client(&self) -> Client {
        self.lazy_client.get().await
    }
}
