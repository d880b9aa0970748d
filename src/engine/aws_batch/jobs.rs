//! AWS Batch's `JobDetail` as an engine's [`Job`]
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDetail.html>).

use aws_sdk_batch::types;
use jiff::Timestamp;

use super::logs::LogPlace;
use crate::engine::job::{Job, JobStatus, Try};

/// The job; nothing if AWS sent it without an id.
pub(super) fn job(detail: types::JobDetail, log_group: &str) -> Option<Job> {
    let job_id = detail.job_id.filter(|id| !id.is_empty())?;
    let container = detail.container;
    let group = container.as_ref().and_then(own_log_group);
    let place = |stream: Option<String>| {
        stream
            .map(|stream| LogPlace::name(group.as_deref().unwrap_or(log_group), log_group, &stream))
    };
    let tries = detail.attempts.unwrap_or_default().into_iter().map(|attempt| {
        let container = attempt.container;
        Try {
            started_at: attempt.started_at.and_then(timestamp),
            stopped_at: attempt.stopped_at.and_then(timestamp),
            exit_code: container.as_ref().and_then(|container| container.exit_code),
            status_reason: attempt.status_reason,
            container_reason: container.as_ref().and_then(|container| container.reason.clone()),
            log_stream: place(container.and_then(|container| container.log_stream_name)),
        }
    });
    Some(Job {
        job_id,
        job_name: detail.job_name.unwrap_or_default(),
        job_definition: detail.job_definition.unwrap_or_default(),
        status: status(detail.status.as_ref()),
        status_reason: detail.status_reason,
        container_reason: container.as_ref().and_then(|container| container.reason.clone()),
        exit_code: container.as_ref().and_then(|container| container.exit_code),
        tries: tries.collect(),
        log_stream: place(container.and_then(|container| container.log_stream_name)),
        created_at: detail.created_at.and_then(timestamp).unwrap_or(Timestamp::UNIX_EPOCH),
        started_at: detail.started_at.and_then(timestamp),
        stopped_at: detail.stopped_at.and_then(timestamp),
    })
}

/// A status that AWS Batch may get one day is none that ends a job.
fn status(status: Option<&types::JobStatus>) -> JobStatus {
    match status {
        Some(types::JobStatus::Submitted) => JobStatus::Submitted,
        Some(types::JobStatus::Runnable) => JobStatus::Runnable,
        Some(types::JobStatus::Starting) => JobStatus::Starting,
        Some(types::JobStatus::Running) => JobStatus::Running,
        Some(types::JobStatus::Succeeded) => JobStatus::Succeeded,
        Some(types::JobStatus::Failed) => JobStatus::Failed,
        _ => JobStatus::Pending,
    }
}

/// AWS Batch counts milliseconds since 1970-01-01T00:00:00Z; 0 where nothing happened yet.
fn timestamp(milliseconds: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(milliseconds).ok().filter(|at| *at > Timestamp::UNIX_EPOCH)
}

/// The log group that the job's definition names.
fn own_log_group(container: &types::ContainerDetail) -> Option<String> {
    container.log_configuration()?.options()?.get("awslogs-group").cloned()
}
