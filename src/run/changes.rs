//! Tells waiting readers that a demand has changed.
//!
//! A reader subscribes before it reads, so that no change between its reading and its waiting is
//! lost. Only demands that somebody waits for take memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Whom to tell of which demand's change; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    demands: Arc<Mutex<HashMap<String, watch::Sender<i64>>>>,
}

/// A wait for changes of one demand.
#[derive(Debug)]
pub struct Subscription {
    execution_id: String,
    version: watch::Receiver<i64>,
    changes: Changes,
}

impl Changes {
    /// Everything that happens to the demand from now on reaches the subscription.
    pub(super) fn subscribe(&self, execution_id: &str) -> Subscription {
        let mut demands = self.demands.lock().unwrap_or_else(PoisonError::into_inner);
        let version = demands
            .entry(execution_id.to_owned())
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe();
        Subscription { execution_id: execution_id.to_owned(), version, changes: self.clone() }
    }

    /// Tells those who wait that the demand is now at `version`.
    pub(super) fn publish(&self, execution_id: &str, version: i64) {
        let demands = self.demands.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = demands.get(execution_id) {
            sender.send_replace(version);
        }
    }
}

impl Subscription {
    /// Returns when the demand has changed since the subscription, or since this last returned.
    pub async fn changed(&mut self) {
        // The sender lives in the map for as long as this subscription does.
        if self.version.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut demands = self.changes.demands.lock().unwrap_or_else(PoisonError::into_inner);
        // This subscription's own receiver still counts.
        if demands.get(&self.execution_id).is_some_and(|sender| sender.receiver_count() <= 1) {
            demands.remove(&self.execution_id);
        }
    }
}
