//! The OpenAPI document: routes with their operations, and the shapes that only the document
//! needs.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use utoipa::openapi::OpenApi as Document;
use utoipa::{IntoResponses, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{App, demands, health, reading};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Demand context manager",
        description = "Takes demand executions, runs them, and tells their status.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "demands", description = "Submit demands, follow them, steer them"),
        (name = "operations", description = "For those who run the service"),
    ),
    components(schemas(super::request::DemandRequest)),
)]
struct Api;

/// All routes, each with its operation.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(demands::submit, demands::list))
        .routes(routes!(demands::plan))
        .routes(routes!(demands::get))
        .routes(routes!(demands::cancel))
        .routes(routes!(demands::retry))
        .routes(routes!(reading::plan))
        .routes(routes!(reading::events))
        .routes(routes!(reading::logs))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(openapi))
}

/// The document itself.
pub fn document() -> Document {
    routes().into_openapi()
}

/// Answers this document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "getOpenApi", tag = "operations",
    responses((status = 200, description = "The OpenAPI 3.1 document", body = serde_json::Value))
)]
async fn openapi() -> Response {
    ([(CACHE_CONTROL, "no-cache")], Json(document())).into_response()
}

/// What a body can have wrong.
#[derive(IntoResponses)]
pub enum BodyProblems {
    /// The body is not JSON, or nested too deep
    #[response(status = 400, content_type = "application/problem+json")]
    InvalidJson(#[to_schema] Problem),
    /// The body is larger than the service takes
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] Problem),
    /// The body is not application/json
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(#[to_schema] Problem),
}

/// What a query can have wrong.
#[derive(IntoResponses)]
pub enum QueryProblems {
    /// A query parameter cannot be understood
    #[response(status = 400, content_type = "application/problem+json")]
    InvalidQuery(#[to_schema] Problem),
}

/// What can fail whatever the request.
#[derive(IntoResponses)]
pub enum ServiceProblems {
    /// The service failed; the request id finds the cause in its log
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(#[to_schema] Problem),
    /// The service is at its limit, or cannot do it now
    #[response(status = 503, content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "Seconds after which to try again")))]
    Unavailable(#[to_schema] Problem),
}
