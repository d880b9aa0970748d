//! The HTTP interface: handlers extract, call [`Runs`], and represent; nothing else.
//!
//! Layers, outermost first: a request id in and out; one line of log a request; every error as a
//! problem document; CORS; panics caught; overload refused; the `Host` checked; a time limit.

mod accept;
pub mod auth;
mod cursor;
mod demands;
mod events;
mod examples;
mod extract;
mod guard;
mod health;
mod listing;
mod metrics;
pub mod openapi;
mod problem;
mod reading;
pub mod request;
pub mod responses;
mod server;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, header};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tracing::{Span, debug, info, info_span};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub use openapi::document;
pub use problem::{Kind, PROBLEM_JSON, Problem};
pub use server::serve;

use crate::run::Runs;
use crate::telemetry::traces;
use auth::Authority;
use guard::Guard;
use metrics::{Measured, Metrics};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What bounds requests.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body: usize,
    /// How long a request may take; longer than the longest wait for a change.
    pub time: Duration,
    /// Requests at once, waits included.
    pub concurrency: usize,
    /// The names the service answers to in `Host`, without port; `*` is any.
    pub hosts: Vec<String>,
    /// The origins whose pages may read answers.
    pub cors_origins: Vec<HeaderValue>,
}

/// What handlers share; cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    runs: Runs,
    authority: Arc<Authority>,
    measured: Arc<Measured>,
    /// The largest body, in bytes.
    body_limit: usize,
    stopping: CancellationToken,
}

/// The service's routes, for callers that `authority` knows. Waits for changes end early once
/// `stopping` is canceled.
pub fn router(
    runs: Runs,
    authority: Authority,
    limits: Limits,
    stopping: CancellationToken,
) -> Router {
    let authority = Arc::new(authority);
    let origins = limits.cors_origins.clone();
    let body_limit = limits.body;
    let guard = Arc::new(Guard::new(limits));
    let metrics = Metrics::default();
    let measured = Arc::new(Measured::new(&runs, &metrics));
    let (routes, _) = openapi::routes().split_for_parts();
    let log = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_response(log_answer)
        // The answer is logged, and what made it fail where it did.
        .on_failure(());
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(log)
        .layer(from_fn_with_state(metrics, metrics::count))
        .layer(from_fn(weaken_encoded_tags))
        .layer(CompressionLayer::new())
        .layer(from_fn(problem::every_error_is_a_problem))
        .layer(cors(origins))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(guard, guard::check));
    // The page and all it shows come from this binary.
    let docs = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    routes
        .merge(docs)
        .with_state(App { runs, authority, measured, body_limit, stopping })
        .layer(layers)
}

/// Load balancers ask for health every few seconds: too often to be told each time.
fn is_health(request: &Request) -> bool {
    matches!(request.uri().path(), "/health/live" | "/health/ready")
}

/// One line a request, within its span; requests for health have none.
fn log_answer(answer: &Response, latency: Duration, span: &Span) {
    let (latency, status) = (latency.as_millis(), answer.status().as_u16());
    traces::describe(span, [("http.response.status_code", answer.status().as_str())]);
    if span.is_none() {
        debug!(latency = format!("{latency} ms"), status, "health told");
    } else {
        info!(latency = format!("{latency} ms"), status, "finished processing request");
    }
}

fn span(request: &Request) -> Span {
    if is_health(request) {
        return Span::none();
    }
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let (method, path) = (request.method(), request.uri().path());
    if !traces::are_on() {
        return info_span!("request", %method, path, request.id = id);
    }
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let name = format!("{method} {route}").trim_end().to_owned();
    let span = info_span!(
        "request", otel.name = name, otel.kind = "server", %method, path, request.id = id
    );
    traces::continue_trace(&span, traces::of(request.headers()));
    span
}

/// A tag that tells bytes does not hold for those that compression made of them (RFC 9110, 8.8.3).
async fn weaken_encoded_tags(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let is_encoded = response.headers().contains_key(header::CONTENT_ENCODING);
    if is_encoded
        && let Some(tag) = response.headers().get(header::ETAG)
        && !tag.as_bytes().starts_with(b"W/")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        response.headers_mut().insert(header::ETAG, weak);
    }
    response
}

fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            REQUEST_ID,
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            REQUEST_ID,
        ])
        .max_age(Duration::from_hours(1))
}
