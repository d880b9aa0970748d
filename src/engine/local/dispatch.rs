//! The work behind the engine's calls: taking up what an earlier service left, starting what may
//! start, seeing each try to its end.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Child;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::LocalSettings;
use super::definitions::Definitions;
use super::durable::{self, RecordError};
use super::follow;
use super::forget;
use super::record::{EndedJob, JobDir, Submission, TryDir};
use super::table::{AfterTry, JobTable, LiveJob, Move, Stage};
use crate::telemetry::chain;

/// Between attempts to write what must be written before a try can start.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// What the engine and its tasks share.
pub(super) struct Dispatch {
    pub settings: LocalSettings,
    table: Mutex<JobTable>,
    pub definitions: Definitions,
    /// Keeps one wake-up while nobody waits.
    pub changed: Notify,
    pub closing: CancellationToken,
    pub tasks: TaskTracker,
}

impl Dispatch {
    /// Reads every record under the root; jobs with a try are as yet [`Stage::Starting`].
    pub fn load(settings: LocalSettings) -> Result<Self, RecordError> {
        let root = &settings.root;
        let definitions = Definitions::open(root.join("definitions"))?;
        let mut table = JobTable::new(settings.slots);
        let mut ends = Vec::new();
        let list = std::fs::read_dir(root).map_err(RecordError::io("list", root))?;
        for entry in list {
            let name = entry.map_err(RecordError::io("list", root))?.file_name();
            if let Some(job_id) = name.to_str().filter(|name| uuid::Uuid::try_parse(name).is_ok()) {
                match load_job(root, job_id)? {
                    Some(Loaded::Live(job)) => table.insert_live(job),
                    Some(Loaded::Ended(end)) => ends.push(end),
                    None => {}
                }
            }
        }
        // All are known since now: what is forgotten first is what ended first, not what the
        // directory listed first.
        let now = Timestamp::now();
        for end in ends {
            table.insert_ended(*end, now);
        }
        Ok(Self {
            settings,
            table: Mutex::new(table),
            definitions,
            changed: Notify::new(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Follows on where an earlier service stopped.
    pub fn resume(self: &Arc<Self>) {
        let adopted = self.table().placed();
        for (submission, number) in adopted {
            info!(job.id = %submission.job_id, job.r#try = number, "adopted");
            self.spawn_try(submission, number);
        }
        self.advance();
        self.tasks.spawn(forget::forget(Arc::clone(self)));
    }

    pub fn table(&self) -> MutexGuard<'_, JobTable> {
        // No method of the table leaves it half changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn job_dir(&self, job_id: &str) -> JobDir {
        JobDir::new(&self.settings.root, job_id)
    }

    /// Takes a job whose submission is on record.
    pub fn accept(self: &Arc<Self>, submission: Submission) {
        self.table().insert_live(LiveJob {
            submission: Arc::new(submission),
            tries: Vec::new(),
            stage: Stage::Waiting,
            terminate_reason: None,
        });
        self.advance();
    }

    /// Acts on a terminate request that is on record.
    pub async fn terminate(self: &Arc<Self>, job_id: &str, reason: &str) {
        let ended = self.table().terminate(job_id, reason, Timestamp::now());
        if let Some(end) = ended {
            self.keep_end(end).await;
        }
    }

    /// Does what can be done now.
    fn advance(self: &Arc<Self>) {
        if !self.closing.is_cancelled() {
            let moves = self.table().moves(Timestamp::now());
            for next in moves {
                match next {
                    Move::Start { submission, number } => self.spawn_try(submission, number),
                    Move::End(end) => {
                        let dispatch = Arc::clone(self);
                        self.tasks.spawn(async move { dispatch.keep_end(end).await });
                    }
                }
            }
        }
        self.changed.notify_one();
    }

    fn spawn_try(self: &Arc<Self>, submission: Arc<Submission>, number: usize) {
        let dispatch = Arc::clone(self);
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            closing.run_until_cancelled(dispatch.see_through(submission, number)).await;
        });
    }

    /// Starts a try, unless an earlier service did, and sees it to its end.
    async fn see_through(self: &Arc<Self>, submission: Arc<Submission>, number: usize) {
        let job_id = &submission.job_id;
        let dir = self.job_dir(job_id).try_dir(number);
        let log_stream = format!("{job_id}/{number}");
        let supervisor = self.start(&submission, &dir).await;
        let ended = follow::follow(&dir, &log_stream, supervisor, |running| {
            self.table().try_started(job_id, number, running);
            self.changed.notify_one();
        })
        .await;
        info!(
            job.id = %job_id,
            job.r#try = number,
            exit_code = ended.end.exit_code,
            reason = ended.end.status_reason(),
            "try ended"
        );
        let after = self.table().try_ended(job_id, number, ended.described, &ended.end);
        match after {
            Some(AfterTry::End(end)) => self.keep_end(end).await,
            Some(AfterTry::Again) => self.advance(),
            None => {}
        }
    }

    /// A supervisor for the try, or nothing where one has been at work already.
    async fn start(
        &self,
        submission: &Arc<Submission>,
        dir: &TryDir,
    ) -> Option<std::io::Result<Child>> {
        loop {
            let (submission, dir) = (Arc::clone(submission), dir.clone());
            let settings = self.settings.clone();
            let started = spawn_blocking(move || -> Result<_, RecordError> {
                if dir.end()?.is_some() || dir.running()?.is_some() {
                    return Ok(None);
                }
                submission.prepare(&settings, &dir)?;
                Ok(Some(follow::start(&settings.demand_binary, &dir)))
            });
            match started.await {
                Ok(Ok(supervisor)) => return supervisor,
                Ok(Err(error)) => warn!(error = chain(&error), "cannot prepare a try"),
                Err(error) => warn!(error = chain(&error), "cannot prepare a try"),
            }
            tokio::time::sleep(TROUBLE_PAUSE).await;
        }
    }

    /// Records a job's end, then lets it be seen and lets others start. Without the record the
    /// same end follows again from the others.
    async fn keep_end(self: &Arc<Self>, end: Box<EndedJob>) {
        let dir = self.job_dir(&end.job.job_id);
        let record = end.clone();
        match spawn_blocking(move || dir.write_end(&record)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                error!(job.id = %end.job.job_id, error = chain(&error), "cannot record an end");
            }
            Err(error) => {
                error!(job.id = %end.job.job_id, error = chain(&error), "cannot record an end");
            }
        }
        self.table().insert_ended(*end, Timestamp::now());
        self.advance();
    }
}

/// A job as an earlier service left it.
enum Loaded {
    Live(LiveJob),
    Ended(Box<EndedJob>),
}

/// A record that cannot be read stops the engine from opening: skipping it would lose a job.
fn load_job(root: &Path, job_id: &str) -> Result<Option<Loaded>, RecordError> {
    let dir = JobDir::new(root, job_id);
    if let Some(end) = dir.end()? {
        return Ok(Some(Loaded::Ended(Box::new(end))));
    }
    let Some(submission) = dir.submission()? else {
        // Never answered for: the service died while it was being written.
        return dir.remove().map(|()| None);
    };
    let mut tries = Vec::new();
    let mut number = 1;
    while dir.try_dir(number).exists() {
        let (described, _) = dir.try_dir(number).describe(format!("{job_id}/{number}"))?;
        tries.push(described);
        number += 1;
    }
    Ok(Some(Loaded::Live(LiveJob {
        submission: Arc::new(submission),
        stage: if tries.is_empty() { Stage::Waiting } else { Stage::Starting },
        tries,
        terminate_reason: dir.terminate_request()?.map(|request| request.reason),
    })))
}

/// Makes the root, and its path absolute: supervisors run elsewhere.
pub(super) fn create_root(root: &Path) -> Result<std::path::PathBuf, RecordError> {
    durable::create_directory(root)?;
    root.canonicalize().map_err(RecordError::io("resolve", root))
}
