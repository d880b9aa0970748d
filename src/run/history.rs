//! The entries of a demand's history: what `GET /demands/{execution_id}/events` answers. PURE.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::step_run::StepRun;
use crate::plan::submission::Step;

/// What an entry tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EventType)]
pub enum EntryKind {
    /// The demand was stored.
    Accepted,
    /// The phase changed, `from` one `to` another.
    Phase,
    /// A step's job is about to be submitted; `detail` is its name.
    SubmissionIntended,
    /// The engine had no room; `detail` says why.
    SubmissionDeferred,
    /// The submission ended without telling whether there is a job; `detail` says why.
    SubmissionUnknown,
    /// The engine refused the job; `detail` says why.
    SubmissionRejected,
    /// A submission of unknown effect turned out to have had none.
    NothingSubmitted,
    /// The engine took the job; `detail` is its id.
    JobSubmitted,
    /// The job was found by its name after a submission of unknown effect; `detail` is its id.
    JobAdopted,
    /// The job's status changed, `from` one `to` another; `detail` is the engine's reason.
    JobStatus,
    /// The engine no longer knows the job; `detail` is its id.
    JobLost,
    /// The engine was asked to end the job.
    TerminationRequested,
    /// Somebody asked for the demand's end; `detail` says who.
    CancelRequested,
    /// Somebody asked for another attempt; `detail` says who.
    RetryRequested,
    /// The removal of the working directory began.
    CleanUpBegun,
    /// The working directory changed, `from` one state `to` another.
    WorkingDirectory,
}

impl EntryKind {
    /// The kind as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Phase => "phase",
            Self::SubmissionIntended => "submission_intended",
            Self::SubmissionDeferred => "submission_deferred",
            Self::SubmissionUnknown => "submission_unknown",
            Self::SubmissionRejected => "submission_rejected",
            Self::NothingSubmitted => "nothing_submitted",
            Self::JobSubmitted => "job_submitted",
            Self::JobAdopted => "job_adopted",
            Self::JobStatus => "job_status",
            Self::JobLost => "job_lost",
            Self::TerminationRequested => "termination_requested",
            Self::CancelRequested => "cancel_requested",
            Self::RetryRequested => "retry_requested",
            Self::CleanUpBegun => "clean_up_begun",
            Self::WorkingDirectory => "working_directory",
        }
    }
}

/// One entry, before the store has numbered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it tells.
    pub kind: EntryKind,
    /// When it happened.
    pub at: Timestamp,
    /// In which attempt.
    pub attempt: u32,
    /// To which step.
    pub step: Option<Step>,
    /// What was before.
    pub from: Option<String>,
    /// What is now.
    pub to: Option<String>,
    /// More, in words.
    pub detail: Option<String>,
}

impl Entry {
    pub(super) fn new(kind: EntryKind, at: Timestamp, attempt: u32) -> Self {
        Self { kind, at, attempt, step: None, from: None, to: None, detail: None }
    }

    pub(super) fn of_run(kind: EntryKind, at: Timestamp, run: &StepRun) -> Self {
        Self { step: Some(run.step), ..Self::new(kind, at, run.attempt) }
    }

    pub(super) fn from(self, from: &str) -> Self {
        Self { from: Some(from.to_owned()), ..self }
    }

    pub(super) fn to(self, to: &str) -> Self {
        Self { to: Some(to.to_owned()), ..self }
    }

    pub(super) fn detail(self, detail: &str) -> Self {
        self.maybe_detail(Some(detail))
    }

    pub(super) fn maybe_detail(self, detail: Option<&str>) -> Self {
        Self { detail: detail.map(str::to_owned), ..self }
    }
}

/// One entry of the history, as the API answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DemandEvent)]
pub struct HistoryEntry {
    /// Its place, from 1 without gaps.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What it tells.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// To which step.
    #[schema(required)]
    pub step: Option<Step>,
    /// In which attempt.
    pub attempt: u32,
    /// What was before.
    #[schema(required)]
    pub from: Option<String>,
    /// What is now.
    #[schema(required)]
    pub to: Option<String>,
    /// More, in words.
    #[schema(required)]
    pub detail: Option<String>,
}
