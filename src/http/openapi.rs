//! The OpenAPI document: routes with their operations, and the shapes that only the document
//! needs.

use std::sync::LazyLock;

use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr, Required};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accept::JSON;
use super::auth::Scope;
use super::{App, accept, demands, events, examples, health, listing, metrics, reading};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Demand context manager",
        description = include_str!("../../openapi/description.md"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "demands", description = "Submit demands, follow them, steer them"),
        (name = "operations", description = "For those who run the service"),
    ),
    servers((url = "/", description = "The service that answers this document")),
    components(schemas(super::request::DemandRequest)),
    modifiers(&Security),
)]
struct Api;

/// The name of the one way to authenticate.
const BEARER: &str = "bearer";

/// What callers must send, and for which operations.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let description = "A token that `demand token new` made, or a JSON Web Token of the \
                           identity provider that the service was told of. Its scopes are \
                           `demands:read`, `demands:write` and `demands:admin`. Where neither is \
                           set up, as in local mode, none is asked for.";
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    }
}

/// Says of each operation that asks who calls which scope it needs.
fn secure(mut document: Document) -> Document {
    let operations = document.paths.paths.values_mut().flat_map(|item| {
        let reading = item.get.iter_mut().map(|operation| (operation, Scope::Read));
        reading.chain(item.post.iter_mut().map(|operation| (operation, Scope::Write)))
    });
    for (operation, scope) in operations {
        let asks_who_calls = operation.responses.responses.contains_key("401");
        let needed = SecurityRequirement::new(BEARER, [scope.as_str()]);
        operation.security = Some(if asks_who_calls { vec![needed] } else { Vec::new() });
    }
    document
}

/// Says that the body of a retry may be absent, which the handler's own words cannot.
fn free_bodies(document: &mut Document) {
    let operations = document.paths.paths.values_mut().filter_map(|item| item.post.as_mut());
    for operation in operations {
        let retries = operation.operation_id.as_deref() == Some("retryDemand");
        if let (true, Some(RefOr::T(body))) = (retries, &mut operation.request_body) {
            body.required = Some(Required::False);
        }
    }
}

/// All routes, each with its operation.
pub(super) fn routes() -> OpenApiRouter<App> {
    let json = OpenApiRouter::new()
        .routes(routes!(demands::submit, listing::list))
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
    OpenApiRouter::with_openapi(Api::openapi())
        .merge(json)
        .routes(routes!(events::events))
        .routes(routes!(metrics::metrics))
}

/// The document itself.
pub fn document() -> Document {
    let mut document = secure(routes().into_openapi());
    free_bodies(&mut document);
    examples::show(&mut document);
    document
}

/// Answers this document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "getOpenApi", tag = "operations",
    responses(
        (status = 200, description = "The OpenAPI 3.1 document", body = std::collections::HashMap<String, serde_json::Value>),
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
async fn openapi() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        // Made of texts and numbers alone, which always have a JSON form.
        serde_json::to_vec(&document()).unwrap_or_default().into()
    });
    ([(CACHE_CONTROL, "no-cache"), (CONTENT_TYPE, JSON)], DOCUMENT.clone()).into_response()
}
