//! The errors that many operations have in common, as the OpenAPI document tells them.

use utoipa::IntoResponses;

use super::problem::Problem;

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
