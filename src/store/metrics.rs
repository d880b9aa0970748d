//! What an operator watches of the store.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::telemetry::metrics::short;

/// The store's metrics; cheap to clone, shared by all clones.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    /// From asking for a read to having its rows.
    pub(super) read: Histogram,
    /// From handing a change over to its being on disk.
    pub(super) write: Histogram,
    /// One commit, however many changes it carries.
    pub(super) commit: Histogram,
    /// Changes committed.
    pub(super) changes: Counter,
    /// Commits that failed.
    pub(super) failures: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            read: short(),
            write: short(),
            commit: short(),
            changes: Counter::default(),
            failures: Counter::default(),
        }
    }
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("store");
        for (name, help, histogram) in [
            ("read_duration", "Time from asking for a read to having its rows", &self.read),
            ("write_duration", "Time from a change to its being on disk", &self.write),
            ("commit_duration", "Time of one commit, which may carry many changes", &self.commit),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register("changes", "Changes committed", self.changes.clone());
        registry.register("commit_failures", "Commits that failed", self.failures.clone());
    }
}
