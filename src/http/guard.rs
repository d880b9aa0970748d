//! What a request must pass before a handler sees it: a known `Host`, no foreign page behind it,
//! room, and a time limit.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::{HeaderValue, Method};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;
use super::problem::{Kind, Problem};

pub(super) struct Guard {
    limits: Limits,
    room: Arc<Semaphore>,
}

/// A request's part of the requests at once, for answers that go on after their handler.
#[derive(Clone)]
pub(super) struct Room(
    #[expect(dead_code, reason = "it is held, not read")] Arc<OwnedSemaphorePermit>,
);

impl Guard {
    pub(super) fn new(limits: Limits) -> Self {
        let room = limits.concurrency.min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(room)), limits }
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

impl Guard {
    /// Whether a page of another origin sends the request. CORS keeps such pages from reading
    /// answers and from sending JSON, but not from sending requests without a body.
    fn is_foreign(&self, request: &Request) -> bool {
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            return false;
        }
        let Some(origin) = request.headers().get(ORIGIN) else { return false };
        let host = request.headers().get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        let own = [b"http://", b"https://".as_slice()]
            .iter()
            .any(|scheme| origin.as_bytes().strip_prefix(*scheme) == Some(host));
        !own && !self.limits.cors_origins.contains(origin)
    }
}

pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    // Load balancers and orchestrators look by address; what they see is no secret.
    let is_health = super::is_health(&request);
    if !is_health && !guard.knows_host(&request) {
        return Problem::new(
            Kind::UnknownHost,
            "Use one of the host names this service was started for (allowed_hosts).",
        )
        .into_response();
    }
    if guard.is_foreign(&request) {
        return Problem::new(
            Kind::ForeignOrigin,
            "Pages of this origin may not call the service (http.cors_origins).",
        )
        .into_response();
    }
    let mut request = request;
    let room = Arc::clone(&guard.room).try_acquire_owned().ok().map(|room| Room(Arc::new(room)));
    if let Some(room) = &room {
        request.extensions_mut().insert(room.clone());
    } else if !is_health && request.uri().path() != "/metrics" {
        // A service at its limit is alive, and must be able to show it.
        return Problem::new(Kind::Overloaded, "The service is at its limit; try again soon.")
            .retry_after(1)
            .into_response();
    }
    let answered = tokio::time::timeout(guard.limits.time, next.run(request)).await;
    drop(room);
    answered.unwrap_or_else(|_| {
        Problem::new(Kind::TimedOut, "The request was not answered in time; try again.")
            .retry_after(5)
            .into_response()
    })
}
