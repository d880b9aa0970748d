//! Liveness and readiness.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use crate::run::Part;

/// That the service lives.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Liveness)]
pub struct Live {
    /// Always this.
    pub status: LiveStatus,
}

/// What a service that answers at all is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LiveStatus {
    /// It lives.
    Live,
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
    /// Which part.
    pub part: Part,
    /// Whether it is ready; the service's log tells why not.
    pub ready: bool,
}

/// Answers while the service lives.
#[utoipa::path(
    get, path = "/health/live", operation_id = "getLiveness", tag = "operations",
    responses((status = 200, description = "It lives", body = Live), super::responses::AcceptProblems)
)]
pub(super) async fn live() -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(Live { status: LiveStatus::Live })).into_response()
}

/// Tells whether demands can be accepted and driven: store writable, reconciler alive, engine
/// reachable.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "getReadiness", tag = "operations",
    responses(
        (status = 200, description = "It is ready", body = Readiness),
        (status = 503, description = "It is not; the parts tell why", body = Readiness),
        super::responses::AcceptProblems,
    )
)]
pub(super) async fn ready(State(app): State<App>) -> Response {
    let parts: Vec<PartReadiness> = app
        .runs
        .ready()
        .await
        .into_iter()
        .map(|(part, ready)| PartReadiness { part, ready })
        .collect();
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CACHE_CONTROL, "no-store")], Json(Readiness { ready, parts })).into_response()
}
