//! The OpenAPI document: routes with their operations, and the shapes that only the document
//! needs.

use axum::Json;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{App, accept, demands, events, health, reading};

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
    let json = OpenApiRouter::new()
        .routes(routes!(demands::submit, demands::list))
        .routes(routes!(demands::plan))
        .routes(routes!(demands::get))
        .routes(routes!(demands::cancel))
        .routes(routes!(demands::retry))
        .routes(routes!(reading::plan))
        .routes(routes!(reading::logs))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(openapi))
        .route_layer(from_fn(accept::json));
    OpenApiRouter::with_openapi(Api::openapi()).merge(json).routes(routes!(events::events))
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
