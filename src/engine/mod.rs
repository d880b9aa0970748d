//! Where jobs run: `aws_batch` or `local`, behind one small interface.
//!
//! An engine does what it is told, once, and reports what it sees. When to submit, look up,
//! observe or terminate is decided in [`crate::run`].

pub mod aws_batch;
pub mod job;
pub mod local;

use async_trait::async_trait;
use job::{EngineKind, Job, LogPage};
use prometheus_client::registry::Registry;

use crate::plan::submission::{JobDefinition, SubmitJob};

/// A submission that did not answer with a job id, classed by what is known of its effect.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Nothing happened; the same call may succeed later (throttled, no room).
    #[error("the engine could not take the job now: {0}")]
    Retryable(String),
    /// Nothing happened and nothing will: the call itself was refused.
    #[error("the engine refused the job: {0}")]
    Permanent(String),
    /// The job may or may not exist; only looking it up can tell.
    #[error("the outcome of the submission is unknown: {0}")]
    Ambiguous(String),
}

/// Any other call that failed; the caller tries again later.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct EngineError {
    /// The engine's call, such as `DescribeJobs`.
    pub operation: &'static str,
    /// What went wrong.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl EngineError {
    /// Names the operation that `source` made fail.
    pub fn new(
        operation: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { operation, source: source.into() }
    }
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The engine has no such log.
    #[error("there is no log stream `{0}`")]
    UnknownStream(String),
    /// The cursor was not made for it.
    #[error("`{0}` is no cursor of this log")]
    Cursor(String),
    /// The call failed; it may succeed later.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Where jobs run.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Which engine it is.
    fn kind(&self) -> EngineKind;

    /// What users should know of how their demands run here, if it is not what they would expect.
    fn note(&self) -> Option<&'static str> {
        None
    }

    /// Puts what is measured of the engine's calls where it is asked for.
    fn register(&self, _registry: &mut Registry) {}

    /// Registers `definition`, or finds it where it is registered already, and answers the
    /// identifier that [`SubmitJob::job_definition`] takes, revision included.
    async fn define(&self, definition: &JobDefinition) -> Result<String, SubmitError>;

    /// Submits one job and answers its id. Tried once, never retried inside.
    async fn submit(&self, job: &SubmitJob) -> Result<String, SubmitError>;

    /// The jobs of `job_queue` with exactly this name, whatever their state.
    async fn find(&self, job_queue: &str, job_name: &str) -> Result<Vec<Job>, EngineError>;

    /// What is known of these jobs; ids the engine does not know are left out.
    async fn describe(&self, job_ids: &[String]) -> Result<Vec<Job>, EngineError>;

    /// Asks for the job's end, whatever its state; ended or unknown jobs are no error. A job that
    /// has not started never will.
    async fn terminate(&self, job_id: &str, reason: &str) -> Result<(), EngineError>;

    /// At most `limit` lines of `log_stream` from `cursor` on (from the start without one).
    async fn logs(
        &self,
        log_stream: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<LogPage, LogsError>;

    /// Whether jobs can be submitted at present.
    async fn ready(&self) -> Result<(), EngineError>;

    /// Returns when a job of this engine may have changed; carries no data. Engines that cannot
    /// tell never return, and are observed by timer alone.
    async fn changed(&self);
}
