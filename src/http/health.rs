//! Liveness and readiness.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;

/// Whether the service lives.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Live {
    /// Always `live`.
    pub status: String,
}

/// Whether the service can do its work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether all of the parts are ready.
    pub ready: bool,
    /// Each part's state.
    pub parts: Vec<PartReadiness>,
}

/// Whether one part can do its work.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PartReadiness {
    /// `store`, `reconciler` or `engine`.
    pub part: String,
    /// Whether it is ready; the service's log tells why not.
    pub ready: bool,
}

/// Answers while the service lives.
#[utoipa::path(
    get, path = "/health/live", operation_id = "getLiveness", tag = "operations",
    responses((status = 200, description = "It lives", body = Live))
)]
pub(super) async fn live() -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(Live { status: "live".to_owned() })).into_response()
}

/// Tells whether demands can be accepted and driven: store writable, reconciler alive, engine
/// reachable.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "getReadiness", tag = "operations",
    responses(
        (status = 200, description = "It is ready", body = Readiness),
        (status = 503, description = "It is not; the parts tell why", body = Readiness),
    )
)]
pub(super) async fn ready(State(app): State<App>) -> Response {
    let parts: Vec<PartReadiness> = app
        .runs
        .ready()
        .await
        .into_iter()
        .map(|(part, ready)| PartReadiness { part: part.to_owned(), ready })
        .collect();
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CACHE_CONTROL, "no-store")], Json(Readiness { ready, parts })).into_response()
}
