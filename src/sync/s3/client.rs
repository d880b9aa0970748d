//! The S3 client of a run.

use aws_sdk_s3::Client;
use tokio::sync::OnceCell;

use crate::aws;

/// The S3 client, made when it is first needed: a run between directories needs no AWS.
#[derive(Debug, Default)]
pub(in crate::sync) struct LazyClient(OnceCell<Client>);

impl LazyClient {
    pub async fn get(&self) -> Client {
        self.0.get_or_init(|| async { aws::s3(&aws::config().await) }).await.clone()
    }
}
