//! The service's answers as the client reads them: only what it shows, and words as text, so that
//! an older client gets along with a newer service. What is printed with `--json` is the answer
//! itself.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::exit::Exit;

/// An answer, and what was understood of it.
#[derive(Debug, Clone)]
pub(super) struct Document<T> {
    /// As the service sent it.
    pub sent: Value,
    /// What the client reads of it.
    pub read: T,
}

impl<T: DeserializeOwned> Document<T> {
    pub fn parse(body: &[u8]) -> serde_json::Result<Self> {
        let sent: Value = serde_json::from_slice(body)?;
        Ok(Self { read: T::deserialize(&sent)?, sent })
    }
}

/// `GET /demands/{execution_id}`
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Demand {
    pub execution_id: String,
    #[serde(default)]
    pub execution_type: Option<String>,
    pub status: String,
    #[serde(default)]
    pub phase: Option<String>,
    #[serde(default)]
    pub reason: Option<Reason>,
    #[serde(default = "first")]
    pub attempt: u32,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub job_queue: Option<String>,
    #[serde(default)]
    pub working_directory: Option<String>,
    #[serde(default)]
    pub created_at: Option<String>,
    #[serde(default)]
    pub finished_at: Option<String>,
    #[serde(default)]
    pub steps: Vec<StepRun>,
}

fn first() -> u32 {
    1
}

/// Why a demand ended otherwise than well.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Reason {
    pub code: String,
    #[serde(default)]
    pub message: Option<String>,
}

/// One step of one attempt.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StepRun {
    pub step: String,
    #[serde(default = "first")]
    pub attempt: u32,
    pub status: String,
    #[serde(default)]
    pub status_reason: Option<String>,
    #[serde(default)]
    pub exit_code: Option<i64>,
    #[serde(default)]
    pub job_id: Option<String>,
    #[serde(default)]
    pub started_at: Option<String>,
    #[serde(default)]
    pub stopped_at: Option<String>,
}

impl Demand {
    /// How the demand ended, once it has.
    pub fn ended(&self) -> Option<Exit> {
        match self.status.as_str() {
            "COMPLETED" => Some(Exit::Done),
            "FAILED" => Some(Exit::Failed),
            "ABORTED" => Some(Exit::Aborted),
            _ => None,
        }
    }

    /// The steps of the attempt under way, or of the last one.
    pub fn current_steps(&self) -> impl Iterator<Item = &StepRun> {
        self.steps.iter().filter(|step| step.attempt == self.attempt)
    }
}

/// `GET /demands/{execution_id}/logs`
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LogPage {
    /// Each `{at, message}`.
    pub lines: Vec<Value>,
    #[serde(default)]
    pub next_cursor: Option<String>,
    #[serde(default)]
    pub step: Option<String>,
    #[serde(default = "first")]
    pub attempt: u32,
    /// Whether nothing will ever follow.
    #[serde(default)]
    pub complete: bool,
}

/// `GET /demands`
#[derive(Debug, Clone, Deserialize)]
pub(super) struct List {
    /// Status documents, newest first.
    pub demands: Vec<Value>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// An RFC 9457 problem; all of it may be missing where something else than the service answered.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub detail: Option<String>,
    #[serde(default)]
    pub errors: Vec<Fault>,
    #[serde(default)]
    pub request_id: Option<String>,
}

/// One fault of a bad demand.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Fault {
    /// JSON Pointer into the request.
    #[serde(default)]
    pub pointer: String,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub detail: Option<String>,
}
