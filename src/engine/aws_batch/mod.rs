//! The engine that runs jobs on AWS Batch.

use async_trait::async_trait;
use aws_config::SdkConfig;

use super::job::{Job, LogPage};
use super::{Engine, EngineError, LogsError, SubmitError};
use crate::plan::submission::{JobDefinition, SubmitJob};
use crate::store::Store;

/// What an operator sets of the engine.
#[derive(Debug, Clone, Default)]
pub struct AwsBatchSettings {
    /// Where tasks too large for a container's overrides are put; `s3://bucket/prefix`.
    pub payload_prefix: Option<String>,
    /// The CloudWatch log group of the jobs; `/aws/batch/job` without one.
    pub log_group: Option<String>,
    /// The SQS queue that EventBridge feeds with *Batch Job State Change*.
    pub events_queue_url: Option<String>,
    /// The queues the service is ready with; any without one.
    pub job_queues: Vec<String>,
}

/// AWS Batch as an engine.
#[derive(Debug)]
pub struct AwsBatch {
    settings: AwsBatchSettings,
    batch: aws_sdk_batch::Client,
    ledger: Store,
}

impl AwsBatch {
    /// An engine in the account and region of `config`. Must be called within a Tokio runtime.
    pub fn new(settings: AwsBatchSettings, config: &SdkConfig, ledger: Store) -> Self {
        Self { settings, batch: aws_sdk_batch::Client::new(config), ledger }
    }
}

fn unfinished(operation: &'static str) -> EngineError {
    EngineError::new(operation, "not built yet")
}

#[async_trait]
impl Engine for AwsBatch {
    fn name(&self) -> &'static str {
        "aws_batch"
    }
    async fn define(&self, _: &JobDefinition) -> Result<String, SubmitError> {
        Err(SubmitError::Permanent(format!("{:?}", self.ledger)))
    }
    async fn submit(&self, _: &SubmitJob) -> Result<String, SubmitError> {
        Err(SubmitError::Permanent(format!("{:?} {:?}", self.settings, self.batch)))
    }
    async fn find(&self, _: &str, _: &str) -> Result<Vec<Job>, EngineError> {
        Err(unfinished("ListJobs"))
    }
    async fn describe(&self, _: &[String]) -> Result<Vec<Job>, EngineError> {
        Err(unfinished("DescribeJobs"))
    }
    async fn terminate(&self, _: &str, _: &str) -> Result<(), EngineError> {
        Err(unfinished("TerminateJob"))
    }
    async fn logs(&self, _: &str, _: Option<&str>, _: usize) -> Result<LogPage, LogsError> {
        Err(unfinished("GetLogEvents").into())
    }
    async fn ready(&self) -> Result<(), EngineError> {
        Err(unfinished("DescribeJobQueues"))
    }
    async fn changed(&self) {
        std::future::pending().await
    }
}
