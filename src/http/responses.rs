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

/// What whoever calls can have wrong.
#[derive(IntoResponses)]
pub enum CallerProblems {
    /// The request has no token, or none that is accepted
    #[response(status = 401, content_type = "application/problem+json",
        headers(("WWW-Authenticate" = String, description = "How to authenticate (RFC 6750)")))]
    Unauthenticated(#[to_schema] Problem),
    /// The token does not permit it, or a page of another origin sends the request
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
    /// Nothing that the request accepts is to be had
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(#[to_schema] Problem),
    /// The `Host` is not one of the service's names
    #[response(status = 421, content_type = "application/problem+json")]
    UnknownHost(#[to_schema] Problem),
}

/// What a demand that is named can have wrong.
#[derive(IntoResponses)]
pub enum OwnDemandProblems {
    /// There is no such demand, or nothing of the kind yet
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(#[to_schema] Problem),
}
