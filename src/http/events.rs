//! A demand's history: as a document, or live as Server-Sent Events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::stream::{self, Stream};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::accept::{EVENT_STREAM, JSON, preferred};
use super::auth::Reader;
use super::demands::owned;
use super::extract::{DemandId, LastEventId, Query};
use super::guard::Room;
use super::problem::Problem;
use crate::run::Subscription;
use crate::run::history::HistoryEntry;
use crate::run::state::Phase;
use crate::store::StoreError;
use crate::telemetry::chain;

/// Entries of a history in one answer at most.
const ENTRIES: i64 = 1000;
/// How often a stream shows that it lives.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParameters {
    /// Entries after this one.
    #[param(value_type = i64, minimum = 0, maximum = 4_294_967_295_u64, default = 0)]
    #[serde(default)]
    after: u32,
}

/// A demand's history.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// Oldest first, 1000 at most; the `seq` of the last one, as `after`, reads on.
    pub events: Vec<HistoryEntry>,
}

/// Tells what happened to a demand.
///
/// With `Accept: text/event-stream` it tells live what happens until the demand has ended: each
/// event's id is the entry's `seq` and its data the entry as JSON. A stream that broke is resumed
/// by `Last-Event-ID`; 204 says that nothing is to follow.
#[utoipa::path(
    get, path = "/demands/{execution_id}/events", operation_id = "listDemandEvents",
    tag = "demands",
    params(
        DemandId,
        EventParameters,
        LastEventId,
    ),
    responses(
        (status = 200, description = "The history, so far or live", content(
            (EventList = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 204, description = "A stream has nothing more to tell: the demand has ended"),
        super::responses::OwnDemandProblems,
        super::responses::QueryProblems,
        super::responses::CallerProblems,
        super::responses::AcceptProblems,
        super::responses::HostProblems,
        super::responses::ServiceProblems,
    )
)]
pub(super) async fn events(
    State(app): State<App>,
    Reader(caller): Reader,
    DemandId(id): DemandId,
    Query(EventParameters { after }): Query<EventParameters>,
    last: LastEventId,
    Extension(room): Extension<Room>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = last.seq()?;
    let media_type = preferred(&headers, &[JSON, EVENT_STREAM])?;
    // Before the look, so that nothing happens unseen between the two.
    let changes = app.runs.subscribe(&id);
    owned(&app, &id, &caller).await?;
    if media_type == JSON {
        let events = app.runs.history(&id, after.into(), ENTRIES).await?;
        let events = events.ok_or_else(|| Problem::unknown_demand(&id))?;
        return Ok(([(CACHE_CONTROL, "no-store")], Json(EventList { events })).into_response());
    }
    let after = last.unwrap_or(after).into();
    let mut live = Live { app, id, after, changes, told: VecDeque::new(), _room: room };
    // Answered at once: a client that resumes shall not wait for its first byte.
    if live.read().await? && live.told.is_empty() {
        return Ok((StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")]).into_response());
    }
    let stream = Sse::new(live.stream()).keep_alive(KeepAlive::new().interval(COMMENT_EVERY));
    // Proxies that gather answers would hold the events back.
    let headers = [(CACHE_CONTROL.as_str(), "no-store"), ("x-accel-buffering", "no")];
    Ok((headers, stream).into_response())
}

/// A history that is still being written.
struct Live {
    app: App,
    id: String,
    after: i64,
    changes: Subscription,
    /// Entries that were read and are to be told next.
    told: VecDeque<HistoryEntry>,
    /// A stream counts among the requests at once for as long as it lasts.
    _room: Room,
}

impl Live {
    /// Reads the entries that are there; answers whether no more will follow them.
    async fn read(&mut self) -> Result<bool, StoreError> {
        // What the record says was so before the entries were read.
        let record = self.app.runs.get(&self.id).await?;
        let entries = self.app.runs.history(&self.id, self.after, ENTRIES).await?;
        self.told.extend(entries.into_iter().flatten());
        Ok(record.is_none_or(|record| record.state.phase == Phase::Done))
    }

    /// The next entry, waited for; nothing once the demand has ended and all is told, or the
    /// service stops.
    async fn next(&mut self) -> Result<Option<HistoryEntry>, StoreError> {
        loop {
            if let Some(entry) = self.told.pop_front() {
                self.after = entry.seq;
                return Ok(Some(entry));
            }
            let is_over = self.read().await?;
            if !self.told.is_empty() {
                continue;
            }
            if is_over || self.app.stopping.is_cancelled() {
                return Ok(None);
            }
            tokio::select! {
                _ = self.changes.changed() => {}
                () = self.app.stopping.cancelled() => {}
            }
        }
    }

    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut live| async move {
            let entry = live.next().await.unwrap_or_else(|failed| {
                // The client resumes where it was.
                tracing::error!(error = %chain(&failed), "a stream of events ends early");
                None
            })?;
            let data = serde_json::to_string(&entry).unwrap_or_default();
            let event = Event::default().id(entry.seq.to_string()).data(data);
            Some((Ok(event), live))
        })
    }
}
