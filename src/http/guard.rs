//! What a request must pass before a handler sees it: room, a known `Host`, and a time limit.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::HOST;
use tokio::sync::Semaphore;

use super::Limits;
use super::problem::{Kind, Problem};

pub(super) struct Guard {
    limits: Limits,
    room: Semaphore,
}

impl Guard {
    pub(super) fn new(limits: Limits) -> Self {
        Self { room: Semaphore::new(limits.concurrency), limits }
    }

    /// The host in `Host` or, in HTTP/1.1's absolute form, in the request's own URI.
    fn knows_host(&self, request: &Request) -> bool {
        if self.limits.hosts.iter().any(|host| host == "*") {
            return true;
        }
        let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let Some(authority) = named.or(request.uri().authority().map(http::uri::Authority::as_str))
        else {
            return false;
        };
        let host = authority
            .parse::<http::uri::Authority>()
            .map(|authority| authority.host().to_ascii_lowercase())
            .unwrap_or_default();
        self.limits.hosts.iter().any(|known| known.eq_ignore_ascii_case(&host))
    }
}

pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    if !guard.knows_host(&request) {
        return Problem::new(
            Kind::UnknownHost,
            "Use one of the host names this service was started for (allowed_hosts).",
        )
        .into_response();
    }
    let Ok(_room) = guard.room.try_acquire() else {
        return Problem::new(Kind::Overloaded, "The service is at its limit; try again soon.")
            .retry_after(1)
            .into_response();
    };
    tokio::time::timeout(guard.limits.time, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(Kind::TimedOut, "The request was not answered in time.").into_response()
    })
}
