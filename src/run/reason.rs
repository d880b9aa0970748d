//! Why a demand ended otherwise than well, classed from what the engine said. PURE.
//!
//! The texts matched are AWS Batch's and ECS's own
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>,
//! <https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html>); the `local` engine uses
//! the same words for the same things.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::step_run::{StepRun, Submission};
use crate::plan::submission::Step;

/// The class of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReasonCode {
    /// An input could not be brought.
    InputStagingFailed,
    /// The command ended with an exit code other than 0.
    CommandFailed,
    /// The container used more memory than it had.
    OutOfMemory,
    /// The machine was taken away, more often than the retries allowed.
    SpotInterrupted,
    /// The image could not be had.
    ImageUnavailable,
    /// A file system could not be mounted.
    VolumeMountFailed,
    /// An output could not be taken away.
    OutputUploadFailed,
    /// A step ran longer than it may.
    TimedOut,
    /// The engine refused a job.
    SubmissionRejected,
    /// The engine forgot a job before it was seen to end.
    Lost,
    /// Somebody asked for the end.
    Canceled,
}

impl ReasonCode {
    /// Every code.
    pub const ALL: [Self; 11] = [
        Self::InputStagingFailed,
        Self::CommandFailed,
        Self::OutOfMemory,
        Self::SpotInterrupted,
        Self::ImageUnavailable,
        Self::VolumeMountFailed,
        Self::OutputUploadFailed,
        Self::TimedOut,
        Self::SubmissionRejected,
        Self::Lost,
        Self::Canceled,
    ];

    /// The code as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InputStagingFailed => "INPUT_STAGING_FAILED",
            Self::CommandFailed => "COMMAND_FAILED",
            Self::OutOfMemory => "OUT_OF_MEMORY",
            Self::SpotInterrupted => "SPOT_INTERRUPTED",
            Self::ImageUnavailable => "IMAGE_UNAVAILABLE",
            Self::VolumeMountFailed => "VOLUME_MOUNT_FAILED",
            Self::OutputUploadFailed => "OUTPUT_UPLOAD_FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::SubmissionRejected => "SUBMISSION_REJECTED",
            Self::Lost => "LOST",
            Self::Canceled => "CANCELED",
        }
    }
}

/// Why a demand ended otherwise than well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Its class.
    pub code: ReasonCode,
    /// The same in words, the engine's own included.
    pub message: String,
}

impl Reason {
    pub(super) fn new(code: ReasonCode, message: String) -> Self {
        Self { code, message }
    }
}

/// Texts that tell a cause whatever the step, matched anywhere in the engine's words.
const CAUSES: &[(&str, ReasonCode)] = &[
    ("OutOfMemory", ReasonCode::OutOfMemory),
    // CannotPullContainerError, CannotPullECRContainerError, CannotPullImageManifestError.
    ("CannotPull", ReasonCode::ImageUnavailable),
    ("ImageNotFound", ReasonCode::ImageUnavailable),
    // "ResourceInitializationError: unable to pull secrets or registry auth".
    ("registry auth", ReasonCode::ImageUnavailable),
    // "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes".
    ("EFS utils", ReasonCode::VolumeMountFailed),
    ("EFS volume", ReasonCode::VolumeMountFailed),
    ("mount.nfs", ReasonCode::VolumeMountFailed),
    ("CannotCreateVolume", ReasonCode::VolumeMountFailed),
    ("CannotMountVolume", ReasonCode::VolumeMountFailed),
    ("VolumeDriver.Mount", ReasonCode::VolumeMountFailed),
    ("while mounting volume", ReasonCode::VolumeMountFailed),
    ("failed to mount", ReasonCode::VolumeMountFailed),
    ("exceeded timeout", ReasonCode::TimedOut),
    // "Host EC2 (instance i-…) terminated."
    ("Host EC2", ReasonCode::SpotInterrupted),
    // "Your Spot Task was interrupted."
    ("Spot Task was interrupted", ReasonCode::SpotInterrupted),
    ("SpotInterruption", ReasonCode::SpotInterrupted),
];

/// What AWS Batch says of a job whose dependency failed.
const FOLLOWS_ANOTHER: &str = "Dependent Job failed";

/// The reason of an attempt in which some step failed. A refused job comes first, since the jobs
/// before it were then ended on its account; otherwise the earliest failure that is not itself the
/// consequence of another.
pub(super) fn root_cause<'a>(steps: impl Iterator<Item = &'a StepRun>) -> Option<Reason> {
    let failed: Vec<&StepRun> = steps.filter(|run| run.has_failed()).collect();
    failed
        .iter()
        .find(|run| matches!(run.submission, Submission::Rejected { .. }))
        .or_else(|| failed.iter().find(|run| !is_consequence(run)))
        .or_else(|| failed.first())
        .map(|run| of_failure(run))
}

/// Whether the job ended because another did, or was ended by us.
fn is_consequence(run: &StepRun) -> bool {
    let said = run.job.as_ref().and_then(|job| job.status_reason.as_deref());
    run.terminated_at.is_some() || said.is_some_and(|said| said.contains(FOLLOWS_ANOTHER))
}

fn of_failure(run: &StepRun) -> Reason {
    let step = run.step.as_str();
    if let Submission::Rejected { detail } = &run.submission {
        return Reason::new(
            ReasonCode::SubmissionRejected,
            format!("the job of {step} was refused: {detail}"),
        );
    }
    if run.lost {
        return Reason::new(
            ReasonCode::Lost,
            format!("the job of {step} is no longer known to the engine"),
        );
    }
    let job = run.job.as_ref();
    let said: Vec<&str> = job
        .into_iter()
        .flat_map(|job| [job.container_reason.as_deref(), job.status_reason.as_deref()])
        .flatten()
        .collect();
    let exit_code = job.and_then(|job| job.exit_code);
    let code =
        CAUSES.iter().find(|(text, _)| said.iter().any(|words| words.contains(text))).map_or(
            match run.step {
                Step::StageIn => ReasonCode::InputStagingFailed,
                Step::Execute => ReasonCode::CommandFailed,
                Step::WrapUp | Step::CleanUp => ReasonCode::OutputUploadFailed,
            },
            |(_, code)| *code,
        );
    let mut message = match (exit_code, run.step) {
        (Some(code), Step::Execute) => format!("the command ended with exit code {code}"),
        (Some(code), _) => format!("{step} ended with exit code {code}; its log tells more"),
        (None, _) => format!("{step} failed"),
    };
    if !said.is_empty() {
        message.push_str(": ");
        message.push_str(&said.join("; "));
    }
    Reason::new(code, message)
}
