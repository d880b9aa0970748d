//! Accept, cancel, retry, look up; and the reconciler that drives what was accepted.
//!
//! [`Runs`] is what the HTTP interface calls. It stores what users want and answers what is
//! stored; only the [`Reconciler`] acts on engines.

pub mod decide;
pub mod history;
pub mod reason;
pub mod record;
pub mod state;
pub mod status;
pub mod step_run;
pub mod transition;
pub mod transitions;

mod accept;
mod act;
mod active;
mod changes;
mod logs;
mod metrics;
mod observe;
mod reconcile;
mod sites;
mod trace;

use std::sync::Arc;
use std::time::Duration;

pub use accept::{AcceptError, Accepted, PlanError, plan_within};
pub use changes::{Changed, Subscription};
pub use logs::{LogError, Logs};
pub use observe::Observation;
pub use reconcile::Reconciler;
pub use sites::Sites;

use crate::engine::Engine;
use crate::policy::Policy;
use crate::run::record::Record;
use crate::store::{Filter, Page, Position, Store, StoreError};
use crate::telemetry::chain;
use decide::Timing;
use history::HistoryEntry;
use prometheus_client::registry::Registry;
use reconcile::Heartbeat;
use serde::{Deserialize, Serialize};
use status::{EngineDocument, StatusDocument};
use tracing::warn;
use transition::{Event, Illegal, Retention};
use transitions::{TransitionError, Transitions};
use utoipa::ToSchema;

/// How long a part may take to show that it is ready.
const READINESS: Duration = Duration::from_secs(2);

/// The times the lifecycle keeps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// How long things are kept.
    pub retention: Retention,
    /// How long effects take to show.
    pub timing: Timing,
    /// How often jobs are looked at.
    pub observation: Observation,
}

/// The demands of this service; cheap to clone.
#[derive(Clone)]
pub struct Runs {
    transitions: Transitions,
    engine: Arc<dyn Engine>,
    sites: Sites,
    policy: Arc<Policy>,
    heartbeat: Heartbeat,
}

impl Runs {
    /// The demands in `store`, planned for one of `sites` within `policy` and run on `engine`; and
    /// the reconciler that must run for anything to happen to them.
    pub fn new(
        store: Store,
        engine: Arc<dyn Engine>,
        sites: impl Into<Sites>,
        policy: Policy,
        settings: Settings,
    ) -> (Self, Reconciler) {
        let transitions = Transitions::new(store, settings.retention);
        let heartbeat = Heartbeat::default();
        let reconciler = Reconciler::new(
            transitions.clone(),
            engine.clone(),
            settings.timing,
            settings.observation,
            heartbeat.clone(),
        );
        let (sites, policy) = (sites.into(), Arc::new(policy));
        (Self { transitions, engine, sites, policy, heartbeat }, reconciler)
    }

    /// The demand of this id.
    pub async fn get(&self, execution_id: &str) -> Result<Option<Record>, StoreError> {
        self.transitions.store.get(execution_id).await
    }

    /// The demand as users see it.
    pub fn document(&self, record: &Record) -> StatusDocument {
        let note = self.engine.note().map(str::to_owned);
        StatusDocument::of(record, EngineDocument { name: self.engine.kind(), note })
    }

    /// Changes of the demand from now on.
    pub fn subscribe(&self, execution_id: &str) -> Subscription {
        self.transitions.subscribe(execution_id)
    }

    /// A page of the demands that pass `filter`, newest first.
    pub async fn list(
        &self,
        filter: &Filter,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        self.transitions.store.list(filter, after, limit).await
    }

    /// The demand's plan as JSON text.
    pub async fn stored_plan(&self, execution_id: &str) -> Result<Option<String>, StoreError> {
        self.transitions.store.plan(execution_id).await
    }

    /// The demand's history after `seq`; nothing if there is no such demand.
    pub async fn history(
        &self,
        execution_id: &str,
        after: i64,
        limit: i64,
    ) -> Result<Option<Vec<HistoryEntry>>, StoreError> {
        if self.get(execution_id).await?.is_none() {
            return Ok(None);
        }
        self.transitions.store.history(execution_id, after, limit).await.map(Some)
    }

    /// Asks for the demand's end; `by` whom.
    pub async fn cancel(
        &self,
        execution_id: &str,
        by: Option<&str>,
    ) -> Result<Record, TransitionError> {
        let by = by.map(str::to_owned);
        self.transitions.apply_one(execution_id, Event::CancelRequested { by }).await
    }

    /// Asks for the attempt after `from_attempt`, or after the last one; `by` whom. Where that
    /// attempt exists already, nothing changes.
    pub async fn retry(
        &self,
        execution_id: &str,
        from_attempt: Option<u32>,
        by: Option<&str>,
    ) -> Result<Record, TransitionError> {
        let record = self
            .get(execution_id)
            .await?
            .ok_or_else(|| TransitionError::NotFound(execution_id.to_owned()))?;
        let from = from_attempt.unwrap_or(record.state.attempt);
        let submission = self.transitions.submission(execution_id).await?;
        let names = submission.names(from.saturating_add(1));
        self.transitions
            .apply(execution_id, |state| {
                if state.attempt > from {
                    return Ok(Vec::new());
                }
                if state.attempt < from {
                    return Err(Illegal { event: "retry", why: "there is no such attempt yet" });
                }
                let by = by.map(str::to_owned);
                Ok(vec![Event::RetryRequested { by, steps: names.clone() }])
            })
            .await
    }

    /// Puts what is measured of demands, store and engine where it is asked for.
    pub fn register(&self, registry: &mut Registry) {
        self.transitions.metrics.register(registry);
        self.transitions.store.register(registry);
        self.engine.register(registry);
    }

    /// Counts what is counted only when somebody looks.
    pub async fn measure(&self) -> Result<(), StoreError> {
        self.transitions.metrics.ready(&self.ready().await);
        let phases = self.transitions.store.phases().await?;
        let jobs = self.transitions.store.jobs().await?;
        self.transitions.metrics.count(&phases, &jobs);
        Ok(())
    }

    /// Each part that must be ready, and whether it is. What keeps it from being so is logged.
    pub async fn ready(&self) -> [(Part, bool); 3] {
        let store = ready(Part::Store, self.transitions.store.ready());
        let engine = ready(Part::Engine, self.engine.ready());
        let (store, engine) = tokio::join!(store, engine);
        [(Part::Store, store), (Part::Reconciler, self.heartbeat.is_well()), (Part::Engine, engine)]
    }
}

/// What must be ready for demands to be accepted and driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The database takes writes.
    Store,
    /// The reconciler is alive and not behind.
    Reconciler,
    /// The engine answers, which takes valid credentials, and its queues take jobs.
    Engine,
}

impl Part {
    /// The part as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Reconciler => "reconciler",
            Self::Engine => "engine",
        }
    }
}

/// Whether a part is ready within the time that whoever asks will wait.
async fn ready<E: std::error::Error + 'static>(
    part: Part,
    check: impl Future<Output = Result<(), E>>,
) -> bool {
    match tokio::time::timeout(READINESS, check).await {
        Ok(Ok(())) => true,
        Ok(Err(failed)) => {
            warn!(part = part.as_str(), error = %chain(&failed), "not ready");
            false
        }
        Err(_) => {
            warn!(part = part.as_str(), "not ready: no answer in time");
            false
        }
    }
}
