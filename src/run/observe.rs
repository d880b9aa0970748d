//! Observes jobs: asks the engine for all that are due, in hundreds, across all demands.
//!
//! A look that finds nothing new writes nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::active::Active;
use super::decide::observe_interval;
use super::state::State;
use super::transition::Event;
use super::transitions::{TransitionError, Transitions};
use crate::engine::Engine;
use crate::engine::job::Job;
use crate::store::StoreError;
use crate::telemetry::chain;

/// Ids in one DescribeJobs call at most
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html>).
const JOBS_A_CALL: usize = 100;

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
    live: Vec<String>,
    due: Option<Instant>,
    /// Since when the engine has not known a job that it should.
    unknown: HashMap<String, Instant>,
}

impl Observer {
    /// Observes until `stopping`.
    pub(super) async fn run(self, stopping: CancellationToken) {
        let mut active: Active<Watch> = Active::new();
        let mut failures = 0;
        while !stopping.is_cancelled() {
            let pass = async {
                self.follow(&mut active).await?;
                self.pass(&mut active).await
            };
            let pause = match pass.await {
                Ok(()) => {
                    failures = 0;
                    earliest(&active)
                }
                Err(failed) => {
                    warn!(error = %chain(&*failed), "observing failed");
                    failures += 1;
                    Some(Instant::now() + super::act::backoff(failures))
                }
            };
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.transitions.wants_observation(), if failures == 0 => {}
                () = self.engine.changed(), if failures == 0 => {
                    for followed in active.demands.values_mut() {
                        followed.data.due = Some(Instant::now());
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
            followed.data.live = live_jobs(&record.state);
            let due = Instant::now() + self.interval(&record.state);
            followed.data.due = Some(followed.data.due.map_or(due, |earlier| earlier.min(due)));
        }
        Ok(())
    }

    async fn pass(
        &self,
        active: &mut Active<Watch>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let now = Instant::now();
        let due: Vec<(String, String)> = active
            .demands
            .iter()
            .filter(|(_, followed)| followed.data.due.is_some_and(|due| due <= now))
            .flat_map(|(id, followed)| {
                followed.data.live.iter().map(move |job_id| (id.clone(), job_id.clone()))
            })
            .collect();
        for chunk in due.chunks(JOBS_A_CALL) {
            let job_ids: Vec<String> = chunk.iter().map(|(_, job_id)| job_id.clone()).collect();
            let seen: HashMap<String, Job> = self
                .engine
                .describe(&job_ids)
                .await?
                .into_iter()
                .map(|job| (job.job_id.clone(), job))
                .collect();
            let mut events: HashMap<&str, Vec<Event>> = HashMap::new();
            for (id, job_id) in chunk {
                let Some(followed) = active.demands.get_mut(id) else { continue };
                let unknown = &mut followed.data.unknown;
                if let Some(job) = seen.get(job_id) {
                    unknown.remove(job_id);
                    let event = Event::JobSeen { job: Box::new(job.clone()) };
                    events.entry(id).or_default().push(event);
                } else {
                    let since = *unknown.entry(job_id.clone()).or_insert(now);
                    if now.duration_since(since) >= self.observation.lost_grace {
                        let event = Event::JobLost { job_id: job_id.clone() };
                        events.entry(id).or_default().push(event);
                    }
                }
            }
            for (id, events) in events {
                match self.transitions.apply(id, |_| Ok(events.clone())).await {
                    Ok(record) => {
                        let Some(followed) = active.demands.get_mut(id) else { continue };
                        followed.version = record.version;
                        followed.data.live = live_jobs(&record.state);
                        followed.data.due = Some(Instant::now() + self.interval(&record.state));
                    }
                    Err(TransitionError::Store(failed)) => return Err(failed.into()),
                    Err(failed) => {
                        error!(execution.id = %id, error = %chain(&failed), "an observation was lost");
                    }
                }
            }
        }
        for followed in active.demands.values_mut() {
            if followed.data.due.is_some_and(|due| due <= now) {
                followed.data.due =
                    (!followed.data.live.is_empty()).then(|| Instant::now() + self.observation.min);
            }
        }
        Ok(())
    }

    fn interval(&self, state: &State) -> Duration {
        let since_change = Timestamp::now().duration_since(state.updated_at);
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        observe_interval(since_change, signed(self.observation.min), signed(self.observation.max))
            .unsigned_abs()
    }
}

fn live_jobs(state: &State) -> Vec<String> {
    state.live().filter_map(|run| run.job_id().map(str::to_owned)).collect()
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
