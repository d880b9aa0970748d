//! The worker: what one run of `demand sync` or `demand remove` has at hand, and how it carries
//! a step's task through. Beside it, `delivered` is what a repeated step knows of an earlier try's
//! end, and `env_file` the file of a command's environment.

mod delivered;
mod env_file;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::disk::access;
use super::error::{Failure, SyncError, blocking};
use super::job::{Job, Tell};
use super::journal::{self, Journal};
use super::location::Location;
use super::outcome::Report;
use super::progress::Progress;
use super::removal;
use super::removal::moved::{self, Moving};
use super::request::{self, Place};
use super::source::survey;
use crate::plan::data_sync::DataSyncRequest;
use crate::plan::submission::{Mount, Step, Task};
use delivered::Delivered;

/// How long a lock is waited for, as in the reference.
pub const LOCK_TIMEOUT: Duration = Duration::from_hours(6);

/// Carries out tasks, requests and removals.
pub struct Worker {
    job: Arc<Job>,
}

impl Worker {
    /// A worker in a job with these mounts.
    pub fn new(mounts: Vec<Mount>, lock_timeout: Duration) -> Self {
        Self { job: Arc::new(Job::new(mounts, lock_timeout)) }
    }

    /// A worker that changes nothing, and tells what it would do.
    pub fn dry(mounts: Vec<Mount>, tell: Tell) -> Self {
        let job = Job { dry_run: Some(tell), ..Job::new(mounts, Duration::ZERO) };
        Self { job: Arc::new(job) }
    }

    /// What it has done so far.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.job.progress)
    }

    /// Runs work of this worker's as a task.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.job.tasks.spawn(work)
    }

    /// Waits until work that was aborted has let go of its files, then abandons the multipart
    /// uploads it had begun, for whose parts S3 would go on charging.
    pub async fn give_up(&self) {
        self.job.tasks.close();
        self.job.tasks.wait().await;
        self.job.uploads.abandon(&self.job.lazy_client).await;
    }

    pub(super) fn job(&self) -> &Job {
        &self.job
    }

    pub(super) fn mounts(&self) -> &[Mount] {
        &self.job.mounts
    }

    pub(super) async fn client(&self) -> Client {
        self.job.client().await
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
        let destinations = self.destinations(&task.data_sync_requests);
        let working = PathBuf::from(&task.working_path);
        let marker = Delivered::new(&task.execution_id, &working, self.mounts());
        let takes_all = task.step == Step::WrapUp && self.takes(&removals, &working);
        if takes_all && is_finished(&working, &marker, fingerprint(task)).await? {
            report.requests_succeeded += task.data_sync_requests.len() as u64;
        } else {
            let stale = marker.clone();
            blocking(move || stale.forget()).await?;
            if task.step != Step::CleanUp {
                self.deliver(task, !removals.is_empty(), report).await?;
            }
            if takes_all && report.succeeded() {
                let fingerprint = fingerprint(task);
                blocking(move || marker.record(&fingerprint)).await?;
            }
        }
        if report.succeeded() {
            report.absorb(removal::paths(&self.job, &removals, &destinations).await);
        }
        Ok(())
    }

    /// Makes the working directory and what belongs in it, then transfers. A `wrap_up` makes none:
    /// where it is lost, an output that is the whole of it is missing, not empty.
    async fn deliver(
        &self,
        task: &Task,
        removes: bool,
        report: &mut Report,
    ) -> Result<(), SyncError> {
        let working = Path::new(&task.working_path);
        let wraps_up = task.step == Step::WrapUp;
        let made = working.to_owned();
        let lost = blocking(move || {
            if wraps_up && !exists(&made)? {
                return Ok(true);
            }
            let fail = SyncError::file("create the directory", &made);
            std::fs::create_dir_all(&made).map_err(fail)?;
            access::open_up(&made);
            Ok(false)
        })
        .await?;
        if let Some(file) = &task.env_file {
            let file = file.clone();
            blocking(move || env_file::write(&file)).await?;
        }
        let elsewhere = if lost { Some(temporary_directory()?) } else { None };
        let directory = elsewhere.as_ref().map_or(working, TempDir::path);
        let moves = task.data_sync_requests.iter().any(|request| !request.retain_source_data);
        let journal = if moves || removes {
            Some(Journal::open(&directory.join(journal::NAME), &fingerprint(task))?)
        } else {
            None
        };
        let env_file = task.env_file.iter().map(|file| Location::Local(PathBuf::from(&file.path)));
        let spared = env_file.collect();
        let kind = Kind::Step { working };
        self.transfer(&task.data_sync_requests, spared, &kind, journal, report).await
    }

    /// Carries out requests that belong to no task. Unless `some_may_fail` no source is removed
    /// where one of them fails, so that all of them can be repeated.
    pub async fn run_requests(&self, requests: &[DataSyncRequest], some_may_fail: bool) -> Report {
        let mut report = Report { dry_run: self.job.is_dry(), ..Report::default() };
        let outcome = async {
            // Only this run needs it: nothing else knows where to look for it.
            let directory = temporary_directory()?;
            let moves = requests.iter().any(|request| !request.retain_source_data);
            let moves = moves && !self.job.is_dry();
            let journal = moves.then(|| Journal::open(&directory.path().join(journal::NAME), ""));
            let kind = Kind::Requests { some_may_fail };
            self.transfer(requests, Vec::new(), &kind, journal.transpose()?, &mut report).await
        };
        if let Err(error) = outcome.await {
            report.failures.push(Failure::new("-", &error));
            report.not_forgiven = true;
        }
        report
    }

    /// Removes paths, each with all that is below it.
    pub async fn remove(&self, paths: &[String]) -> Report {
        removal::paths(&self.job, paths, &[]).await
    }

    /// Runs every request, whatever becomes of the others; then, when all succeeded or some may
    /// fail, removes the sources that are not retained. No mirror deletes what is `spared`.
    async fn transfer(
        &self,
        requests: &[DataSyncRequest],
        spared: Vec<Location>,
        kind: &Kind<'_>,
        mut journal: Option<Journal>,
        report: &mut Report,
    ) -> Result<(), SyncError> {
        let mut moving: Vec<_> = requests.iter().map(|request| self.moved(request)).collect();
        let mut marks = Vec::new();
        if journal.as_ref().is_some_and(Journal::is_removing) {
            report.requests_succeeded += requests.len() as u64;
        } else {
            if self.job.progress.is_watched() {
                tokio::spawn(survey::count(Arc::clone(&self.job), requests.to_vec()));
            }
            let places = self.places(requests, spared).await?;
            for (index, request) in requests.iter().enumerate() {
                let journal = journal.as_mut();
                let marks_it = matches!(kind, Kind::Requests { .. });
                let (done, mark) =
                    request::run(&self.job, index, request, &places, journal, marks_it).await;
                if !done.succeeded() {
                    moving[index] = None;
                }
                marks.extend(mark.map(|mark| (index, mark)));
                report.absorb(done);
            }
        }
        let Some(journal) = &mut journal else { return Ok(()) };
        let some_may_fail = matches!(kind, Kind::Requests { some_may_fail: true });
        let goes_on = |report: &Report| some_may_fail || report.succeeded();
        if !goes_on(report) {
            return Ok(());
        }
        if !journal.is_removing() {
            // Found now, the next try transfers it again; found among the removals, none would.
            for (index, failure) in moved::changed(journal, &moving).await? {
                report.failures.push(failure);
                if moving[index].take().is_some() {
                    report.requests_succeeded -= 1;
                    report.requests_failed += 1;
                }
            }
            if !goes_on(report) {
                return Ok(());
            }
        }
        marks.retain(|(index, _)| moving[*index].is_some());
        for (_, mark) in &marks {
            mark.leave(&self.job).await?;
        }
        journal.begin_removing()?;
        let removed = self.take_away(requests, &moving, kind, journal).await?;
        if removed.succeeded() {
            for (_, mark) in marks {
                mark.clear(&self.job).await?;
            }
        }
        report.not_forgiven |= !removed.succeeded();
        report.absorb(removed);
        Ok(())
    }

    /// Removes the sources that `moving` names, now that they are delivered.
    async fn take_away(
        &self,
        requests: &[DataSyncRequest],
        moving: &Moving,
        kind: &Kind<'_>,
        journal: &Journal,
    ) -> Result<Report, SyncError> {
        // What another request retains, or could not bring, is retained.
        let retaining = requests.iter().zip(moving).filter(|(_, moved)| moved.is_none());
        let retained = self.sources(retaining.map(|(request, _)| request));
        let spared = [self.destinations(requests), retained].concat();
        let working = match kind {
            Kind::Step { working } => Some(*working),
            Kind::Requests { .. } => None,
        };
        moved::sources(&self.job, journal, moving, working, &spared).await
    }

    /// The sources and destinations of requests, by their places: two may deliver to one
    /// destination; and what is `spared` whoever mirrors. Only mirrors look at them.
    async fn places(
        &self,
        requests: &[DataSyncRequest],
        spared: Vec<Location>,
    ) -> Result<Vec<Place>, SyncError> {
        if !requests.iter().any(|request| request.delete) {
            return Ok(Vec::new());
        }
        let mut places: Vec<_> = spared.into_iter().map(|spared| (None, spared)).collect();
        for (index, request) in requests.iter().enumerate() {
            let both = [&request.source_path, &request.destination_path];
            let both =
                both.into_iter().filter_map(|path| Location::parse(path, self.mounts()).ok());
            places.extend(both.map(|location| (Some(index), location)));
        }
        blocking(move || {
            Ok(places.into_iter().map(|(of, location)| (of, location.real())).collect())
        })
        .await
    }

    /// The source of a request that moves it away.
    fn moved(&self, request: &DataSyncRequest) -> Option<Location> {
        if request.retain_source_data {
            return None;
        }
        Location::parse(&request.source_path, &self.job.mounts).ok()
    }

    fn sources<'r>(&self, requests: impl Iterator<Item = &'r DataSyncRequest>) -> Vec<Location> {
        requests
            .filter_map(|request| Location::parse(&request.source_path, &self.job.mounts).ok())
            .collect()
    }

    fn destinations<'r>(
        &self,
        requests: impl IntoIterator<Item = &'r DataSyncRequest>,
    ) -> Vec<Location> {
        requests
            .into_iter()
            .filter_map(|request| Location::parse(&request.destination_path, &self.job.mounts).ok())
            .collect()
    }

    /// Whether one of `removals` is the directory `working` or holds it.
    fn takes(&self, removals: &[String], working: &Path) -> bool {
        let working = Location::Local(working.to_owned());
        removals.iter().any(|path| {
            Location::parse(path, self.mounts()).is_ok_and(|path| path.contains(&working))
        })
    }
}

/// Whose requests they are.
enum Kind<'t> {
    /// A step's, with its working directory: repeated whole.
    Step { working: &'t Path },
    /// Nobody's.
    Requests { some_may_fail: bool },
}

/// Whether an earlier try came to the end: it recorded that everything was delivered, and removed
/// the working directory. One that is gone without a record was lost.
async fn is_finished(
    working: &Path,
    marker: &Delivered,
    fingerprint: String,
) -> Result<bool, SyncError> {
    let (working, marker) = (working.to_owned(), marker.clone());
    blocking(move || Ok(!exists(&working)? && marker.is_of(&fingerprint)?)).await
}

fn exists(path: &Path) -> Result<bool, SyncError> {
    path.try_exists().map_err(SyncError::file("look at", path))
}

fn temporary_directory() -> Result<TempDir, SyncError> {
    TempDir::new().map_err(SyncError::file("create a directory in", &std::env::temp_dir()))
}

fn fingerprint(task: &Task) -> String {
    let json = serde_json::to_vec(task).unwrap_or_default();
    hex::encode(Sha256::digest(json))
}
