//! Counts the requests to AWS Batch as they leave, each try of a call by itself: what AWS counts
//! against the account's limits.

use std::time::Instant;

use aws_sdk_batch::config::http::HttpResponse;
use aws_sdk_batch::config::interceptors::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_batch::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_batch::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::failure::tells_of_throttling;
use crate::telemetry::metrics::{Histograms, Labels, short};

/// Cheap to clone, shared by all clones.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    requests: Family<Labels<2, String>, Counter>,
    durations: Histograms<Labels<1, String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { requests: Family::default(), durations: Family::new_with_constructor(short) }
    }
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("batch");
        registry.register(
            "requests",
            "Requests to AWS Batch, by operation and outcome",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time of a request to AWS Batch",
            Unit::Seconds,
            self.durations.clone(),
        );
    }
}

/// When a request left.
#[derive(Debug)]
struct Begun(Instant);

impl Storable for Begun {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        state.interceptor_state().store_put(Begun(Instant::now()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = state.load::<Metadata>().map(|it| it.name().to_owned()).unwrap_or_default();
        if let Some(Begun(at)) = state.load::<Begun>() {
            let labels = [("operation", operation.clone())];
            self.durations.get_or_create(&labels).observe(at.elapsed().as_secs_f64());
        }
        let outcome = context.response().map_or("unanswered", outcome).to_owned();
        self.requests.get_or_create(&[("operation", operation), ("outcome", outcome)]).inc();
        Ok(())
    }
}

/// How a request ended that was answered.
fn outcome(answer: &HttpResponse) -> &'static str {
    let status = answer.status().as_u16();
    let body = || String::from_utf8_lossy(answer.body().bytes().unwrap_or_default());
    match status {
        ..400 => "ok",
        429 => "throttled",
        _ if tells_of_throttling(answer.headers().get("x-amzn-errortype"), &body()) => "throttled",
        400..500 => "refused",
        _ => "failed",
    }
}
