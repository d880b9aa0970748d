//! Calls of the HTTP interface. Every call may be made again (a submission carries its id), so
//! that a service which is being restarted or has too much to do is asked again for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use url::Url;

use super::document::Document;
use super::failure::{CallError, Refusal};
use crate::config::is_loopback;
use crate::tls;

/// How long a service that was never reached is asked again: a wrong address should be told soon.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(4);
/// How long a service that has answered before is asked again: it is probably being restarted.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pause before a call is made again: at first, and at most unless the service names one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long an answer may take that the service does not hold back.
const ANSWER: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);

/// A call and what it needs.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    body: Option<&'a Value>,
    if_none_match: Option<&'a HeaderValue>,
    hold: Duration,
    once: bool,
}

impl<'a> Call<'a> {
    /// `GET` of these path segments.
    pub fn get(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::GET,
            path,
            query: Vec::new(),
            body: None,
            if_none_match: None,
            hold: Duration::ZERO,
            once: false,
        }
    }

    /// `POST` to these path segments.
    pub fn post(path: &'a [&'a str], body: Option<&'a Value>) -> Self {
        Self { method: Method::POST, body, ..Self::get(path) }
    }

    /// Adds to the query.
    pub fn query(mut self, query: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.query.extend(query);
        self
    }

    /// Asks for an answer only if it is another than the one of this tag.
    pub fn if_none_match(mut self, tag: Option<&'a HeaderValue>) -> Self {
        self.if_none_match = tag;
        self
    }

    /// Lets the service hold the answer back for `seconds` (`?wait=`).
    pub fn hold(mut self, seconds: u64) -> Self {
        if seconds > 0 {
            self.hold = Duration::from_secs(seconds);
            self.query.push(("wait", seconds.to_string()));
        }
        self
    }

    /// Takes the first answer or failure for what it is.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

/// An answer of 2xx or 304.
#[derive(Debug)]
pub(super) struct Answer {
    url: Url,
    pub status: StatusCode,
    pub tag: Option<HeaderValue>,
    body: Vec<u8>,
}

impl Answer {
    /// Reads the document that was asked for.
    pub fn document<T: DeserializeOwned>(self) -> Result<Document<T>, CallError> {
        Document::parse(&self.body).map_err(|source| CallError::Foreign { url: self.url, source })
    }
}

/// The service at one address.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    reached: AtomicBool,
}

impl Client {
    /// `base` is of http or https; `authorization` is sent with every call.
    pub fn new(base: Url, authorization: Option<HeaderValue>) -> Result<Self, CallError> {
        tls::install_provider();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("demand/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT)
            // The interface knows none, and a token shall not follow one.
            .redirect(Policy::none());
        if base.scheme() == "http" {
            // A container without certificates can still ask its own service for its health.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(CallError::SetUp)?;
        Ok(Self { http, base, reached: AtomicBool::new(false) })
    }

    /// Makes the call, again while the service cannot be reached or asks for patience.
    pub async fn send(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let url = self.url(call);
        let begun = Instant::now();
        let (mut pause, longest) = PAUSES;
        loop {
            let mut retry_after = None;
            let result = self.attempt(call, &url, &mut retry_after).await;
            let again = match &result {
                Err(CallError::Unreachable { .. }) => true,
                Err(CallError::Answered(refusal)) => asks_for_patience(refusal.status),
                _ => false,
            };
            let reached = self.reached.load(Ordering::Relaxed);
            let patience = if reached { PATIENCE } else { PATIENCE_AT_FIRST };
            let wait = retry_after.unwrap_or(pause);
            if !again || call.once || begun.elapsed() + wait > patience {
                return result;
            }
            sleep(wait).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Makes the call; `retry_after` is what the service says of another try.
    async fn attempt(
        &self,
        call: &Call<'_>,
        url: &Url,
        retry_after: &mut Option<Duration>,
    ) -> Result<Answer, CallError> {
        let unreachable = |source| CallError::Unreachable { url: url.clone(), source };
        let mut request =
            self.http.request(call.method.clone(), url.clone()).timeout(ANSWER + call.hold);
        if let Some(tag) = call.if_none_match {
            request = request.header(IF_NONE_MATCH, tag);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unreachable)?;
        self.reached.store(true, Ordering::Relaxed);
        *retry_after = seconds_to_wait(&response);
        let status = response.status();
        let tag = response.headers().get(ETAG).cloned();
        let body = response.bytes().await.map_err(unreachable)?.to_vec();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            Ok(Answer { url: url.clone(), status, tag, body })
        } else {
            Err(CallError::Answered(Box::new(Refusal::new(status, &body))))
        }
    }

    fn url(&self, call: &Call<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        url
    }
}

/// Whether the service, or what stands before it, will do better later.
fn asks_for_patience(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// `Retry-After` in seconds; its other form, a date, is not used by this service.
fn seconds_to_wait(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
