//! The vocabulary of Batch jobs as every engine reports them. PURE: values only.
//!
//! Names and meanings are those of AWS Batch's `JobDetail`
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDetail.html>), so that the
//! `local` engine and the `aws_batch` engine can be observed by the same code.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The engines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EngineName)]
pub enum EngineKind {
    /// AWS Batch.
    AwsBatch,
    /// Processes of this machine.
    Local,
}

impl EngineKind {
    /// The engine as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwsBatch => "aws_batch",
            Self::Local => "local",
        }
    }
}

/// The state of one job, as AWS Batch names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// Accepted by the queue, not yet looked at.
    Submitted,
    /// Waits for a job it depends on.
    Pending,
    /// Waits for room.
    Runnable,
    /// Placed; its container is being started.
    Starting,
    /// Its command runs.
    Running,
    /// Ended with exit code 0.
    Succeeded,
    /// Ended otherwise, or will never run.
    Failed,
}

impl JobStatus {
    /// The status as AWS Batch spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Pending => "PENDING",
            Self::Runnable => "RUNNABLE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether the job will never change again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// One run of a job's command; Batch calls it an attempt, we say *try* (an attempt is a pass over
/// a demand's steps).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[schema(as = JobTry)]
pub struct Try {
    /// When the command started, where it did.
    #[schema(required)]
    pub started_at: Option<Timestamp>,
    /// When it ended, where it did.
    #[schema(required)]
    pub stopped_at: Option<Timestamp>,
    /// The command's exit code; 128 + signal where a signal ended it. Absent where it never ran.
    #[schema(required)]
    pub exit_code: Option<i32>,
    /// Why the try ended, in the engine's words (Batch's `statusReason`).
    #[schema(required)]
    pub status_reason: Option<String>,
    /// What the container runtime said (Batch's `container.reason`, such as `OutOfMemoryError: …`).
    #[schema(required)]
    pub container_reason: Option<String>,
    /// Where this try's log can be read.
    #[schema(required)]
    pub log_stream: Option<String>,
}

/// What an engine knows of one job at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Job {
    /// The engine's identifier, unique for ever.
    pub job_id: String,
    /// The name it was submitted under; not unique.
    pub job_name: String,
    /// The definition it runs on, with its revision.
    pub job_definition: String,
    /// Where it stands.
    pub status: JobStatus,
    /// Why it stands there (Batch's `statusReason`).
    pub status_reason: Option<String>,
    /// What the container runtime said of the last try.
    pub container_reason: Option<String>,
    /// The last try's exit code.
    pub exit_code: Option<i32>,
    /// Where the last try's log can be read.
    pub log_stream: Option<String>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When its last try started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// Every try so far, oldest first.
    pub tries: Vec<Try>,
}

/// One line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When the line was written; absent where the engine keeps only the text.
    #[schema(required)]
    pub at: Option<Timestamp>,
    /// The line, without its newline; bytes that are not UTF-8 are replaced.
    pub message: String,
}

/// Some lines of a log, and where to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// Opaque; reading from it gives what came after `lines`, perhaps nothing yet.
    pub next_cursor: String,
}
