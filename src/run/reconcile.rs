//! The reconciler: the only actor. It takes no input but the store and observations.
//!
//! Two loops over the active demands, each woken without data: one acts on what is decided, one
//! observes jobs. A demand is acted on by one task at a time; tasks of different demands run side
//! by side, so that a slow call for one holds up no other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::act::{Actor, backoff, report_failure};
use super::active::Active;
use super::decide::Timing;
use super::metrics::Loop;
use super::observe::{Observation, Observer};
use super::transitions::Transitions;
use crate::engine::Engine;
use crate::store::StoreError;
use crate::telemetry::chain;

/// Demands acted on at once.
const ACTORS: usize = 32;

/// A beat older than this means that the loop is stuck.
const SLOWEST_BEAT: Duration = Duration::from_secs(30);

/// The loop beats at least this often, with or without anything to do.
const BEAT: Duration = Duration::from_secs(5);

/// When demands are due and none has been taken up for this long, the loop is stuck. A burst that
/// takes longer to work off is none.
const STUCK: Duration = Duration::from_mins(5);

/// When the acting loop was last seen alive, and what waits for it.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat(Arc<Mutex<Beat>>);

#[derive(Debug, Default)]
struct Beat {
    at: Option<Instant>,
    /// When a demand was last taken up.
    begun: Option<Instant>,
    /// Since when the demand waits that waits longest.
    oldest_due: Option<Instant>,
}

impl Heartbeat {
    fn inside(&self) -> MutexGuard<'_, Beat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        self.inside().at = Some(Instant::now());
    }

    fn begins(&self) {
        self.inside().begun = Some(Instant::now());
    }

    fn waits(&self, oldest_due: Option<Instant>) {
        self.inside().oldest_due = oldest_due;
    }

    /// Whether the reconciler runs and keeps up.
    pub fn is_well(&self) -> bool {
        let beat = self.inside();
        let is_alive = beat.at.is_some_and(|at| at.elapsed() < SLOWEST_BEAT);
        let is_recent = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < STUCK);
        is_alive
            && (beat.oldest_due.is_none() || is_recent(beat.oldest_due) || is_recent(beat.begun))
    }
}

/// Drives every active demand to its end.
pub struct Reconciler {
    actor: Actor,
    observation: Observation,
    heartbeat: Heartbeat,
}

/// What the acting loop keeps of one demand.
#[derive(Debug, Default)]
struct Turn {
    busy: bool,
    due: Option<Instant>,
    failures: u32,
}

/// What an actor reports when it has done what it could.
struct Done {
    execution_id: String,
    /// The version dealt with, and when to look again; nothing after a failure.
    dealt_with: Option<(i64, Option<Timestamp>)>,
}

impl Reconciler {
    pub(super) fn new(
        transitions: Transitions,
        engine: Arc<dyn Engine>,
        timing: Timing,
        observation: Observation,
        heartbeat: Heartbeat,
    ) -> Self {
        let timing = Timing { acting_since: Timestamp::now(), ..timing };
        Self { actor: Actor { transitions, engine, timing }, observation, heartbeat }
    }

    /// Runs until `stopping`; then ends what is under way, leaving nothing half recorded.
    pub async fn run(self, stopping: CancellationToken) {
        let observer = Observer {
            transitions: self.actor.transitions.clone(),
            engine: self.actor.engine.clone(),
            observation: self.observation,
        };
        tokio::join!(observer.run(stopping.clone()), self.act(stopping));
    }

    async fn act(self, stopping: CancellationToken) {
        let mut active: Active<Turn> = Active::new();
        let (done, mut reports) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(ACTORS));
        let tasks = TaskTracker::new();
        let metrics = &self.actor.transitions.metrics;
        while !stopping.is_cancelled() {
            self.heartbeat.beat();
            if let Err(failed) = self.refresh(&mut active).await {
                metrics.failed(Loop::Acting);
                warn!(error = %chain(&failed), "cannot read the active demands");
            }
            self.start_due(&mut active, &tasks, &room, &done);
            let beat = Instant::now() + BEAT;
            let next = active
                .demands
                .values()
                // Without room nothing can be started before somebody reports.
                .filter(|followed| !followed.data.busy && room.available_permits() > 0)
                .filter_map(|followed| followed.data.due)
                .fold(beat, Instant::min);
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.actor.transitions.wants_action() => {}
                Some(report) = reports.recv() => {
                    settle(&mut active, &report);
                    while let Ok(report) = reports.try_recv() {
                        settle(&mut active, &report);
                    }
                }
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Makes due what has changed, but for what failed and waits for its time.
    async fn refresh(&self, active: &mut Active<Turn>) -> Result<(), StoreError> {
        for id in active.refresh(&self.actor.transitions.store, |turn| turn.busy).await? {
            if let Some(followed) = active.demands.get_mut(&id)
                && followed.data.failures == 0
            {
                let now = Instant::now();
                // One that waits already keeps its place.
                let due = followed.data.due.map_or(now, |due| due.min(now));
                followed.data.due = Some(due);
            }
        }
        Ok(())
    }

    fn start_due(
        &self,
        active: &mut Active<Turn>,
        tasks: &TaskTracker,
        room: &Arc<Semaphore>,
        done: &mpsc::UnboundedSender<Done>,
    ) {
        let now = Instant::now();
        let mut due: Vec<_> = active
            .demands
            .iter_mut()
            .filter(|(_, followed)| !followed.data.busy)
            .filter_map(|(id, followed)| Some((followed.data.due?, id, &mut followed.data)))
            .filter(|(due, ..)| *due <= now)
            .collect();
        // Whoever has waited longest comes first, so that a burst starves nobody.
        due.sort_by_key(|(due, ..)| *due);
        let metrics = &self.actor.transitions.metrics;
        let mut waiting = due.into_iter();
        while let Some((since, id, turn)) = waiting.next() {
            let Ok(permit) = room.clone().try_acquire_owned() else {
                // It stays due, and all after it; whoever ends reports, and the loop comes back.
                metrics.waiting(waiting.len() + 1, Some(since));
                self.heartbeat.waits(Some(since));
                return;
            };
            metrics.begun(since);
            self.heartbeat.begins();
            turn.busy = true;
            turn.due = None;
            let actor = self.actor.clone();
            let mut report =
                Report { to: done.clone(), done: Some(Done::nothing(id)), permit: Some(permit) };
            let id = id.clone();
            tasks.spawn(async move {
                match actor.act(&id).await {
                    Ok(dealt_with) => report.dealt_with(dealt_with.unwrap_or_default()),
                    Err(failed) => {
                        actor.transitions.metrics.failed(Loop::Acting);
                        report_failure(&id, &failed);
                    }
                }
            });
        }
        metrics.waiting(0, None);
        self.heartbeat.waits(None);
    }
}

impl Done {
    fn nothing(execution_id: &str) -> Self {
        Self { execution_id: execution_id.to_owned(), dealt_with: None }
    }
}

/// Reports when it is dropped, so that a task that panics is heard of like any other failure.
struct Report {
    to: mpsc::UnboundedSender<Done>,
    done: Option<Done>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Report {
    fn dealt_with(&mut self, version_and_until: (i64, Option<Timestamp>)) {
        if let Some(done) = &mut self.done {
            done.dealt_with = Some(version_and_until);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        drop(self.permit.take());
        if let Some(done) = self.done.take() {
            // The loop ends before its actors only at shutdown.
            let _ = self.to.send(done);
        }
    }
}

fn settle(active: &mut Active<Turn>, report: &Done) {
    let Some(followed) = active.demands.get_mut(&report.execution_id) else { return };
    followed.data.busy = false;
    if let Some((version, until)) = report.dealt_with {
        followed.version = version;
        followed.data.failures = 0;
        followed.data.due = until.map(|until| {
            let wait = until.duration_since(Timestamp::now());
            Instant::now() + wait.try_into().unwrap_or(Duration::ZERO)
        });
    } else {
        followed.data.failures += 1;
        followed.data.due = Some(Instant::now() + backoff(followed.data.failures));
    }
}
