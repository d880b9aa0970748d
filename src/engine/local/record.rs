//! What is kept of a job on disk: which files, and what each says.
//!
//! ```text
//! <root>/<job id>/job.json         the submission and its definition   engine, before it answers
//!                 terminate.json   the end was asked for, and why      engine, the first one stays
//!                 end.json         the job as it ended                 engine
//!                 try-<n>/order.json     what the supervisor is to run engine, before it is spawned
//!                         lock           held while the supervisor lives
//!                         process.json   who runs the command          supervisor, before it runs
//!                         exit           the command's exit code       the shell around the command
//!                         end.json       how the try ended             supervisor; engine if lost
//!                         log            what the command wrote
//!                         work/          the command's working directory
//! <root>/definitions/              what was registered
//!        forgotten/<job id>/       what ended long ago and is being removed
//! ```

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::durable::{self, RecordError};
use super::process::Family;
use crate::engine::job::{Job, Try};
use crate::plan::submission::{JobDefinition, SubmitJob};

/// A job as it was submitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Submission {
    pub job_id: String,
    pub created_at: Timestamp,
    pub submit_job: SubmitJob,
    /// `name:revision`, even where the submission names no revision.
    pub definition_id: String,
    pub definition: JobDefinition,
}

/// A job as it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EndedJob {
    pub job_queue: String,
    pub job: Job,
}

/// Somebody wants the job ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TerminateRequest {
    pub reason: String,
}

/// What one supervisor is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    pub command: Vec<String>,
    /// The command's whole environment.
    pub environment: IndexMap<String, String>,
    /// The image that is not used.
    pub image: String,
    pub timeout_seconds: Option<u32>,
    /// From SIGTERM to SIGKILL.
    pub terminate_grace_millis: u64,
}

/// A command about to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Running {
    pub family: Family,
    pub started_at: Timestamp,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TryEnd {
    pub cause: Cause,
    /// 128 + signal where a signal ended the command.
    pub exit_code: Option<i32>,
    pub stopped_at: Timestamp,
}

/// What ended a try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Cause {
    /// The command itself.
    Exited,
    /// A terminate request that was acted upon.
    Terminated { reason: String },
    /// The time it was given.
    TimedOut,
    /// Its supervisor died, so that its end is not known.
    Lost,
    /// The command could not be run at all.
    NotStarted { error: String },
}

impl TryEnd {
    /// An end now.
    pub fn now(cause: Cause, exit_code: Option<i32>) -> Self {
        Self { cause, exit_code, stopped_at: Timestamp::now() }
    }

    /// What Batch would call it; `Host EC2*` is what retry strategies look for.
    pub fn status_reason(&self) -> &str {
        match &self.cause {
            Cause::Exited => "Essential container in task exited",
            Cause::Terminated { reason } => reason,
            Cause::TimedOut => "Job attempt duration exceeded timeout",
            Cause::Lost => "Host EC2 (local) lost",
            Cause::NotStarted { .. } => "Task failed to start",
        }
    }

    /// What a container runtime would add.
    pub fn container_reason(&self) -> Option<String> {
        match &self.cause {
            Cause::NotStarted { error } => Some(format!("CannotStartContainerError: {error}")),
            _ => None,
        }
    }
}

/// A job's directory.
#[derive(Debug, Clone)]
pub(super) struct JobDir(PathBuf);

impl JobDir {
    pub fn new(root: &Path, job_id: &str) -> Self {
        Self(root.join(job_id))
    }

    pub fn create(&self, submission: &Submission) -> Result<(), RecordError> {
        durable::create_directory(&self.0)?;
        durable::write_json(&self.0.join("job.json"), submission)
    }

    /// Takes everything away, so that a submission that failed leaves no job behind.
    pub fn remove(&self) -> Result<(), RecordError> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RecordError::io("remove", &self.0)(error))
            }
            _ => Ok(()),
        }
    }

    pub fn submission(&self) -> Result<Option<Submission>, RecordError> {
        durable::read_json(&self.0.join("job.json"))
    }

    pub fn terminate_request(&self) -> Result<Option<TerminateRequest>, RecordError> {
        durable::read_json(&self.0.join("terminate.json"))
    }

    /// Keeps the request, unless there is one already; answers the one that stands.
    pub fn request_terminate(&self, reason: &str) -> Result<TerminateRequest, RecordError> {
        if let Some(standing) = self.terminate_request()? {
            return Ok(standing);
        }
        let request = TerminateRequest { reason: reason.to_owned() };
        durable::write_json(&self.0.join("terminate.json"), &request)?;
        Ok(request)
    }

    pub fn end(&self) -> Result<Option<EndedJob>, RecordError> {
        durable::read_json(&self.0.join("end.json"))
    }

    pub fn write_end(&self, end: &EndedJob) -> Result<(), RecordError> {
        durable::write_json(&self.0.join("end.json"), end)
    }

    /// The directory of the `number`th try, counted from 1.
    pub fn try_dir(&self, number: usize) -> TryDir {
        TryDir(self.0.join(format!("try-{number}")))
    }
}

/// A try's directory.
#[derive(Debug, Clone)]
pub(super) struct TryDir(PathBuf);

impl TryDir {
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn exists(&self) -> bool {
        self.0.is_dir()
    }

    /// The job this is a try of.
    pub fn job_dir(&self) -> JobDir {
        JobDir(self.0.parent().unwrap_or(&self.0).to_owned())
    }

    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// Makes the directory and what a supervisor expects in it.
    pub fn create(&self, order: &Order) -> Result<(), RecordError> {
        durable::create_directory(&self.work())?;
        durable::create_directory(&self.0)?;
        durable::write_json(&self.0.join("order.json"), order)
    }

    pub fn order(&self) -> Result<Option<Order>, RecordError> {
        durable::read_json(&self.0.join("order.json"))
    }

    pub fn running(&self) -> Result<Option<Running>, RecordError> {
        durable::read_json(&self.0.join("process.json"))
    }

    pub fn write_running(&self, running: &Running) -> Result<(), RecordError> {
        durable::write_json(&self.0.join("process.json"), running)
    }

    pub fn end(&self) -> Result<Option<TryEnd>, RecordError> {
        durable::read_json(&self.0.join("end.json"))
    }

    pub fn write_end(&self, end: &TryEnd) -> Result<(), RecordError> {
        durable::write_json(&self.0.join("end.json"), end)
    }

    /// The exit code the shell around the command left, where it lived long enough to; a line
    /// without its end is none.
    pub fn exit_code(&self) -> Option<i32> {
        let written = std::fs::read_to_string(self.0.join("exit")).ok()?;
        written.strip_suffix('\n')?.parse().ok()
    }

    /// The lock that a supervisor holds while it lives; nothing where another one holds it.
    /// Dropping the file frees it.
    pub fn try_lock(&self) -> Result<Option<File>, RecordError> {
        let path = self.0.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(RecordError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(RecordError::io("lock", &path)(error)),
        }
    }

    /// The try as the engine reports it, from what is recorded of it.
    pub fn describe(&self, log_stream: String) -> Result<(Try, Option<TryEnd>), RecordError> {
        let end = self.end()?;
        let described = Try {
            started_at: self.running()?.map(|running| running.started_at),
            stopped_at: end.as_ref().map(|end| end.stopped_at),
            exit_code: end.as_ref().and_then(|end| end.exit_code),
            status_reason: end.as_ref().map(|end| end.status_reason().to_owned()),
            container_reason: end.as_ref().and_then(TryEnd::container_reason),
            log_stream: Some(log_stream),
        };
        Ok((described, end))
    }
}
