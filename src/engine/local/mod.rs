//! The `local` engine: jobs as process groups of this machine, with Batch's rules.
//!
//! | file | what it owns |
//! |---|---|
//! | `table` | the jobs in memory; which may start: dependencies, slots, order |
//! | `verdict` | what follows from a try's end: retry, success, failure |
//! | `dispatch` | the tasks that act on both |
//! | `follow` | a try from the service's side |
//! | [`supervisor`] | a try from the side of the process that owns it |
//! | `process` | processes that are not mistaken for others; signalling all of a try |
//! | `record`, `order`, `durable` | what is on disk, what a supervisor is told, how it is written |
//! | `definitions`, `logs` | the registry of definitions; logs by pages |
//! | `forget` | the removal of what ended long ago |
//!
//! # Who may die when
//!
//! Scheduling, dependencies and retries are the service's, and wait while it is down. A *try* is
//! its supervisor's, a process in its own session that needs nobody. They share no memory and no
//! pipe, only the try's directory, and these rules:
//!
//! 1. **A job exists when `job.json` does**, which is before `submit` answers. A directory without
//!    it was never answered for, and is removed.
//! 2. **A supervisor acts only while it holds `lock`**, which dies with it and which nothing it
//!    starts inherits. It leaves at once where `process.json` or `end.json` is there already.
//! 3. **The command runs only once `process.json` is durable**: the shell around it waits for a
//!    line that the supervisor sends then, and ends when the pipe closes instead. So without
//!    `process.json` nothing of the try has ever run.
//! 4. **`end.json` is written once, under the lock**, and decides: a try with an end is never
//!    looked into again, a job whose try succeeded is never run again.
//!
//! 5. **A job leaves by a rename** out of the directories that are taken up, when it ended long
//!    ago and no job that has not depends on it. So none is there in part, to be run again.
//!
//! A service that starts finds each unfinished try in one of these states:
//!
//! - `end.json` is there: the verdict follows from it as it would have before.
//! - `process.json`, and the lock is held: the command runs or its end is just being recorded.
//!   The try is followed until one or the other changes.
//! - `process.json`, and the lock is free: the supervisor died. Holding the lock, the service
//!   kills what is left of the session, by pid and start time, and takes the exit code from
//!   `exit` where the shell lived to write it; else the try is lost, `Host EC2 (local) lost`,
//!   and the retry strategy is asked.
//! - Neither: nothing has run (3). Perhaps no supervisor was spawned; perhaps one has not come to
//!   the lock yet. Another is spawned for the same try; the lock and (2) let one of them act.
//!
//! The window that remains is between a command's exit and the shell's next line, with supervisor
//! and shell both killed in it; then a finished command is taken for lost. Killing the service, at
//! any moment, opens no window.
//!
//! A terminate request is durable before `terminate` answers, and is read by the service before it
//! starts or repeats anything and by the supervisor before and while the command runs, so it holds
//! whichever of them dies. So does a timeout, which is the supervisor's alone.
//!
//! One service at a time may have a root; whoever owns the database sees to that.

mod definitions;
mod dispatch;
mod durable;
mod follow;
mod forget;
mod logs;
mod order;
mod process;
mod record;
pub mod supervisor;
mod table;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use jiff::Timestamp;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::DropGuard;

use self::dispatch::Dispatch;
pub use self::durable::RecordError;
use self::record::Submission;
use super::job::{EngineKind, Job, LogPage};
use super::{Engine, EngineError, LogsError, SubmitError};
use crate::plan::submission::{JobDefinition, SubmitJob};
use crate::telemetry::chain;

/// What the engine is told about this machine.
#[derive(Clone)]
pub struct LocalSettings {
    /// Where jobs are kept, `<data-dir>/jobs`; made where it is not there.
    pub root: PathBuf,
    /// The vCPUs that jobs may take together; at least 1.
    pub slots: usize,
    /// This program: what supervisors are started from, and what the command `demand` means.
    pub demand_binary: PathBuf,
    /// What every job gets under the variables of its own: `PATH`, `HOME`, `LANG` and the S3
    /// endpoint. Nothing else of the service's environment reaches a job.
    pub environment: IndexMap<String, String>,
    /// How long a command has from SIGTERM to SIGKILL.
    pub terminate_grace: Duration,
    /// How long a job is kept after its end, with its logs, and a definition after its last use.
    pub keep_jobs: Duration,
}

/// An engine that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its records cannot be read.
    #[error("cannot take up the jobs of this machine")]
    Records(#[from] RecordError),
    /// The runtime is going down.
    #[error("the reading of the jobs was cut short")]
    Interrupted(#[from] JoinError),
}

/// Jobs on this machine. Dropping it, or [`close`](Self::close), leaves them running.
///
/// [`changed`](Engine::changed) keeps one wake-up while nobody waits, and gives each to one
/// waiter: it is meant for the one reconciler.
pub struct LocalEngine {
    dispatch: Arc<Dispatch>,
    _closing: DropGuard,
}

impl LocalEngine {
    /// Opens the engine on its root and takes up every job recorded there.
    pub async fn open(mut settings: LocalSettings) -> Result<Self, OpenError> {
        let dispatch = spawn_blocking(move || -> Result<_, RecordError> {
            settings.root = dispatch::create_root(&settings.root)?;
            Dispatch::load(settings)
        });
        let dispatch = Arc::new(dispatch.await??);
        dispatch.resume();
        let closing = dispatch.closing.clone().drop_guard();
        Ok(Self { dispatch, _closing: closing })
    }

    /// Lets go of the jobs, which run on, and returns when nothing of the engine is at work.
    pub async fn close(&self) {
        self.dispatch.closing.cancel();
        self.dispatch.tasks.close();
        self.dispatch.tasks.wait().await;
    }
}

/// Keeps a submission and takes it up.
async fn submit(dispatch: Arc<Dispatch>, job: SubmitJob) -> Result<String, SubmitError> {
    let refuse = |why: String| Err(SubmitError::Permanent(why));
    let found = dispatch.definitions.find(&job.job_definition);
    let Some((definition_id, definition)) = found else {
        return refuse(format!("there is no job definition `{}`", job.job_definition));
    };
    let submission = Submission {
        job_id: uuid::Uuid::now_v7().to_string(),
        created_at: Timestamp::now(),
        submit_job: job,
        definition_id,
        definition,
    };
    if !submission.has_command() {
        return refuse("the job has no command".to_owned());
    }
    let job_id = submission.job_id.clone();
    let expected = dispatch.table().expect(&job_id, &submission.submit_job.depends_on);
    if let Err(unknown) = expected {
        return refuse(format!("there is no job `{unknown}` to depend on"));
    }
    let dir = dispatch.job_dir(&job_id);
    let created = spawn_blocking(move || {
        dir.create(&submission).map(|()| submission).map_err(|error| match dir.remove() {
            Ok(()) => SubmitError::Retryable(chain(&error)),
            Err(_) => SubmitError::Ambiguous(chain(&error)),
        })
    });
    match created.await.unwrap_or_else(|error| Err(SubmitError::Ambiguous(chain(&error)))) {
        Ok(submission) => {
            dispatch.accept(submission);
            Ok(job_id)
        }
        Err(error) => {
            // One that may be on record is still expected: by the next engine.
            if !matches!(error, SubmitError::Ambiguous(_)) {
                dispatch.table().no_longer_expect(&job_id);
            }
            Err(error)
        }
    }
}

#[async_trait]
impl Engine for LocalEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Local
    }

    fn note(&self) -> Option<&'static str> {
        Some("The image is not used: commands run as processes of this machine, with its programs.")
    }

    async fn define(&self, definition: &JobDefinition) -> Result<String, SubmitError> {
        let (dispatch, definition) = (Arc::clone(&self.dispatch), definition.clone());
        let registered = spawn_blocking(move || dispatch.definitions.register(&definition)).await;
        match registered {
            Ok(registered) => registered.map_err(|error| SubmitError::Retryable(chain(&error))),
            Err(error) => Err(SubmitError::Ambiguous(chain(&error))),
        }
    }

    async fn submit(&self, job: &SubmitJob) -> Result<String, SubmitError> {
        // In a task of its own, as a caller that gives up must not leave a job on record that
        // the table does not know.
        let submitted = self.dispatch.tasks.spawn(submit(Arc::clone(&self.dispatch), job.clone()));
        submitted.await.map_err(|error| SubmitError::Ambiguous(chain(&error)))?
    }

    async fn find(&self, job_queue: &str, job_name: &str) -> Result<Vec<Job>, EngineError> {
        Ok(self.dispatch.table().named(job_queue, job_name))
    }

    async fn describe(&self, job_ids: &[String]) -> Result<Vec<Job>, EngineError> {
        let table = self.dispatch.table();
        Ok(job_ids.iter().filter_map(|job_id| table.job(job_id)).collect())
    }

    async fn terminate(&self, job_id: &str, reason: &str) -> Result<(), EngineError> {
        if !self.dispatch.table().is_live(job_id) {
            return Ok(());
        }
        let (dispatch, job_id, reason) =
            (Arc::clone(&self.dispatch), job_id.to_owned(), reason.to_owned());
        // In a task of its own, for the same reason as a submission.
        let terminated = self.dispatch.tasks.spawn(async move {
            let dir = dispatch.job_dir(&job_id);
            let failed = |error| EngineError::new("TerminateJob", error);
            let standing = spawn_blocking(move || dir.request_terminate(&reason))
                .await
                .map_err(|error| EngineError::new("TerminateJob", error))?
                .map_err(failed)?;
            dispatch.terminate(&job_id, &standing.reason).await;
            Ok(())
        });
        terminated.await.map_err(|error| EngineError::new("TerminateJob", error))?
    }

    async fn logs(
        &self,
        log_stream: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<LogPage, LogsError> {
        let unknown = || LogsError::UnknownStream(log_stream.to_owned());
        let (job_id, number) = log_stream.split_once('/').ok_or_else(unknown)?;
        let number: usize = number.parse().map_err(|_| unknown())?;
        let job = self.dispatch.table().job(job_id).ok_or_else(unknown)?;
        let index = number.checked_sub(1).ok_or_else(unknown)?;
        // Told before the log is read, so that what is read of an ended try is all of it.
        let ended = job.tries.get(index).is_some_and(|known| known.stopped_at.is_some());
        let offset = match cursor {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| LogsError::Cursor(cursor.to_owned()))?,
        };
        let log = self.dispatch.job_dir(job_id).try_dir(number).log();
        let page = spawn_blocking(move || logs::page(&log, offset, limit, ended))
            .await
            .map_err(|error| EngineError::new("GetLogEvents", error))?
            .map_err(|error| EngineError::new("GetLogEvents", error))?;
        Ok(page)
    }

    async fn ready(&self) -> Result<(), EngineError> {
        let root = self.dispatch.settings.root.clone();
        spawn_blocking(move || tempfile::tempfile_in(root))
            .await
            .map_err(|error| EngineError::new("SubmitJob", error))?
            .map(|_| ())
            .map_err(|error| EngineError::new("SubmitJob", error))
    }

    async fn changed(&self) {
        self.dispatch.changed.notified().await;
    }
}
