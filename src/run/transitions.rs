//! Moves stored demands: load, apply, compare-and-set, tell.
//!
//! Requests and the reconciler move the same demands at the same time. Whoever loses the
//! compare-and-set reads again and applies its event to what it finds, so that an event is either
//! stored or found to be illegal, never lost.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::Notify;
use tracing::info;

use super::changes::{Changes, Subscription};
use super::metrics::Metrics;
use super::state::{Phase, State};
use super::trace;
use super::transition::{Event, Illegal, Retention};
use crate::plan::Submission;
use crate::run::record::{NewDemand, Record};
use crate::store::{Store, StoreError};

/// The time now, in the microseconds that are stored, so that what is answered before and after a
/// restart is the same.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// Why a demand could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum TransitionError {
    /// No demand has this id.
    #[error("there is no demand {0}")]
    NotFound(String),
    /// The event makes no sense where the demand stands.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The demand's plan cannot be read.
    #[error("the stored plan of demand {execution_id} cannot be read")]
    Plan {
        /// The demand.
        execution_id: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The part of a stored plan that jobs are made of.
#[derive(Deserialize)]
struct StoredPlan {
    submission: Submission,
}

/// The demands in the store, and who wants to know of their changes; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Transitions {
    pub(super) store: Store,
    retention: Retention,
    changes: Changes,
    pub(super) metrics: Metrics,
    acting: Arc<Notify>,
    observing: Arc<Notify>,
}

impl Transitions {
    pub(super) fn new(store: Store, retention: Retention) -> Self {
        Self {
            store,
            retention,
            changes: Changes::default(),
            metrics: Metrics::default(),
            acting: Arc::default(),
            observing: Arc::default(),
        }
    }

    /// Stores a new demand; `false` when its id or key is taken.
    pub(super) async fn insert(&self, demand: NewDemand) -> Result<bool, StoreError> {
        let execution_id = demand.record.execution_id.clone();
        let made = self.store.insert(demand).await?;
        if made {
            info!(execution.id = %execution_id, "accepted");
            self.metrics.accepted();
            self.wake();
        }
        Ok(made)
    }

    /// Applies the events that `events` finds fit for the demand's state. Gives the demand as it
    /// then is; unchanged if there was nothing to change.
    pub(super) async fn apply(
        &self,
        execution_id: &str,
        mut events: impl FnMut(&State) -> Result<Vec<Event>, Illegal>,
    ) -> Result<Record, TransitionError> {
        loop {
            let mut record = self
                .store
                .get(execution_id)
                .await?
                .ok_or_else(|| TransitionError::NotFound(execution_id.to_owned()))?;
            let mut state = record.state.clone();
            let mut history = Vec::new();
            for event in events(&state)? {
                let (next, entries) = state.apply(&event, &self.retention, now())?;
                state = next;
                history.extend(entries);
            }
            if state == record.state {
                return Ok(record);
            }
            let told = history.clone();
            if self.store.advance(execution_id, record.version, state.clone(), history).await? {
                log(execution_id, &record.state, &state);
                self.metrics.moved(&record.state, &state, &told);
                trace::moved(&record, &state);
                record.version += 1;
                record.state = state;
                self.changes.publish(&record);
                self.wake();
                return Ok(record);
            }
        }
    }

    /// Applies one event.
    pub(super) async fn apply_one(
        &self,
        execution_id: &str,
        event: Event,
    ) -> Result<Record, TransitionError> {
        self.apply(execution_id, |_| Ok(vec![event.clone()])).await
    }

    /// What the demand's plan asks of an engine.
    pub(super) async fn submission(
        &self,
        execution_id: &str,
    ) -> Result<Submission, TransitionError> {
        let plan = self
            .store
            .plan(execution_id)
            .await?
            .ok_or_else(|| TransitionError::NotFound(execution_id.to_owned()))?;
        serde_json::from_str::<StoredPlan>(&plan).map(|plan| plan.submission).map_err(|source| {
            TransitionError::Plan { execution_id: execution_id.to_owned(), source }
        })
    }

    pub(super) fn subscribe(&self, execution_id: &str) -> Subscription {
        self.changes.subscribe(execution_id)
    }

    /// Returns when a demand may need acting on.
    pub(super) async fn wants_action(&self) {
        self.acting.notified().await;
    }

    /// Returns when there may be other jobs to observe.
    pub(super) async fn wants_observation(&self) {
        self.observing.notified().await;
    }

    fn wake(&self) {
        self.acting.notify_one();
        self.observing.notify_one();
    }
}

/// One line for each phase that a demand enters.
fn log(execution_id: &str, from: &State, to: &State) {
    if from.phase == to.phase {
        return;
    }
    let (attempt, phase) = (to.attempt, to.phase.as_str());
    if to.phase != Phase::Done {
        info!(execution.id = %execution_id, attempt, phase, "goes on");
        return;
    }
    let status = to.status().as_str();
    let reason = to.reason.as_ref().map(|reason| reason.code.as_str());
    let detail = to.reason.as_ref().map(|reason| reason.message.as_str());
    info!(execution.id = %execution_id, attempt, phase, status, reason, detail, "ended");
}
