//! Errors as RFC 9457 problem documents (<https://www.rfc-editor.org/rfc/rfc9457>).
//!
//! Every error of the service leaves as one of these, whoever made it: handlers answer
//! [`Problem`]s, and [`every_error_is_a_problem`] turns what the router and its layers answer into
//! them. A fault of the service itself hides its cause; the request id finds it in the log.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tower_http::request_id::RequestId;
use tracing::error;
use utoipa::ToSchema;

use crate::demand::json::JsonFault;
use crate::demand::{Fault, Faults};

/// The media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error, for programs and for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of error, for programs: `urn:demand:problem:<slug>`; stable.
    #[serde(rename = "type")]
    #[schema(example = "urn:demand:problem:invalid-demand")]
    pub kind: String,
    /// What kind of error, for people; the same for every error of this kind.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What is wrong with this request, and what to do.
    pub detail: String,
    /// The path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub instance: Option<String>,
    /// The request's id, by which the service's log knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_id: Option<String>,
    /// For a bad demand: all that is wrong with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// Seconds after which to try again; sent as `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u32>,
    /// How to authenticate; sent as `WWW-Authenticate`.
    #[serde(skip)]
    pub challenge: Option<String>,
}

impl Problem {
    /// A problem of this kind, with the status code and title that go with it.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:demand:problem:{}", kind.slug()),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            instance: None,
            request_id: None,
            errors: Vec::new(),
            retry_after: None,
            challenge: None,
        }
    }

    /// A fault of the service: logged here with its causes, hidden from the client.
    pub fn internal(failed: &(dyn std::error::Error + 'static)) -> Self {
        error!(error = %crate::telemetry::chain(failed), "a request failed");
        Self::new(
            Kind::Internal,
            "The service failed; sending the same again is safe. The request id finds the cause in \
             its log.",
        )
    }

    /// A body that is no JSON, or nested too deep to be a demand.
    pub fn invalid_json(fault: &JsonFault) -> Self {
        let kind = match fault {
            JsonFault::TooDeep { .. } => Kind::InvalidDemand,
            JsonFault::NotUtf8 { .. } | JsonFault::Syntax(_) => Kind::InvalidJson,
        };
        Self::new(kind, format!("The body is {}.", crate::telemetry::chain(fault)))
    }

    /// No demand has this id.
    pub fn unknown_demand(execution_id: &str) -> Self {
        Self::new(Kind::UnknownDemand, format!("There is no demand `{execution_id}`."))
    }

    /// A demand that cannot be planned; names everything that is wrong with it.
    pub fn invalid_demand(faults: Faults) -> Self {
        let errors = faults.into_vec();
        let noun = if errors.len() == 1 { "fault" } else { "faults" };
        let detail = format!("{} {noun}; nothing was stored.", errors.len());
        Self { errors, ..Self::new(Kind::InvalidDemand, detail) }
    }

    /// Asks the client to authenticate (RFC 9110, 11.6.1).
    #[must_use]
    pub fn challenge(self, challenge: String) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    /// Asks the client to come back.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // The document is written where the request is known: see `every_error_is_a_problem`.
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The body is not JSON, or not within its limits.
    InvalidJson,
    /// A query parameter cannot be understood.
    InvalidQuery,
    /// A header cannot be understood.
    InvalidHeader,
    /// The demand cannot be planned.
    InvalidDemand,
    /// There is no such path.
    NotFound,
    /// There is no such demand.
    UnknownDemand,
    /// There is no such log.
    NoLog,
    /// The request says not, or not believably, who sends it.
    Unauthenticated,
    /// Whoever sends it may not.
    Forbidden,
    /// No representation is of a media type that is accepted.
    NotAcceptable,
    /// The path knows other methods.
    MethodNotAllowed,
    /// The id is taken by another demand.
    IdTaken,
    /// The state forbids it.
    StateForbids,
    /// The body is too large.
    TooLarge,
    /// The body is of another media type.
    UnsupportedMediaType,
    /// The `Host` is not one of the service's names.
    UnknownHost,
    /// A web page of another origin sends it.
    ForeignOrigin,
    /// The service failed.
    Internal,
    /// The service cannot do it now.
    Unavailable,
    /// Too many requests at once.
    Overloaded,
    /// The request took too long.
    TimedOut,
    /// Any other client error.
    BadRequest,
}

impl Kind {
    fn slug(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid-json",
            Self::InvalidQuery => "invalid-query",
            Self::InvalidHeader => "invalid-header",
            Self::InvalidDemand => "invalid-demand",
            Self::NotFound => "not-found",
            Self::UnknownDemand => "unknown-demand",
            Self::NoLog => "no-log",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotAcceptable => "not-acceptable",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::IdTaken => "id-taken",
            Self::StateForbids => "state-forbids",
            Self::TooLarge => "too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::UnknownHost => "unknown-host",
            Self::ForeignOrigin => "foreign-origin",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timed-out",
            Self::BadRequest => "bad-request",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::InvalidJson => "The body is not acceptable JSON",
            Self::InvalidQuery => "A query parameter is not valid",
            Self::InvalidHeader => "A header is not valid",
            Self::InvalidDemand => "The demand cannot be planned",
            Self::NotFound => "There is nothing at this path",
            Self::UnknownDemand => "There is no such demand",
            Self::NoLog => "There is no such log",
            Self::Unauthenticated => "Nobody known sends this",
            Self::Forbidden => "Whoever sends this may not",
            Self::NotAcceptable => "Nothing is acceptable here",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::IdTaken => "The execution_id is taken by another demand",
            Self::StateForbids => "The demand's state forbids it",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The media type is not supported",
            Self::UnknownHost => "The service does not answer to this host name",
            Self::ForeignOrigin => "The page's origin may not call the service",
            Self::Internal => "The service failed",
            Self::Unavailable => "The service cannot do this now",
            Self::Overloaded => "Too many requests at once",
            Self::TimedOut => "The request took too long",
            Self::BadRequest => "The request is not valid",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidJson | Self::InvalidQuery | Self::InvalidHeader | Self::BadRequest => {
                StatusCode::BAD_REQUEST
            }
            Self::InvalidDemand => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotFound | Self::UnknownDemand | Self::NoLog => StatusCode::NOT_FOUND,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::IdTaken | Self::StateForbids => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Forbidden | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::Overloaded | Self::TimedOut => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The kind that tells most about a bare status code.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            status if status.is_server_error() => Self::Internal,
            _ => Self::BadRequest,
        }
    }
}

/// Writes the document of every problem, with the request's path and id, and gives one to every
/// error that has none.
pub async fn every_error_is_a_problem(request: Request, next: Next) -> Response {
    let instance = request.uri().path().to_owned();
    let method = request.method().clone();
    let request_id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok())
        .map(str::to_owned);
    let mut response = next.run(request).await;
    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>();
    let is_error = status.is_client_error() || status.is_server_error();
    // A handler's own document, such as that of readiness, says more than a problem would.
    let has_document =
        response.headers().get(CONTENT_TYPE).is_some_and(|t| t == "application/json");
    if !is_error || (problem.is_none() && has_document) {
        return response;
    }
    let problem = problem.unwrap_or_else(|| {
        let detail = match status {
            StatusCode::NOT_FOUND => format!("There is nothing at {instance}; see /openapi.json."),
            StatusCode::METHOD_NOT_ALLOWED => {
                format!("{instance} does not know {method}; the Allow header names what it knows.")
            }
            _ => status.canonical_reason().unwrap_or("The request failed").to_owned() + ".",
        };
        Problem::new(Kind::of_status(status), detail)
    });
    let (retry_after, challenge) = (problem.retry_after, problem.challenge.clone());
    let problem = Problem { instance: Some(instance), request_id, ..problem };
    let headers = response.headers().clone();
    let mut response = (status, axum::Json(problem)).into_response();
    for (name, value) in &headers {
        if name != CONTENT_TYPE && name != http::header::CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(Ok(challenge)) = challenge.map(HeaderValue::try_from) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}
