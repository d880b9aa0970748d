//! The service's metrics, and those of HTTP itself.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tracing::warn;

use super::App;
use super::auth::Reader;
use super::problem::Problem;
use crate::run::Runs;
use crate::telemetry::chain;
use crate::telemetry::metrics::{Histograms, Labels, OPEN_METRICS, registry, short, text};

/// What is measured of requests; cheap to clone, shared by all clones.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    requests: Family<Labels<3, String>, Counter>,
    durations: Histograms<Labels<1, String>>,
    under_way: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(short),
            under_way: Gauge::default(),
        }
    }
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("http");
        registry.register(
            "requests",
            "Requests answered, by method, route and status",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time to the head of an answer, but for those that wait for something to happen",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "requests_under_way",
            "Requests whose answer has not begun",
            self.under_way.clone(),
        );
    }
}

/// What `/metrics` answers from.
#[derive(Debug)]
pub(super) struct Measured {
    registry: Registry,
}

impl Measured {
    /// The metrics of the service, those of HTTP among them.
    pub(super) fn new(runs: &Runs, http: &Metrics) -> Self {
        let registry = registry(|own| {
            runs.register(own);
            http.register(own);
        });
        Self { registry }
    }
}

/// Answers the service's metrics for Prometheus.
///
/// In the OpenMetrics text format; `deploy/README.md` tells what each means.
#[utoipa::path(
    get, path = "/metrics", operation_id = "getMetrics", tag = "operations",
    responses(
        (status = 200, description = "The metrics", body = String,
            content_type = "application/openmetrics-text"),
        super::responses::CallerProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn metrics(State(app): State<App>, _caller: Reader) -> Result<Response, Problem> {
    if let Err(failed) = app.runs.measure().await {
        // The rest is wanted all the more.
        warn!(error = %chain(&failed), "cannot count the demands under way");
    }
    let text = text(&app.measured.registry).map_err(|failed| Problem::internal(&failed))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS), (CACHE_CONTROL, "no-store")], text).into_response())
}

/// Counts requests, and how long they take.
pub(super) async fn count(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    // Paths and methods are what clients make of them: only those there are make series.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let route = route.to_owned();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        _ => "other",
    };
    let begun = Instant::now();
    let under_way = UnderWay::begin(&metrics.under_way);
    let response = next.run(request).await;
    drop(under_way);
    if response.extensions().get::<Held>().is_none() {
        let labels = [("route", route.clone())];
        metrics.durations.get_or_create(&labels).observe(begun.elapsed().as_secs_f64());
    }
    let status = response.status().as_str().to_owned();
    let labels = [("method", method.to_owned()), ("route", route), ("status", status)];
    metrics.requests.get_or_create(&labels).inc();
    response
}

/// Marks an answer that may have been held until something happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held;

/// A request under way, also when whoever sent it goes away.
struct UnderWay(Gauge);

impl UnderWay {
    fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}
