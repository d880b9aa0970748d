//! The list of demands: its filters, and its pages.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Reader;
use super::extract::Query;
use super::problem::{Kind, Problem};
use super::{App, cursor};
use crate::run::state::{Phase, Status};
use crate::run::status::StatusDocument;
use crate::store::{Filter, TagFilter};

/// Values of one filter at most, ids among them.
const VALUES: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Any of these statuses.
    #[param(max_items = 100)]
    #[serde(default)]
    status: Vec<Status>,
    /// Any of these phases.
    #[param(max_items = 100)]
    #[serde(default)]
    phase: Vec<Phase>,
    /// Any of these execution types.
    #[param(max_items = 100)]
    #[serde(default)]
    execution_type: Vec<String>,
    /// Any of these users.
    #[param(max_items = 100)]
    #[serde(default)]
    user: Vec<String>,
    /// Any of these queues.
    #[param(max_items = 100)]
    #[serde(default)]
    job_queue: Vec<String>,
    /// Any of these tags: `key`, or `key=value`.
    #[param(max_items = 100)]
    #[serde(default)]
    tag: Vec<String>,
    /// Accepted after this time (RFC 3339).
    created_after: Option<Timestamp>,
    /// Accepted before this time (RFC 3339).
    created_before: Option<Timestamp>,
    /// These demands only; unknown ones are left out.
    #[param(explode = false, max_items = 100)]
    #[serde(default)]
    ids: Vec<String>,
    /// Demands on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// Where to read on: the `next_cursor` of the page before, with the same filters.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// A page of a list of demands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DemandList {
    /// Newest first.
    pub demands: Vec<StatusDocument>,
    /// Where the next page starts; null on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Lists demands, newest first.
#[utoipa::path(
    get, path = "/demands", operation_id = "listDemands", tag = "demands",
    params(ListParameters),
    responses(
        (status = 200, description = "A page of demands", body = DemandList),
        super::responses::QueryProblems,
        super::responses::CallerProblems,
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    _caller: Reader,
    Query(parameters): Query<ListParameters>,
) -> Result<Response, Problem> {
    let limit = parameters.limit.unwrap_or(50);
    if !(1..=500).contains(&limit) {
        return Err(Problem::new(Kind::InvalidQuery, "limit takes 1 to 500."));
    }
    let cursor = parameters.cursor.clone();
    let filter = filter(parameters)?;
    let after = cursor.map(|cursor| cursor::decode(&cursor, &filter)).transpose()?;
    let page = app.runs.list(&filter, after.as_ref(), limit).await?;
    let next_cursor = page
        .next
        .map(|position| cursor::encode(position, &filter))
        .transpose()
        .map_err(|failed| Problem::internal(&failed))?;
    let demands = page.records.iter().map(|record| app.runs.document(record)).collect();
    Ok(([(CACHE_CONTROL, "no-store")], Json(DemandList { demands, next_cursor })).into_response())
}

fn filter(parameters: ListParameters) -> Result<Filter, Problem> {
    // Some clients repeat the parameter, though the document says to separate ids by commas.
    let given = !parameters.ids.is_empty();
    let ids = parameters.ids.iter().flat_map(|ids| ids.split(','));
    let ids: Vec<String> = ids.map(|id| id.trim().to_owned()).collect();
    for (name, values) in [
        ("status", parameters.status.len()),
        ("phase", parameters.phase.len()),
        ("execution_type", parameters.execution_type.len()),
        ("user", parameters.user.len()),
        ("job_queue", parameters.job_queue.len()),
        ("tag", parameters.tag.len()),
        ("ids", ids.len()),
    ] {
        if values > VALUES {
            let detail = format!("{name} takes at most {VALUES} values.");
            return Err(Problem::new(Kind::InvalidQuery, detail));
        }
    }
    let tag = |tag: String| match tag.split_once('=') {
        Some((key, value)) => TagFilter { key: key.to_owned(), value: Some(value.to_owned()) },
        None => TagFilter { key: tag, value: None },
    };
    Ok(Filter {
        status: parameters.status,
        phase: parameters.phase,
        execution_type: parameters.execution_type,
        user: parameters.user,
        job_queue: parameters.job_queue,
        tag: parameters.tag.into_iter().map(tag).collect(),
        created_after: parameters.created_after,
        created_before: parameters.created_before,
        ids: given.then_some(ids),
    })
}
