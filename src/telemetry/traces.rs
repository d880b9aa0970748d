//! Traces over OTLP (<https://opentelemetry.io/docs/specs/otlp/>), where an operator wants them.
//!
//! A demand is one trace: it begins with the request that submits it, or with whoever sent that
//! request a `traceparent` (<https://www.w3.org/TR/trace-context/>), and goes on as long as the
//! demand does. What is needed for that is stored with the demand, so that a restart changes
//! nothing. Without an endpoint all of this does nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use jiff::Timestamp;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::task::spawn_blocking;
use tracing::{Span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::chain;
use crate::tls;

/// The service's name in traces, unless `OTEL_SERVICE_NAME` gives another.
const SERVICE: &str = "demand";

/// How long the last traces may take to be sent.
const LAST: Duration = Duration::from_secs(2);

/// The header that carries a trace from one service to the next.
const TRACEPARENT: &str = "traceparent";

/// Sends what is traced; what is not sent yet goes out when it is [closed](close).
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts sending to the collector at `endpoint`, its base URL; `OTEL_…` variables say the
    /// rest, the name of the service too where it is `named` there
    /// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
    ///
    /// # Errors
    /// When no client can be made for the endpoint.
    pub(super) fn to(endpoint: &str, named: bool) -> Result<Self, ExporterBuildError> {
        tls::install_provider();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()?;
        let resource = Resource::builder();
        let resource = if named { resource } else { resource.with_service_name(SERVICE) };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        global::set_tracer_provider(provider.clone());
        ON.store(true, Ordering::Relaxed);
        Ok(Self { provider })
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer(SERVICE)
    }
}

/// Sends what is left, where anything is traced. Waits for the collector for two seconds at
/// most.
pub async fn close(traces: Option<Traces>) {
    let Some(Traces { provider }) = traces else { return };
    let sent = spawn_blocking(move || provider.shutdown_with_timeout(LAST)).await;
    match sent {
        Ok(Ok(())) => {}
        Ok(Err(failed)) => warn!(error = %chain(&failed), "the last traces were not sent"),
        Err(failed) => warn!(error = %chain(&failed), "the last traces were not sent"),
    }
}

static ON: AtomicBool = AtomicBool::new(false);

/// Whether anything is traced.
pub fn are_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// The `traceparent` that a request brought along.
pub fn of(headers: &HeaderMap) -> Option<&str> {
    headers.get(TRACEPARENT).and_then(|parent| parent.to_str().ok())
}

/// Lets `span` go on with the trace that a `traceparent` tells of.
pub fn continue_trace(span: &Span, traceparent: Option<&str>) {
    if let Some(traceparent) = traceparent.filter(|_| are_on()) {
        // Refused by spans that are not traced.
        let _ = span.set_parent(context(traceparent));
    }
}

/// Says more of `span`, to traces alone.
pub fn describe<const N: usize>(span: &Span, attributes: [(&'static str, &str); N]) {
    if are_on() {
        for (key, value) in attributes {
            span.set_attribute(key, value.to_owned());
        }
    }
}

/// Where the current span stands, as a `traceparent`; nothing where it is not traced.
pub fn here() -> Option<String> {
    if !are_on() {
        return None;
    }
    let context = Span::current().context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Something of a trace that is told once it is over.
#[derive(Debug)]
pub struct Past<'a> {
    /// What it was.
    pub name: &'static str,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What ended it, where it ended badly.
    pub failure: Option<&'a str>,
    /// More of it.
    pub attributes: Vec<(&'static str, String)>,
}

/// Adds to a trace that [`here`] told of.
pub fn tell(traceparent: Option<&str>, past: Past<'_>) {
    let Some(traceparent) = traceparent.filter(|_| are_on()) else { return };
    let tracer = global::tracer(SERVICE);
    let attributes = past.attributes.into_iter().map(|(key, value)| KeyValue::new(key, value));
    let mut span = tracer
        .span_builder(past.name)
        .with_kind(SpanKind::Internal)
        .with_start_time(SystemTime::from(past.begun))
        .with_attributes(attributes)
        .start_with_context(&tracer, &context(traceparent));
    if let Some(failure) = past.failure {
        span.set_status(Status::error(failure.to_owned()));
    }
    span.end_with_timestamp(past.ended.max(past.begun).into());
}

fn context(traceparent: &str) -> Context {
    struct Parent<'a>(&'a str);
    impl Extractor for Parent<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACEPARENT).then_some(self.0)
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(traceparent))
}
