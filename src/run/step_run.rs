//! One step of one attempt: its submission and what was seen of its job. PURE.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::job::{Job, JobStatus};
use crate::plan::submission::Step;

/// How far the submission of a step's job has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Submission {
    /// Not tried, or known to have had no effect.
    Planned {
        /// Not to be tried before; set after the engine had no room.
        not_before: Option<Timestamp>,
    },
    /// About to be tried, or tried with an unknown effect: only a look-up tells.
    Intended {
        /// When the intent was stored.
        at: Timestamp,
        /// When the call ended without telling its effect, if it did.
        #[serde(default)]
        given_up_at: Option<Timestamp>,
    },
    /// The engine knows the job.
    Submitted {
        /// Its id.
        job_id: String,
        /// When the id was recorded.
        at: Timestamp,
    },
    /// The engine refused the job.
    Rejected {
        /// Why, in the engine's words.
        detail: String,
    },
    /// Will never be submitted: an earlier step failed, or the demand was canceled.
    Skipped,
}

/// One step in one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRun {
    /// Which step.
    pub step: Step,
    /// In which attempt, from 1.
    pub attempt: u32,
    /// The name of its job.
    pub job_name: String,
    /// How far its submission has come.
    pub submission: Submission,
    /// How often the engine had no room for it.
    #[serde(default)]
    pub deferrals: u32,
    /// The job as last seen; kept when the engine has forgotten it.
    pub job: Option<Job>,
    /// Whether the engine forgot the job before it was seen to end.
    #[serde(default)]
    pub lost: bool,
    /// When its end was last asked for.
    #[serde(default)]
    pub terminated_at: Option<Timestamp>,
}

impl StepRun {
    pub(super) fn planned(step: Step, attempt: u32, job_name: String) -> Self {
        Self {
            step,
            attempt,
            job_name,
            submission: Submission::Planned { not_before: None },
            deferrals: 0,
            job: None,
            lost: false,
            terminated_at: None,
        }
    }

    /// The job's id, once the engine has given one.
    pub fn job_id(&self) -> Option<&str> {
        match &self.submission {
            Submission::Submitted { job_id, .. } => Some(job_id),
            _ => None,
        }
    }

    /// Whether a job of this step may still run.
    pub fn is_live(&self) -> bool {
        self.job_id().is_some() && !self.has_ended()
    }

    /// Whether nothing will ever happen to this step again.
    pub fn has_ended(&self) -> bool {
        match self.submission {
            Submission::Planned { .. } | Submission::Intended { .. } => false,
            Submission::Rejected { .. } | Submission::Skipped => true,
            Submission::Submitted { .. } => {
                self.lost || self.job.as_ref().is_some_and(|job| job.status.is_terminal())
            }
        }
    }

    /// Whether its job ended well.
    pub fn has_succeeded(&self) -> bool {
        !self.lost && self.job.as_ref().is_some_and(|job| job.status == JobStatus::Succeeded)
    }

    /// Whether it ended otherwise than well.
    pub fn has_failed(&self) -> bool {
        self.has_ended() && !self.has_succeeded()
    }

    /// Whether its command is known to have started, in any try.
    pub fn has_started(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.started_at.is_some() || !job.tries.is_empty())
    }
}
