//! The engine that runs jobs on AWS Batch.
//!
//! | file | what it owns |
//! |---|---|
//! | `calls`, `pace` | the clients, which calls are repeated, and how many go out a second |
//! | `metrics` | how many calls went out, and how they ended |
//! | `failure` | what a failed call means: nothing happened, never will, or who knows |
//! | `definitions` | one revision for each content |
//! | `payload` | tasks too large to be handed over directly |
//! | `wire`, `jobs` | the plan's calls as the SDK's, the SDK's jobs as an engine's |
//! | `logs`, `events`, `readiness` | CloudWatch Logs, EventBridge's events through SQS, the queues |
//!
//! The SDK's types stay in here.

mod calls;
mod definitions;
mod events;
mod failure;
mod jobs;
mod logs;
mod metrics;
mod pace;
mod payload;
mod readiness;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_batch::types::KeyValuesPair;
use prometheus_client::registry::Registry;

use super::job::{EngineKind, Job, LogPage};
use super::{Engine, EngineError, LogsError, SubmitError};
use crate::aws;
use crate::plan::submission::{JobDefinition, SubmitJob};
use crate::store::Store;
use calls::Calls;
use definitions::Definitions;
use events::Events;
use failure::Kind;
use logs::LogPlace;
use readiness::Readiness;

/// Ids in one DescribeJobs call at most
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html>).
const JOBS_A_CALL: usize = 100;

/// Jobs on one page of ListJobs at most
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html>).
const JOBS_A_PAGE: i32 = 100;

/// What an operator sets of the engine.
#[derive(Debug, Clone, Default)]
pub struct AwsBatchSettings {
    /// Where tasks too large for a container's overrides are put; `s3://bucket/prefix`.
    pub payload_prefix: Option<String>,
    /// The CloudWatch Logs group of jobs whose definition names none; `/aws/batch/job` without
    /// one.
    pub log_group: Option<String>,
    /// The SQS queue that EventBridge feeds with *Batch Job State Change*.
    pub events_queue_url: Option<String>,
    /// The queues without which the service is not ready, by name or ARN.
    pub job_queues: Vec<String>,
}

/// AWS Batch as an engine.
pub struct AwsBatch {
    calls: Arc<Calls>,
    definitions: Definitions,
    readiness: Readiness,
    events: Option<Events>,
    s3: aws_sdk_s3::Client,
    cloudwatch: aws_sdk_cloudwatchlogs::Client,
    payload_prefix: Option<String>,
    log_group: String,
}

impl AwsBatch {
    /// An engine in the account and region of `config`, whose definitions are kept on record in
    /// `ledger`. To be called within a Tokio runtime, where events are received from then on until
    /// the engine is dropped.
    pub fn new(settings: AwsBatchSettings, config: &SdkConfig, ledger: Store) -> Self {
        let calls = Arc::new(Calls::new(config));
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let events = settings
            .events_queue_url
            .map(|url| Events::of_queue(aws_sdk_sqs::Client::new(config), url));
        Self {
            definitions: Definitions::new(Arc::clone(&calls), ledger, region),
            readiness: Readiness::new(Arc::clone(&calls), settings.job_queues),
            events,
            s3: aws::s3(config),
            cloudwatch: aws_sdk_cloudwatchlogs::Client::new(config),
            payload_prefix: settings.payload_prefix,
            log_group: settings.log_group.unwrap_or_else(|| logs::DEFAULT_GROUP.to_owned()),
            calls,
        }
    }

    /// The ids of the queue's jobs of this name.
    async fn ids_of(&self, job_queue: &str, job_name: &str) -> Result<Vec<String>, EngineError> {
        let mut ids = Vec::new();
        let mut token = None;
        loop {
            self.calls.pace.turn().await;
            // With a filter, jobs of every status are listed; its match ignores case.
            let page = self
                .calls
                .patient
                .list_jobs()
                .job_queue(job_queue)
                .filters(KeyValuesPair::builder().name("JOB_NAME").values(job_name).build())
                .max_results(JOBS_A_PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| EngineError::new("ListJobs", error))?;
            let listed = page.job_summary_list.unwrap_or_default().into_iter();
            ids.extend(
                listed
                    .filter(|job| job.job_name.as_deref() == Some(job_name))
                    .filter_map(|job| job.job_id),
            );
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(ids);
            }
        }
    }
}

#[async_trait]
impl Engine for AwsBatch {
    fn kind(&self) -> EngineKind {
        EngineKind::AwsBatch
    }

    fn register(&self, registry: &mut Registry) {
        self.calls.metrics.register(registry);
    }

    async fn define(&self, definition: &JobDefinition) -> Result<String, SubmitError> {
        self.definitions.define(definition).await
    }

    async fn submit(&self, job: &SubmitJob) -> Result<String, SubmitError> {
        let job = payload::placed(&self.s3, self.payload_prefix.as_deref(), job).await?;
        self.calls.pace.turn().await;
        match wire::submit_job(&job).send_with(&self.calls.once).await {
            Ok(answer) => {
                self.definitions.used(&job.job_definition);
                answer.job_id.filter(|id| !id.is_empty()).ok_or_else(|| {
                    SubmitError::Ambiguous("SubmitJob: an answer without a job id".to_owned())
                })
            }
            Err(error) => {
                let words = failure::words("SubmitJob", &error);
                if failure::kind(&error) == Kind::Refused && failure::misses_definition(&words) {
                    return Err(self.definitions.missed(&job.job_definition, words).await);
                }
                Err(failure::of_submission("SubmitJob", &error))
            }
        }
    }

    async fn find(&self, job_queue: &str, job_name: &str) -> Result<Vec<Job>, EngineError> {
        let ids = self.ids_of(job_queue, job_name).await?;
        self.describe(&ids).await
    }

    async fn describe(&self, job_ids: &[String]) -> Result<Vec<Job>, EngineError> {
        let mut jobs = Vec::with_capacity(job_ids.len());
        for ids in job_ids.chunks(JOBS_A_CALL) {
            self.calls.pace.turn().await;
            let answer = self
                .calls
                .patient
                .describe_jobs()
                .set_jobs(Some(ids.to_vec()))
                .send()
                .await
                .map_err(|error| EngineError::new("DescribeJobs", error))?;
            let details = answer.jobs.unwrap_or_default().into_iter();
            jobs.extend(details.filter_map(|detail| jobs::job(detail, &self.log_group)));
        }
        Ok(jobs)
    }

    async fn terminate(&self, job_id: &str, reason: &str) -> Result<(), EngineError> {
        self.calls.pace.turn().await;
        let asked = self.calls.patient.terminate_job().job_id(job_id).reason(reason).send().await;
        match asked {
            Ok(_) => Ok(()),
            Err(error) if is_over(&error) => Ok(()),
            Err(error) => Err(EngineError::new("TerminateJob", error)),
        }
    }

    async fn logs(
        &self,
        log_stream: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<LogPage, LogsError> {
        LogPlace::parse(log_stream, &self.log_group).read(&self.cloudwatch, cursor, limit).await
    }

    async fn ready(&self) -> Result<(), EngineError> {
        self.readiness.check().await
    }

    async fn changed(&self) {
        match &self.events {
            Some(events) => events.changed().await,
            None => std::future::pending().await,
        }
    }
}

type TerminateError =
    aws_sdk_batch::error::SdkError<aws_sdk_batch::operation::terminate_job::TerminateJobError>;

/// Whether AWS Batch says that there is nothing to end: the job is unknown to it, or has ended.
fn is_over(error: &TerminateError) -> bool {
    let words = failure::words("TerminateJob", error).to_ascii_lowercase();
    failure::kind(error) == Kind::Refused
        && ["does not exist", "not found", "already", "terminal"]
            .iter()
            .any(|text| words.contains(text))
}
