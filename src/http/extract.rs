//! What handlers take from a request, refused with a problem where it is not acceptable.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use futures::StreamExt;
use http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::IntoParams;

use super::App;
use super::problem::{Kind, Problem};
use crate::demand::json;

/// How much of a body beyond the limit is read before it is refused.
const PASSED_OVER: usize = 16 * 1024 * 1024;

/// A JSON body: `application/json` only, so that no web page can send one without asking first;
/// within the limits of [`json::read`].
#[derive(Debug)]
pub struct JsonBody(pub Value);

impl FromRequest<App> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        let body = read(request.into_body(), app.body_limit).await?;
        parse(&body).map(Self)
    }
}

/// A JSON body that may be absent.
#[derive(Debug)]
pub struct OptionalJsonBody(pub Option<Value>);

impl FromRequest<App> for OptionalJsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let body = read(request.into_body(), app.body_limit).await?;
        if body.is_empty() {
            return Ok(Self(None));
        }
        if !is_json {
            return Err(not_json());
        }
        parse(&body).map(|body| Self(Some(body)))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

fn not_json() -> Problem {
    Problem::new(
        Kind::UnsupportedMediaType,
        "Send the body as application/json, with that Content-Type.",
    )
}

fn parse(body: &[u8]) -> Result<Value, Problem> {
    json::read(body).map_err(|fault| Problem::invalid_json(&fault))
}

/// The whole body, of `limit` bytes at most. What is beyond is read to its end, up to
/// [`PASSED_OVER`]: a client that is answered while it still sends may never see the answer.
async fn read(body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut frames = body.into_data_stream();
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| Problem::new(Kind::BadRequest, "The body ended early."))?;
        length = length.saturating_add(frame.len());
        if length <= limit {
            kept.extend_from_slice(&frame);
        } else if length - limit > PASSED_OVER {
            break;
        }
    }
    if length > limit {
        return Err(Problem::new(
            Kind::TooLarge,
            format!("The body is larger than {limit} bytes; put large data into S3 and name it."),
        ));
    }
    Ok(kept)
}

/// Query parameters. A parameter the path does not know is an error, since a filter that is
/// misspelt would otherwise answer everything.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let read = serde_path_to_error::deserialize(serde_html_form::Deserializer::new(pairs));
        read.map(Self).map_err(|refused| {
            let (name, why) = (refused.path().to_string(), refused.inner());
            let detail = if name == "." { format!("{why}.") } else { format!("`{name}`: {why}.") };
            Problem::new(Kind::InvalidQuery, detail)
        })
    }
}

/// The id in the path.
#[derive(Debug, IntoParams)]
#[into_params(names("execution_id"), parameter_in = Path)]
pub struct DemandId(
    /// The demand's id.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", example = "shout-1")]
    pub String,
);

impl<S: Send + Sync> FromRequestParts<S> for DemandId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(id)| Self(id))
            .map_err(|refused| Problem::new(Kind::UnknownDemand, format!("{refused}.")))
    }
}

/// The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header): 1 to 255 visible ASCII
/// characters.
#[derive(Debug, IntoParams)]
#[into_params(names("Idempotency-Key"), parameter_in = Header)]
pub struct IdempotencyKey(
    /// Recognises the request when it is sent again without an `execution_id`.
    #[param(
        min_length = 1,
        max_length = 255,
        nullable = false,
        example = "5b0f2c0e-5a5d-4c8e-9d4e-1d6a3f1f7c55"
    )]
    pub Option<String>,
);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        value
            .to_str()
            .ok()
            .filter(|key| (1..=255).contains(&key.len()))
            .map(|key| Self(Some(key.to_owned())))
            .ok_or_else(|| {
                Problem::new(
                    Kind::InvalidHeader,
                    "Idempotency-Key takes 1 to 255 visible ASCII characters.",
                )
            })
    }
}

/// The `If-None-Match` header (RFC 9110, 13.1.2), as it was sent.
#[derive(Debug, IntoParams)]
#[into_params(names("If-None-Match"), parameter_in = Header)]
pub struct IfNoneMatch(
    /// The `ETag` of an earlier answer.
    #[param(example = "\"4\"", nullable = false)]
    pub Option<String>,
);

impl IfNoneMatch {
    /// Whether it names this tag; tags are compared weakly.
    pub fn names(&self, tag: &str) -> bool {
        let known = self.0.iter().flat_map(|tags| tags.split(','));
        known
            .map(|known| known.trim().trim_start_matches("W/"))
            .any(|known| known == "*" || known == tag)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // One that cannot be read names no tag there is.
        let value = parts.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        Ok(Self(value.map(str::to_owned)))
    }
}

/// The `Last-Event-ID` header
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header>).
#[derive(Debug, IntoParams)]
#[into_params(names("Last-Event-ID"), parameter_in = Header)]
pub struct LastEventId(
    /// The `seq` of the last entry that a stream told, from which another goes on whatever `after`
    /// says; a history as JSON takes no notice.
    #[param(
        value_type = i64, minimum = 0, maximum = 4_294_967_295_u64, example = 4, required = false
    )]
    Option<HeaderValue>,
);

impl LastEventId {
    /// The `seq`, where one was sent.
    pub fn seq(self) -> Result<Option<u32>, Problem> {
        let Some(value) = self.0 else { return Ok(None) };
        let seq = value.to_str().ok().and_then(|value| value.trim().parse().ok());
        seq.map(Some).ok_or_else(|| {
            Problem::new(Kind::InvalidHeader, "Last-Event-ID takes the seq of an entry, a number.")
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.get("last-event-id").cloned()))
    }
}
