//! Observes jobs: asks the engine for all that are due, in hundreds, across all demands.
//!
//! A look that finds nothing new writes nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::active::Active;
use super::decide::observe_interval;
use super::metrics::Loop;
use super::step_run::StepRun;
use super::transition::Event;
use super::transitions::{TransitionError, Transitions};
use crate::engine::job::Job;
use crate::engine::{Engine, EngineError};
use crate::run::record::Record;
use crate::store::StoreError;
use crate::telemetry::chain;

/// Ids in one DescribeJobs call at most
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html>).
const JOBS_A_CALL: usize = 100;

/// DescribeJobs calls under way at once: enough to go on while one takes its time, few enough to
/// leave submissions their share.
const CALLS_AT_ONCE: usize = 4;

/// Demands whose changes are stored at once; the store puts them into common commits.
const CHANGES_AT_ONCE: usize = 64;

/// How often jobs are looked at, and when one counts as lost.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    /// Between two looks at a job that has just changed.
    pub min: Duration,
    /// Between two looks at a job that has not changed for long.
    pub max: Duration,
    /// How long the engine may not know a job before the job counts as lost.
    pub lost_grace: Duration,
}

impl Default for Observation {
    fn default() -> Self {
        Self {
            min: Duration::from_secs(2),
            max: Duration::from_mins(1),
            lost_grace: Duration::from_mins(5),
        }
    }
}

pub(super) struct Observer {
    pub(super) transitions: Transitions,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) observation: Observation,
}

/// What the observer keeps of one demand.
#[derive(Debug, Default)]
struct Watch {
    live: Vec<Watched>,
    due: Option<Instant>,
    /// When the demand last changed; jobs of what has not changed for long are looked at seldom.
    updated_at: Timestamp,
}

/// What the observer keeps of one job.
#[derive(Debug)]
struct Watched {
    job_id: String,
    /// A digest of the job as last stored, so that what is the same costs no look at the store.
    stored: Option<u64>,
    /// Since when the engine has not known it though it should.
    unknown_since: Option<Instant>,
}

/// What a pass found out of one demand.
#[derive(Debug, Default)]
struct News {
    events: Vec<Event>,
    /// The jobs seen, with their digests.
    seen: Vec<(String, u64)>,
}

/// The demands and jobs asked for, and the engine's answer.
type Asked = (Vec<(String, String)>, Result<Vec<Job>, EngineError>);

/// How storing a demand's news ended, the demand, and the digests of the jobs seen.
type Stored = (Result<Record, TransitionError>, String, Vec<(String, u64)>);

impl Watch {
    /// Takes over what the demand's state says, keeping what is known of jobs that stay.
    fn follow(&mut self, record: &Record) {
        let mut known = std::mem::take(&mut self.live);
        let live = record.state.live().filter_map(StepRun::job_id).map(|job_id| {
            match known.iter().position(|watched| watched.job_id == job_id) {
                Some(index) => known.swap_remove(index),
                None => Watched { job_id: job_id.to_owned(), stored: None, unknown_since: None },
            }
        });
        self.live = live.collect();
        self.updated_at = record.state.updated_at;
    }

    /// Compares a job with what is stored of it; `job` is what the engine knows of it.
    fn compare(&mut self, job_id: &str, job: Option<Job>, lost_grace: Duration, news: &mut News) {
        let Some(watched) = self.live.iter_mut().find(|watched| watched.job_id == job_id) else {
            return;
        };
        if let Some(job) = job {
            watched.unknown_since = None;
            let digest = digest(&job);
            if watched.stored != Some(digest) {
                news.events.push(Event::JobSeen { job: Box::new(job) });
                news.seen.push((job_id.to_owned(), digest));
            }
        } else if watched.unknown_since.get_or_insert_with(Instant::now).elapsed() >= lost_grace {
            warn!(job.id = job_id, "the engine has forgotten a job");
            news.events.push(Event::JobLost { job_id: job_id.to_owned() });
        }
    }

    fn stored(&mut self, record: &Record, seen: Vec<(String, u64)>) {
        self.follow(record);
        for (job_id, digest) in seen {
            if let Some(watched) = self.live.iter_mut().find(|it| it.job_id == job_id) {
                watched.stored = Some(digest);
            }
        }
    }
}

impl Observer {
    /// Observes until `stopping`.
    pub(super) async fn run(self, stopping: CancellationToken) {
        let mut active: Active<Watch> = Active::new();
        let mut failures = 0;
        while !stopping.is_cancelled() {
            let begun = Instant::now();
            let pass = async {
                self.follow(&mut active).await?;
                self.pass(&mut active, &stopping).await
            };
            let pause = match pass.await {
                Ok(()) => {
                    failures = 0;
                    earliest(&active)
                }
                Err(failed) => {
                    self.transitions.metrics.failed(Loop::Observing);
                    warn!(error = %chain(&*failed), "observing failed");
                    failures += 1;
                    Some(Instant::now() + super::act::backoff(failures))
                }
            };
            // However many events there are, looking at everything takes a fifth of the time at
            // most.
            let rested = Instant::now() + 4 * begun.elapsed();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.transitions.wants_observation(), if failures == 0 => {}
                () = self.engine.changed(), if failures == 0 => {
                    for followed in active.demands.values_mut() {
                        let due = followed.data.due.map_or(rested, |due| due.min(rested));
                        followed.data.due = Some(due);
                    }
                }
                () = sleep_until(pause) => {}
            }
        }
    }

    /// Learns which jobs there are to observe.
    async fn follow(&self, active: &mut Active<Watch>) -> Result<(), StoreError> {
        for id in active.refresh(&self.transitions.store, |_| false).await? {
            let Some(record) = self.transitions.store.get(&id).await? else { continue };
            let Some(followed) = active.demands.get_mut(&id) else { continue };
            followed.version = record.version;
            followed.data.follow(&record);
            let due = Instant::now() + self.wait(followed.data.updated_at);
            followed.data.due = Some(followed.data.due.map_or(due, |earlier| earlier.min(due)));
        }
        Ok(())
    }

    /// Looks at all jobs that are due, then stores what is new: one change a demand at most. What
    /// was seen before a call failed is stored too; what is due stays due then.
    ///
    /// Where one is due, those due soon are looked at along with it, so that calls are full.
    async fn pass(
        &self,
        active: &mut Active<Watch>,
        stopping: &CancellationToken,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let now = Instant::now();
        if earliest(active).is_none_or(|earliest| earliest > now) {
            return Ok(());
        }
        let soon = now + self.observation.min / 2;
        let due: Vec<(String, String)> = active
            .demands
            .iter()
            .filter(|(_, followed)| followed.data.due.is_some_and(|due| due <= soon))
            .flat_map(|(id, followed)| {
                let live = followed.data.live.iter();
                live.map(move |watched| (id.clone(), watched.job_id.clone()))
            })
            .collect();
        let mut news: HashMap<String, News> = HashMap::new();
        // What was seen is stored, and whoever waits for it is told, also when the service stops.
        let looking = self.look(&due, active, &mut news);
        let looked = stopping.run_until_cancelled(looking).await;
        self.store(news, active).await?;
        let Some(looked) = looked else { return Ok(()) };
        looked?;
        self.transitions.metrics.observed(now.elapsed());
        let looked_at = Instant::now();
        for followed in active.demands.values_mut() {
            if followed.data.due.is_some_and(|due| due <= soon) {
                let next = looked_at + self.interval(followed.data.updated_at);
                followed.data.due = (!followed.data.live.is_empty()).then_some(next);
            }
        }
        Ok(())
    }

    /// Asks the engine for the jobs, and compares what it says with what is stored.
    async fn look(
        &self,
        due: &[(String, String)],
        active: &mut Active<Watch>,
        news: &mut HashMap<String, News>,
    ) -> Result<(), EngineError> {
        let chunks: Vec<Vec<(String, String)>> =
            due.chunks(JOBS_A_CALL).map(<[_]>::to_vec).collect();
        let mut answers =
            futures::stream::iter(chunks).map(|chunk| self.ask(chunk)).buffered(CALLS_AT_ONCE);
        while let Some((chunk, answer)) = answers.next().await {
            let mut known: HashMap<String, Job> =
                answer?.into_iter().map(|job| (job.job_id.clone(), job)).collect();
            for (id, job_id) in chunk {
                let Some(followed) = active.demands.get_mut(&id) else { continue };
                let mut found = News::default();
                let lost_grace = self.observation.lost_grace;
                followed.data.compare(&job_id, known.remove(&job_id), lost_grace, &mut found);
                if !found.events.is_empty() {
                    let all = news.entry(id).or_default();
                    all.events.append(&mut found.events);
                    all.seen.append(&mut found.seen);
                }
            }
        }
        Ok(())
    }

    async fn ask(&self, chunk: Vec<(String, String)>) -> Asked {
        let job_ids: Vec<String> = chunk.iter().map(|(_, job_id)| job_id.clone()).collect();
        let answer = self.engine.describe(&job_ids).await;
        (chunk, answer)
    }

    async fn store(
        &self,
        news: HashMap<String, News>,
        active: &mut Active<Watch>,
    ) -> Result<(), StoreError> {
        let mut outcomes = futures::stream::iter(news)
            .map(|(id, news)| self.store_one(id, news))
            .buffer_unordered(CHANGES_AT_ONCE);
        let mut failed = Ok(());
        while let Some((outcome, id, seen)) = outcomes.next().await {
            match outcome {
                Ok(record) => {
                    let Some(followed) = active.demands.get_mut(&id) else { continue };
                    followed.version = record.version;
                    followed.data.stored(&record, seen);
                }
                Err(TransitionError::Store(error)) => failed = Err(error),
                Err(error) => {
                    error!(execution.id = %id, error = %chain(&error), "an observation was lost");
                }
            }
        }
        failed
    }

    async fn store_one(&self, id: String, news: News) -> Stored {
        let News { events, seen } = news;
        let outcome = self.transitions.apply(&id, |_| Ok(events.clone())).await;
        (outcome, id, seen)
    }

    /// How long from now to the first look at a demand: nothing where its last change is long
    /// past, as it is after a restart.
    fn wait(&self, updated_at: Timestamp) -> Duration {
        let age = Timestamp::now().duration_since(updated_at);
        self.interval(updated_at).saturating_sub(age.try_into().unwrap_or_default())
    }

    fn interval(&self, updated_at: Timestamp) -> Duration {
        let since_change = Timestamp::now().duration_since(updated_at);
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        observe_interval(since_change, signed(self.observation.min), signed(self.observation.max))
            .unsigned_abs()
    }
}

fn digest(job: &Job) -> u64 {
    let mut hasher = DefaultHasher::new();
    job.hash(&mut hasher);
    hasher.finish()
}

fn earliest(active: &Active<Watch>) -> Option<Instant> {
    active
        .demands
        .values()
        .filter(|followed| !followed.data.live.is_empty())
        .filter_map(|followed| followed.data.due)
        .min()
}

/// Sleeps until then; for ever without a time.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
