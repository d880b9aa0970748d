//! The durable state of a demand. PURE.
//!
//! It changes only through [`State::apply`], in [`transition`](super::transition).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::history::{Entry, EntryKind};
use super::reason::Reason;
use super::step_run::StepRun;
use crate::plan::submission::Step;

/// Where a demand stands; ours, finer than the reference's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Stored; not every job is submitted yet.
    Accepted,
    /// `stage_in` has not ended.
    StagingIn,
    /// `execute` has not ended.
    Executing,
    /// `wrap_up` has not ended.
    WrappingUp,
    /// The end was asked for; some job has not ended.
    Canceling,
    /// Ended; see the status.
    Done,
}

impl Phase {
    /// The phase as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::StagingIn => "STAGING_IN",
            Self::Executing => "EXECUTING",
            Self::WrappingUp => "WRAPPING_UP",
            Self::Canceling => "CANCELING",
            Self::Done => "DONE",
        }
    }

    pub(super) fn of_step(step: Step) -> Self {
        match step {
            Step::StageIn => Self::StagingIn,
            Step::Execute => Self::Executing,
            Step::WrapUp | Step::CleanUp => Self::WrappingUp,
        }
    }
}

/// The reference's status of a demand (`aibs_informatics_core.models.status.Status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Taken in requests, never produced.
    AwaitingTrigger,
    /// Stored, not under way.
    Submitted,
    /// Under way.
    InProgress,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended because somebody asked.
    Aborted,
}

impl Status {
    /// The status as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingTrigger => "AWAITING_TRIGGER",
            Self::Submitted => "SUBMITTED",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
        }
    }
}

/// How a demand ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step succeeded.
    Completed,
    /// A step did not.
    Failed,
    /// Canceled before every step had succeeded.
    Aborted,
}

/// What is known of the demand's working directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkingDirectory {
    /// No job of the demand has started yet.
    None,
    /// It may exist.
    Present,
    /// The step that removes it is under way.
    Removing,
    /// It was removed.
    Gone,
}

/// Everything about a demand that changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// Since when; nothing in what was stored before this was kept.
    #[serde(default)]
    pub phase_since: Option<Timestamp>,
    /// How it ended, once `phase` is `DONE`.
    pub outcome: Option<Outcome>,
    /// The attempt under way, or the last one; from 1.
    pub attempt: u32,
    /// Why it ended otherwise than well.
    pub reason: Option<Reason>,
    /// What is known of its working directory.
    pub working_directory: WorkingDirectory,
    /// When the current attempt was canceled.
    pub canceled_at: Option<Timestamp>,
    /// When the working directory is to be removed.
    pub clean_up_due: Option<Timestamp>,
    /// What a good end leaves of the working directory.
    pub removes_working_directory: bool,
    /// Every step of every attempt, oldest first.
    pub steps: Vec<StepRun>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When the last attempt ended.
    pub finished_at: Option<Timestamp>,
}

impl State {
    /// A demand just accepted, and the first entry of its history.
    ///
    /// `steps` are those of the plan, in order, with the names of their jobs in attempt 1;
    /// `removes_working_directory` is whether a good end removes it.
    pub fn accepted(
        steps: Vec<(Step, String)>,
        removes_working_directory: bool,
        at: Timestamp,
    ) -> (Self, Entry) {
        let state = Self {
            phase: Phase::Accepted,
            phase_since: Some(at),
            outcome: None,
            attempt: 1,
            reason: None,
            working_directory: WorkingDirectory::None,
            canceled_at: None,
            clean_up_due: None,
            removes_working_directory,
            steps: steps.into_iter().map(|(step, name)| StepRun::planned(step, 1, name)).collect(),
            updated_at: at,
            finished_at: None,
        };
        let entry = Entry::new(EntryKind::Accepted, at, 1).to(Phase::Accepted.as_str());
        (state, entry)
    }

    /// The reference's word for where the demand stands.
    pub fn status(&self) -> Status {
        match (self.phase, self.outcome) {
            (Phase::Accepted, _) => Status::Submitted,
            (Phase::Done, Some(Outcome::Completed)) => Status::Completed,
            (Phase::Done, Some(Outcome::Aborted)) => Status::Aborted,
            (Phase::Done, _) => Status::Failed,
            _ => Status::InProgress,
        }
    }

    /// Whether anything may still happen without a user asking.
    pub fn is_active(&self) -> bool {
        self.phase != Phase::Done
            || self.clean_up_due.is_some()
            || self.working_directory == WorkingDirectory::Removing
    }

    /// The steps of the current attempt that are part of its course, in order.
    pub fn current(&self) -> impl DoubleEndedIterator<Item = &StepRun> {
        self.steps.iter().filter(|run| run.attempt == self.attempt && run.step != Step::CleanUp)
    }

    /// The removal of the working directory under way, if any.
    pub fn clean_up(&self) -> Option<&StepRun> {
        self.steps.iter().rfind(|run| run.step == Step::CleanUp && !run.has_ended())
    }

    /// The steps whose jobs have to be observed.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = &StepRun> {
        self.steps.iter().filter(|run| run.is_live())
    }

    /// Whether the current attempt will go no further than what is submitted.
    pub fn is_stopping(&self) -> bool {
        self.canceled_at.is_some() || self.current().any(StepRun::has_failed)
    }
}
