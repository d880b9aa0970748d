//! Metrics, as Prometheus scrapes them: the OpenMetrics text format
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
//!
//! Each part of the service owns its metrics and registers them here. Every label has a closed set
//! of values, so that the number of series does not grow with what users send.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
pub use prometheus_client::registry::Registry;

use super::process::Process;

/// The media type of the text.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the names of the service's own metrics begin with.
const OWN: &str = "demand";

/// Labels of a series: names and values.
pub(crate) type Labels<const N: usize, Value = &'static str> = [(&'static str, Value); N];

/// A histogram for each set of labels.
pub(crate) type Histograms<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// A place for metrics: those of the process, and those that `register` puts among the service's
/// own.
pub fn registry(register: impl FnOnce(&mut Registry)) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    let own = registry.sub_registry_with_prefix(OWN);
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    own.register("build", "The version that runs", build);
    register(own);
    registry
}

/// The metrics as they are now.
///
/// # Errors
/// When a metric cannot be written as text.
pub fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry).map(|()| text)
}

/// For what takes a millisecond to a minute, in seconds.
pub(crate) fn short() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0])
}

/// For what takes seconds to days, in seconds.
pub(crate) fn long() -> Histogram {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    Histogram::new([
        1.0,
        5.0,
        15.0,
        MINUTE,
        5.0 * MINUTE,
        15.0 * MINUTE,
        HOUR,
        4.0 * HOUR,
        12.0 * HOUR,
        24.0 * HOUR,
        72.0 * HOUR,
    ])
}
