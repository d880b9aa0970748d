//! Tells waiting readers that a demand has changed, and into what: a thousand who wait for one
//! demand read nothing.
//!
//! A reader subscribes before it reads, so that no change between its reading and its waiting is
//! lost. Only demands that somebody waits for take memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::record::Record;

/// Whom to tell of which demand's change; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    demands: Arc<Mutex<HashMap<String, watch::Sender<Latest>>>>,
}

/// A demand as it was last published.
type Latest = Option<Arc<Changed>>;

/// What a demand has become, and what whoever waits for that makes of it, once for all of them.
#[derive(Debug)]
pub struct Changed {
    /// The demand.
    pub record: Record,
    rendered: OnceLock<Bytes>,
}

impl Changed {
    /// The demand, looked at by one alone.
    pub fn new(record: Record) -> Self {
        Self { record, rendered: OnceLock::new() }
    }

    /// What `render` made of it the first time.
    pub fn rendered(&self, render: impl FnOnce(&Record) -> Bytes) -> Bytes {
        self.rendered.get_or_init(|| render(&self.record)).clone()
    }
}

/// A wait for changes of one demand.
#[derive(Debug)]
pub struct Subscription {
    execution_id: String,
    /// None only while it is dropped.
    latest: Option<watch::Receiver<Latest>>,
    changes: Changes,
}

impl Changes {
    /// Everything that happens to the demand from now on reaches the subscription.
    pub(super) fn subscribe(&self, execution_id: &str) -> Subscription {
        let mut demands = self.demands.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = demands
            .entry(execution_id.to_owned())
            .or_insert_with(|| watch::Sender::new(None))
            .subscribe();
        let latest = Some(latest);
        Subscription { execution_id: execution_id.to_owned(), latest, changes: self.clone() }
    }

    /// Tells those who wait what the demand is now.
    pub(super) fn publish(&self, record: &Record) {
        let demands = self.demands.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = demands.get(&record.execution_id) else { return };
        sender.send_if_modified(|latest| {
            // Of two changes the later one may be published first.
            let is_newer =
                latest.as_ref().is_none_or(|known| known.record.version < record.version);
            if is_newer {
                *latest = Some(Arc::new(Changed::new(record.clone())));
            }
            is_newer
        });
    }
}

impl Subscription {
    /// Returns when the demand has changed since the subscription, or since this last returned,
    /// with what it is then.
    pub async fn changed(&mut self) -> Arc<Changed> {
        loop {
            // The sender lives in the map for as long as this subscription does.
            let Some(latest) = &mut self.latest else { std::future::pending().await };
            if latest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(latest) = &*latest.borrow_and_update() {
                return Arc::clone(latest);
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut demands = self.changes.demands.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that of two that go at once one sees that it is the last.
        self.latest = None;
        if demands.get(&self.execution_id).is_some_and(|sender| sender.receiver_count() == 0) {
            demands.remove(&self.execution_id);
        }
    }
}
