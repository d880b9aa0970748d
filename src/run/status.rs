//! The status document: what `GET /demands/{execution_id}` answers. PURE.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::reason::Reason;
use super::state::{Phase, State, Status, WorkingDirectory};
use super::step_run::{StepRun, Submission};
use crate::engine::job::{EngineKind, Try};
use crate::plan::submission::Step;
use crate::run::record::Record;

/// A demand and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusDocument {
    /// The demand's id.
    pub execution_id: String,
    /// The kind of computation, in the submitter's words.
    pub execution_type: String,
    /// The reference's word for where it stands.
    pub status: Status,
    /// Our finer word.
    pub phase: Phase,
    /// Why it ended otherwise than well.
    #[schema(required)]
    pub reason: Option<Reason>,
    /// The pass over the steps under way, or the last one; from 1.
    pub attempt: u32,
    /// Adds 1 with every change of this document; the number in its `ETag`.
    pub version: i64,
    /// The user that the request names.
    #[schema(required)]
    pub user: Option<String>,
    /// Who sent the request, where the service knows.
    #[schema(required)]
    pub submitted_by: Option<String>,
    /// Its tags.
    pub tags: IndexMap<String, String>,
    /// The queue of its `execute` job.
    pub job_queue: String,
    /// Where its jobs run.
    pub engine: EngineDocument,
    /// What is known of its working directory.
    pub working_directory: WorkingDirectory,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When its last attempt ended.
    #[schema(required)]
    pub finished_at: Option<Timestamp>,
    /// Every step of every attempt, oldest first.
    pub steps: Vec<StepDocument>,
    /// Where to read on.
    pub links: Links,
}

/// Where jobs run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EngineDocument {
    /// Which engine runs them.
    pub name: EngineKind,
    /// What is not as one would expect there.
    #[schema(required)]
    pub note: Option<String>,
}

/// One step of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepDocument {
    /// Which step.
    pub step: Step,
    /// In which attempt.
    pub attempt: u32,
    /// The name of its job.
    pub job_name: String,
    /// The id of its job, once it has one.
    #[schema(required)]
    pub job_id: Option<String>,
    /// The definition its job runs on, with its revision.
    #[schema(required)]
    pub job_definition: Option<String>,
    /// Where it stands.
    pub status: StepStatus,
    /// Why it stands there, in the engine's words.
    #[schema(required)]
    pub status_reason: Option<String>,
    /// The exit code of the last try.
    #[schema(required)]
    pub exit_code: Option<i32>,
    /// Where the log of the last try is.
    #[schema(required)]
    pub log_stream: Option<String>,
    /// When the job was submitted.
    #[schema(required)]
    pub created_at: Option<Timestamp>,
    /// When its last try started.
    #[schema(required)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(required)]
    pub stopped_at: Option<Timestamp>,
    /// Every try so far, oldest first.
    pub tries: Vec<Try>,
}

/// Where a step stands: AWS Batch's word once there is a job, ours before and besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepStatus {
    /// No job has been submitted yet.
    Waiting,
    /// The job was accepted by the queue.
    Submitted,
    /// The job waits for one it depends on.
    Pending,
    /// The job waits for room.
    Runnable,
    /// The job's container is being started.
    Starting,
    /// The job's command runs.
    Running,
    /// The job ended well.
    Succeeded,
    /// The job ended otherwise.
    Failed,
    /// The engine forgot the job before it was seen to end.
    Lost,
    /// The engine refused the job.
    Rejected,
    /// There will be no job: an earlier step failed, or the demand was canceled.
    Skipped,
}

/// Where to read on; paths on this service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Links {
    /// This document.
    #[serde(rename = "self")]
    pub this: String,
    /// The stored plan.
    pub plan: String,
    /// The history.
    pub events: String,
    /// The log lines.
    pub logs: String,
}

impl StatusDocument {
    /// The document of a stored demand whose jobs run on `engine`.
    pub fn of(record: &Record, engine: EngineDocument) -> Self {
        let State {
            phase, reason, attempt, working_directory, steps, updated_at, finished_at, ..
        } = &record.state;
        let this = format!("/demands/{}", record.execution_id);
        Self {
            execution_id: record.execution_id.clone(),
            execution_type: record.execution_type.clone(),
            status: record.state.status(),
            phase: *phase,
            reason: reason.clone(),
            attempt: *attempt,
            version: record.version,
            user: record.user.clone(),
            submitted_by: record.submitted_by.clone(),
            tags: record.tags.clone(),
            job_queue: record.job_queue.clone(),
            engine,
            working_directory: *working_directory,
            created_at: record.created_at,
            updated_at: *updated_at,
            finished_at: *finished_at,
            steps: steps.iter().map(StepDocument::of).collect(),
            links: Links {
                plan: format!("{this}/plan"),
                events: format!("{this}/events"),
                logs: format!("{this}/logs"),
                this,
            },
        }
    }
}

impl StepDocument {
    fn of(run: &StepRun) -> Self {
        let job = run.job.as_ref();
        let status_reason = match &run.submission {
            Submission::Rejected { detail } => Some(detail.clone()),
            _ => job.and_then(|job| job.status_reason.clone()),
        };
        Self {
            step: run.step,
            attempt: run.attempt,
            job_name: run.job_name.clone(),
            job_id: run.job_id().map(str::to_owned),
            job_definition: job.map(|job| job.job_definition.clone()),
            status: StepStatus::of(run),
            status_reason,
            exit_code: job.and_then(|job| job.exit_code),
            log_stream: job.and_then(|job| job.log_stream.clone()),
            created_at: job.map(|job| job.created_at),
            started_at: job.and_then(|job| job.started_at),
            stopped_at: job.and_then(|job| job.stopped_at),
            tries: job.map(|job| job.tries.clone()).unwrap_or_default(),
        }
    }
}

impl StepStatus {
    fn of(run: &StepRun) -> Self {
        use crate::engine::job::JobStatus;
        match (&run.submission, &run.job) {
            (Submission::Planned { .. } | Submission::Intended { .. }, _) => Self::Waiting,
            (Submission::Rejected { .. }, _) => Self::Rejected,
            (Submission::Skipped, _) => Self::Skipped,
            (Submission::Submitted { .. }, _) if run.lost => Self::Lost,
            (Submission::Submitted { .. }, None) => Self::Submitted,
            (Submission::Submitted { .. }, Some(job)) => match job.status {
                JobStatus::Submitted => Self::Submitted,
                JobStatus::Pending => Self::Pending,
                JobStatus::Runnable => Self::Runnable,
                JobStatus::Starting => Self::Starting,
                JobStatus::Running => Self::Running,
                JobStatus::Succeeded => Self::Succeeded,
                JobStatus::Failed => Self::Failed,
            },
        }
    }
}
