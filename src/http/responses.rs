//! The errors that many operations have in common, as the OpenAPI document tells them.

use utoipa::IntoResponses;

use super::problem::Problem;

/// What a body can have wrong.
#[derive(IntoResponses)]
pub enum BodyProblems {
    /// The body is not JSON, or nested too deep
    #[response(status = 400, content_type = "application/problem+json")]
    InvalidJson(Problem),
    /// The body is larger than the service takes
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not application/json
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
}

/// What a query can have wrong.
#[derive(IntoResponses)]
pub enum QueryProblems {
    /// A query parameter cannot be understood
    #[response(status = 400, content_type = "application/problem+json")]
    InvalidQuery(Problem),
}

/// What can fail whatever the request.
#[derive(IntoResponses)]
pub enum ServiceProblems {
    /// The service failed; the request id finds the cause in its log
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// The service is at its limit, or cannot do it now
    #[response(status = 503, content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "Seconds after which to try again")))]
    Unavailable(Problem),
}

/// What a request can ask for that is not to be had.
#[derive(IntoResponses)]
pub enum AcceptProblems {
    /// Nothing that the request accepts is to be had
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(Problem),
}

/// What the address that a request is sent to can have wrong.
#[derive(IntoResponses)]
pub enum HostProblems {
    /// The `Host` is not one of the service's names
    #[response(status = 421, content_type = "application/problem+json")]
    UnknownHost(Problem),
}

/// What whoever calls can have wrong.
#[derive(IntoResponses)]
pub enum CallerProblems {
    /// The request has no token, or none that is accepted
    #[response(status = 401, content_type = "application/problem+json",
        headers(("WWW-Authenticate" = String, description = "How to authenticate (RFC 6750)")))]
    Unauthenticated(Problem),
    /// The token does not permit it, or a page of another origin sends the request
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
}

/// What a demand that is named can have wrong.
#[derive(IntoResponses)]
pub enum OwnDemandProblems {
    /// There is no such demand, or nothing of the kind yet
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Problem),
}
