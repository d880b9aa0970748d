//! What can be read of a demand beside its status and history: plan and logs.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::Reader;
use super::demands::owned;
use super::extract::{DemandId, Query};
use super::problem::{Kind, Problem};
use crate::engine::job::LogLine;
use crate::plan::Plan;
use crate::plan::submission::Step;
use crate::run::LogError;

/// Tells a demand's plan, as it was when the demand was accepted.
#[utoipa::path(
    get, path = "/demands/{execution_id}/plan", operation_id = "getDemandPlan", tag = "demands",
    params(DemandId),
    responses(
        (status = 200, description = "The stored plan", body = Plan),
        super::responses::OwnDemandProblems,
        super::responses::CallerProblems,
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn plan(
    State(app): State<App>,
    Reader(caller): Reader,
    DemandId(id): DemandId,
) -> Result<Response, Problem> {
    owned(&app, &id, &caller).await?;
    let plan = app.runs.stored_plan(&id).await?.ok_or_else(|| Problem::unknown_demand(&id))?;
    Ok(([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], plan).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParameters {
    /// Which step's log; without it that of the step that failed, else of `execute`.
    step: Option<Step>,
    /// Of which attempt; the last one that has a log of the step without it.
    #[param(minimum = 1)]
    attempt: Option<u32>,
    /// Where to read on: the `next_cursor` of the answer before, for the same step and attempt.
    #[param(min_length = 1)]
    cursor: Option<String>,
    /// Lines in one answer.
    #[param(minimum = 1, maximum = 10_000, default = 1000)]
    limit: Option<usize>,
}

/// Lines of a step's log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogDocument {
    /// The step whose log it is.
    pub step: Step,
    /// Its attempt.
    pub attempt: u32,
    /// Oldest first; the tries of the step's job follow one another.
    pub lines: Vec<LogLine>,
    /// Where to read on.
    pub next_cursor: String,
    /// Whether nothing will ever follow.
    pub complete: bool,
}

/// Tells what a step's job wrote.
#[utoipa::path(
    get, path = "/demands/{execution_id}/logs", operation_id = "getDemandLogs", tag = "demands",
    params(DemandId, LogParameters),
    responses(
        (status = 200, description = "Lines of the log", body = LogDocument),
        super::responses::OwnDemandProblems,
        super::responses::CallerProblems,
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::QueryProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn logs(
    State(app): State<App>,
    Reader(caller): Reader,
    DemandId(id): DemandId,
    Query(parameters): Query<LogParameters>,
) -> Result<Response, Problem> {
    let LogParameters { step, attempt, cursor, limit } = parameters;
    let limit = limit.unwrap_or(1000);
    if !(1..=10_000).contains(&limit) {
        return Err(Problem::new(Kind::InvalidQuery, "limit takes 1 to 10000."));
    }
    owned(&app, &id, &caller).await?;
    let logs = app.runs.logs(&id, step, attempt, cursor.as_deref(), limit).await?;
    let document = LogDocument {
        step: logs.step,
        attempt: logs.attempt,
        lines: logs.lines,
        next_cursor: logs.next_cursor,
        complete: logs.complete,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(document)).into_response())
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::NotFound(id) => Problem::unknown_demand(&id),
            LogError::NoLog => Self::new(
                Kind::NoLog,
                "No such step has a log; a log exists once the step's command has started.",
            ),
            LogError::Cursor => Self::new(
                Kind::InvalidQuery,
                "The cursor is none of this log's; start without one.",
            ),
            LogError::Store(failed) => failed.into(),
            LogError::Engine(failed) => {
                tracing::warn!(error = %crate::telemetry::chain(&failed), "a log cannot be read");
                Self::new(Kind::Unavailable, "The log cannot be read at present; try again.")
                    .retry_after(5)
            }
        }
    }
}
