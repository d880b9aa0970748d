//! The worker: what one run of `demand sync` or `demand remove` has at hand, and how it carries
//! a step's task through.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::error::{Failure, SyncError, blocking};
use super::integrity::hex;
use super::journal::{self, Journal};
use super::location::Location;
use super::outcome::Report;
use super::progress::Progress;
use super::source::{self, Source};
use super::wire::LazyClient;
use super::{env_file, removal, request};
use crate::plan::data_sync::DataSyncRequest;
use crate::plan::submission::{Mount, Step, Task};

/// How long a lock is waited for, as in the reference.
pub const LOCK_TIMEOUT: Duration = Duration::from_hours(6);

/// Carries out tasks, requests and removals.
#[derive(Debug)]
pub struct Worker {
    mounts: Vec<Mount>,
    lock_timeout: Duration,
    progress: Arc<Progress>,
    client: Arc<LazyClient>,
}

impl Worker {
    /// A worker in a job with these mounts.
    pub fn new(mounts: Vec<Mount>, lock_timeout: Duration) -> Self {
        Self { mounts, lock_timeout, progress: Arc::default(), client: Arc::default() }
    }

    /// What it has done so far.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    pub(super) fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    pub(super) fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    pub(super) fn lazy_client(&self) -> Arc<LazyClient> {
        Arc::clone(&self.client)
    }

    pub(super) async fn client(&self) -> Client {
        self.client.get().await
    }

    /// Carries out a step's task. It may be repeated whatever became of an earlier try.
    pub async fn run(&self, task: &Task) -> Report {
        let mut report = Report::default();
        if let Err(error) = self.attempt(task, &mut report).await {
            report.failures.push(Failure::new(&task.working_path, &error));
        }
        report
    }

    async fn attempt(&self, task: &Task, report: &mut Report) -> Result<(), SyncError> {
        let removals: Vec<String> = task
            .remove_data_paths_requests
            .iter()
            .flat_map(|request| request.paths.clone())
            .collect();
        let delivered = self.destinations(&task.data_sync_requests);
        let working = Path::new(&task.working_path);
        if self.is_finished(task, &removals).await? {
            report.requests_succeeded += task.data_sync_requests.len() as u64;
        } else if task.step != Step::CleanUp {
            let made = working.to_owned();
            blocking(move || {
                let fail = SyncError::file("create the directory", &made);
                std::fs::create_dir_all(&made).map_err(fail)
            })
            .await?;
            if let Some(file) = &task.env_file {
                let file = file.clone();
                blocking(move || env_file::write(&file)).await?;
            }
            let moves = task.data_sync_requests.iter().any(|request| !request.retain_source_data);
            let journal = if moves || !removals.is_empty() {
                Some(Journal::open(&working.join(journal::NAME), &fingerprint(task))?)
            } else {
                None
            };
            let env_file =
                task.env_file.iter().map(|file| Location::Local(PathBuf::from(&file.path)));
            let spared = env_file.collect();
            self.transfer(&task.data_sync_requests, spared, journal, report).await?;
        }
        if report.succeeded() {
            report.absorb(removal::paths(self, &removals, &delivered).await);
        }
        Ok(())
    }

    /// Carries out requests that belong to no task.
    pub async fn run_requests(&self, requests: &[DataSyncRequest]) -> Report {
        let mut report = Report::default();
        let outcome = async {
            // Only this run needs it: nothing else knows where to look for it.
            let directory = TempDir::new()
                .map_err(SyncError::file("create a directory in", &std::env::temp_dir()))?;
            let moves = requests.iter().any(|request| !request.retain_source_data);
            let journal = moves.then(|| Journal::open(&directory.path().join(journal::NAME), ""));
            self.transfer(requests, Vec::new(), journal.transpose()?, &mut report).await
        };
        if let Err(error) = outcome.await {
            report.failures.push(Failure::new("-", &error));
        }
        report
    }

    /// Removes paths, each with all that is below it.
    pub async fn remove(&self, paths: &[String]) -> Report {
        removal::paths(self, paths, &[]).await
    }

    /// Runs every request, whatever becomes of the others; then, when all succeeded, removes the
    /// sources that are not retained. No mirror deletes what is `spared`.
    async fn transfer(
        &self,
        requests: &[DataSyncRequest],
        spared: Vec<Location>,
        mut journal: Option<Journal>,
        report: &mut Report,
    ) -> Result<(), SyncError> {
        let destinations = self.destinations(requests);
        if journal.as_ref().is_some_and(Journal::is_removing) {
            report.requests_succeeded += requests.len() as u64;
        } else {
            for (index, request) in requests.iter().enumerate() {
                let own = Location::parse(&request.destination_path, &self.mounts).ok();
                let others: Vec<_> = destinations
                    .iter()
                    .filter(|other| Some(*other) != own.as_ref())
                    .chain(&spared)
                    .cloned()
                    .collect();
                let done = request::run(self, index, request, &others, journal.as_mut()).await;
                report.absorb(done);
            }
        }
        let Some(journal) = &mut journal else { return Ok(()) };
        if !report.succeeded() {
            return Ok(());
        }
        journal.begin_removing()?;
        let roots = requests
            .iter()
            .filter(|request| !request.retain_source_data)
            .filter_map(|request| match Location::parse(&request.source_path, &self.mounts) {
                Ok(Location::Local(path)) => Some(path),
                _ => None,
            })
            .collect();
        report.absorb(removal::sources(self, journal, roots, &destinations).await?);
        Ok(())
    }

    fn destinations(&self, requests: &[DataSyncRequest]) -> Vec<Location> {
        requests
            .iter()
            .filter_map(|request| Location::parse(&request.destination_path, &self.mounts).ok())
            .collect()
    }

    /// Whether an earlier try came to the end: the working directory, which this task removes
    /// only after everything is delivered, is gone, and every destination is there.
    async fn is_finished(&self, task: &Task, removals: &[String]) -> Result<bool, SyncError> {
        let working = Location::Local(PathBuf::from(&task.working_path));
        let removes_it = removals.iter().any(|path| {
            Location::parse(path, &self.mounts).is_ok_and(|path| path.contains(&working))
        });
        let gone = !Path::new(&task.working_path).exists();
        if task.step != Step::WrapUp || !removes_it || !gone {
            return Ok(false);
        }
        for request in &task.data_sync_requests {
            let source = Location::parse(&request.source_path, &self.mounts)?;
            let optional = !request.fail_if_missing;
            let destination = match Location::parse(&request.destination_path, &self.mounts)? {
                Location::S3(path) => source::in_s3(&self.client().await, &path, None).await?,
                Location::Local(path) => source::on_disk(&path)?,
            };
            let delivered = optional || !matches!(destination, Source::Missing);
            if !working.contains(&source) || !delivered {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn fingerprint(task: &Task) -> String {
    let json = serde_json::to_vec(task).unwrap_or_default();
    hex(&Sha256::digest(json))
}
