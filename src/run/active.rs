//! The demands to which something may happen, as the reconciler's loops follow them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::store::{Store, StoreError};

/// What a loop knows of the active demands, brought up to date by reading the store.
#[derive(Debug)]
pub(super) struct Active<T> {
    pub(super) demands: HashMap<String, Followed<T>>,
    next_refresh: Instant,
}

/// One active demand.
#[derive(Debug, Default)]
pub(super) struct Followed<T> {
    /// The version the loop last dealt with; 0 before it ever did.
    pub(super) version: i64,
    /// What the loop keeps of it.
    pub(super) data: T,
}

impl<T: Default> Active<T> {
    pub(super) fn new() -> Self {
        Self { demands: HashMap::new(), next_refresh: Instant::now() }
    }

    /// Forgets the demands that are no longer active, unless `keep` wants them, and answers those
    /// whose version is not the one dealt with. Waits first where the last refresh was just now: reading takes a fifth of
    /// the time at most, however many changes there are.
    pub(super) async fn refresh(
        &mut self,
        store: &Store,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Vec<String>, StoreError> {
        tokio::time::sleep_until(self.next_refresh.into()).await;
        let begun = Instant::now();
        let stored = store.active().await?;
        let ids: HashSet<&str> = stored.iter().map(|(id, _)| id.as_str()).collect();
        self.demands.retain(|id, followed| ids.contains(id.as_str()) || keep(&followed.data));
        let mut changed = Vec::new();
        for (id, version) in &stored {
            match self.demands.get(id) {
                Some(followed) if followed.version == *version => {}
                Some(_) => changed.push(id.clone()),
                None => {
                    self.demands.insert(id.clone(), Followed::default());
                    changed.push(id.clone());
                }
            }
        }
        self.next_refresh = Instant::now() + 4 * begun.elapsed().min(Duration::from_secs(1));
        Ok(changed)
    }
}
