//! Demands: submit, look at, cancel, retry.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, StatusCode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use tracing::Instrument;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::accept::JSON;
use super::auth::{Caller, Reader, Writer};
use super::extract::{DemandId, IdempotencyKey, IfNoneMatch, JsonBody, OptionalJsonBody, Query};
use super::metrics::Held;
use super::problem::{Kind, Problem};
use crate::config::LONGEST_HOLD;
use crate::plan::Plan;
use crate::run::record::Record;
use crate::run::state::Phase;
use crate::run::status::StatusDocument;
use crate::run::transitions::TransitionError;
use crate::run::{AcceptError, Accepted, Changed, PlanError};
use crate::store::StoreError;

/// Submits a demand.
///
/// Answered only after the demand is stored. The same content under the same `execution_id` may be
/// sent again without harm. Without an `execution_id` the service makes one; an `Idempotency-Key`
/// then makes sending again safe.
#[utoipa::path(
    post, path = "/demands", operation_id = "submitDemand", tag = "demands",
    params(IdempotencyKey),
    request_body(content = super::request::DemandRequest, content_type = "application/json"),
    responses(
        (status = 201, description = "Accepted", body = StatusDocument,
            headers(("Location" = String, description = "The demand's path"),
                    ("ETag" = String, description = "The document's version"))),
        (status = 200, description = "Accepted before", body = StatusDocument,
            headers(("Location" = String, description = "The demand's path"),
                    ("ETag" = String, description = "The document's version"))),
        (status = 409, description = "The execution_id is another demand's", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "The demand cannot be planned; every fault is named",
            body = Problem, content_type = "application/problem+json"),
        super::responses::BodyProblems,
        super::responses::CallerProblems,
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn submit(
    State(app): State<App>,
    Writer(caller): Writer,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let runs = app.runs.clone();
    let accepted =
        finished(async move { runs.accept(&request, caller.subject(), key).await }).await?;
    let (status, record) = match accepted {
        Accepted::New(record) => (StatusCode::CREATED, record),
        Accepted::Before(record) => (StatusCode::OK, record),
    };
    let location = [(LOCATION, format!("/demands/{}", record.execution_id))];
    Ok((status, location, document(&app, &record)).into_response())
}

/// Plans a demand and stores nothing.
#[utoipa::path(
    post, path = "/demands/plan", operation_id = "planDemand", tag = "demands",
    request_body(content = super::request::DemandRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The plan", body = Plan),
        (status = 422, description = "The demand cannot be planned; every fault is named",
            body = Problem, content_type = "application/problem+json"),
        super::responses::BodyProblems,
        super::responses::CallerProblems,
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn plan(
    State(app): State<App>,
    _caller: Writer,
    JsonBody(request): JsonBody,
) -> Result<Json<Plan>, Problem> {
    Ok(Json(app.runs.plan(&request).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GetParameters {
    /// Holds the answer for up to this many seconds: until the version differs from
    /// `If-None-Match`, or, without that header, until the demand has ended.
    #[param(minimum = 0, maximum = 50)]
    wait: Option<u64>,
}

/// Tells where a demand stands.
#[utoipa::path(
    get, path = "/demands/{execution_id}", operation_id = "getDemand", tag = "demands",
    params(DemandId, IfNoneMatch, GetParameters),
    responses(
        (status = 200, description = "The demand", body = StatusDocument,
            headers(("ETag" = String, description = "The document's version"))),
        (status = 304, description = "Nothing has changed",
            headers(("ETag" = String, description = "The document's version"))),
        (status = 404, description = "There is no such demand", body = Problem,
            content_type = "application/problem+json"),
        super::responses::QueryProblems,
        super::responses::CallerProblems,
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn get(
    State(app): State<App>,
    _caller: Reader,
    DemandId(id): DemandId,
    Query(GetParameters { wait }): Query<GetParameters>,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let wait = Duration::from_secs(wait.unwrap_or_default());
    if wait > LONGEST_HOLD {
        return Err(Problem::new(Kind::InvalidQuery, "wait takes 0 to 50 seconds."));
    }
    let deadline = tokio::time::Instant::now() + wait;
    // Before the look, so that no change is missed between the two.
    let mut changes = app.runs.subscribe(&id);
    let record = app.runs.get(&id).await?.ok_or_else(|| Problem::unknown_demand(&id))?;
    let mut latest = Arc::new(Changed::new(record));
    loop {
        let record = &latest.record;
        let fresh = !known.names(&etag(record.version));
        let ended = record.state.phase == Phase::Done;
        let over = tokio::time::Instant::now() >= deadline || app.stopping.is_cancelled();
        if over || (known.0.is_some() && fresh) || (known.0.is_none() && ended) {
            let headers = version_headers(record);
            let mut answer = if fresh {
                // A document is made of texts and numbers alone, which always have a JSON form.
                let body = latest.rendered(|record| {
                    serde_json::to_vec(&app.runs.document(record)).unwrap_or_default().into()
                });
                (headers, [(CONTENT_TYPE, JSON)], body).into_response()
            } else {
                (StatusCode::NOT_MODIFIED, headers).into_response()
            };
            if !wait.is_zero() {
                answer.extensions_mut().insert(Held);
            }
            return Ok(answer);
        }
        tokio::select! {
            now = changes.changed() => {
                // What was looked at may be newer than what is only now told.
                if now.record.version > latest.record.version {
                    latest = now;
                }
            }
            () = tokio::time::sleep_until(deadline) => {}
            () = app.stopping.cancelled() => {}
        }
    }
}

/// Asks for a demand's end.
///
/// Its jobs are ended, and it is CANCELING until they are; asking again changes nothing.
#[utoipa::path(
    post, path = "/demands/{execution_id}/cancel", operation_id = "cancelDemand", tag = "demands",
    params(DemandId),
    responses(
        (status = 202, description = "Its end is on the way", body = StatusDocument,
            headers(("ETag" = String, description = "The document's version"))),
        (status = 404, description = "There is no such demand", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "It has ended", body = Problem,
            content_type = "application/problem+json"),
        super::responses::CallerProblems,
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Writer(caller): Writer,
    DemandId(id): DemandId,
) -> Result<Response, Problem> {
    owned(&app, &id, &caller).await?;
    let runs = app.runs.clone();
    let record = finished(async move { runs.cancel(&id, caller.subject()).await }).await?;
    Ok((StatusCode::ACCEPTED, document(&app, &record)).into_response())
}

/// Which attempt a retry follows.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RetryRequest {
    /// The attempt that ended badly; the new one is the next. Asking again for the same one
    /// changes nothing.
    #[schema(minimum = 1, maximum = 4_294_967_295_u64)]
    #[serde(deserialize_with = "whole")]
    pub from_attempt: u32,
}

/// A whole number however it is written: to JSON Schema `2.0` is an integer too.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let text = number.to_string();
    let whole = text.strip_suffix(".0").unwrap_or(&text);
    whole.parse().map_err(|_| D::Error::custom(format!("`{text}` is no number of an attempt")))
}

/// Asks for another attempt at a demand that failed or was canceled.
///
/// It starts at the first step that did not succeed, or at the first of all when the working
/// directory is gone.
#[utoipa::path(
    post, path = "/demands/{execution_id}/retry", operation_id = "retryDemand", tag = "demands",
    params(DemandId),
    request_body(content = RetryRequest, content_type = "application/json",
        description = "Without a body: the attempt that is the last one now"),
    responses(
        (status = 202, description = "The next attempt is on the way", body = StatusDocument,
            headers(("ETag" = String, description = "The document's version"))),
        (status = 404, description = "There is no such demand", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "It has not ended, or has completed", body = Problem,
            content_type = "application/problem+json"),
        super::responses::BodyProblems,
        super::responses::CallerProblems,
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn retry(
    State(app): State<App>,
    Writer(caller): Writer,
    DemandId(id): DemandId,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, Problem> {
    let from_attempt = body
        .map(serde_json::from_value::<RetryRequest>)
        .transpose()
        .map_err(|refused| Problem::new(Kind::BadRequest, format!("{refused}.")))?
        .map(|request| request.from_attempt);
    if from_attempt == Some(0) {
        return Err(Problem::new(Kind::BadRequest, "from_attempt counts from 1."));
    }
    owned(&app, &id, &caller).await?;
    let runs = app.runs.clone();
    let retry = async move { runs.retry(&id, from_attempt, caller.subject()).await };
    let record = finished(retry).await?;
    Ok((StatusCode::ACCEPTED, document(&app, &record)).into_response())
}

/// The demand of this id, which must be the caller's own unless they are an admin.
pub(super) async fn owned(app: &App, id: &str, caller: &Caller) -> Result<Record, Problem> {
    let record = app.runs.get(id).await?.ok_or_else(|| Problem::unknown_demand(id))?;
    caller.must_own(&record)?;
    Ok(record)
}

/// Does what was asked to its end, also when whoever asked goes away meanwhile: what is stored must
/// be told to the reconciler and to those who wait.
async fn finished<T, E>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(failed) => Err(Problem::internal(&failed)),
    }
}

fn document(app: &App, record: &Record) -> impl IntoResponse + use<> {
    (version_headers(record), Json(app.runs.document(record)))
}

/// A cached document must be asked about each time; the answer may be 304.
fn version_headers(record: &Record) -> [(HeaderName, String); 2] {
    [(ETAG, etag(record.version)), (CACHE_CONTROL, "no-cache".to_owned())]
}

fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

impl From<StoreError> for Problem {
    fn from(failed: StoreError) -> Self {
        Self::internal(&failed)
    }
}

impl From<TransitionError> for Problem {
    fn from(error: TransitionError) -> Self {
        match error {
            TransitionError::NotFound(id) => Problem::unknown_demand(&id),
            TransitionError::Illegal(illegal) => {
                Self::new(Kind::StateForbids, format!("{illegal}."))
            }
            TransitionError::Store(failed) => failed.into(),
            failed @ TransitionError::Plan { .. } => Self::internal(&failed),
        }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Faults(faults) => Self::invalid_demand(faults),
            PlanError::Catalogue(error) => {
                // Rounded up: a client that comes back too early is told to wait again.
                let seconds = error.retry_after.as_secs().saturating_add(1);
                Self::new(
                    Kind::Unavailable,
                    "The EFS file systems and access points cannot be read at present; nothing \
                     was stored. Send the demand again later.",
                )
                .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
            }
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Plan(why) => why.into(),
            AcceptError::IdTaken { execution_id, why } => {
                Self::new(Kind::IdTaken, format!("`{execution_id}` {why}."))
            }
            AcceptError::Store(failed) => failed.into(),
            AcceptError::Encode(failed) => Self::internal(&failed),
        }
    }
}
