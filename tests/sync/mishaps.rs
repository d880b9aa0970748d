//! What becomes of calls on their way to the S3 in memory and back, and which calls there were.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far beyond what any worker here takes to come to a call.
const PATIENCE: Duration = Duration::from_mins(2);

/// What becomes of a call.
#[derive(Clone)]
pub enum Mishap {
    /// It is answered with this status and this code of S3's, and not carried out.
    Answer(u16, &'static str),
    /// The connection is reset while the body is on its way.
    Reset,
    /// It is carried out; the connection is reset in place of an answer.
    Unanswered,
    /// The connection is reset in the middle of the answer's body.
    CutOff,
    /// It is carried out, and about half of the answer is said to be all of it.
    Halved,
    /// This happens before it is carried out.
    After(Arc<dyn Fn() + Send + Sync>),
    /// It is never answered.
    Stuck,
    /// It is carried out once this is cancelled.
    Until(CancellationToken),
    /// Half of the answer's body comes, the other half once this is cancelled.
    Halfway(CancellationToken),
}

impl fmt::Debug for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mishap")
    }
}

/// Calls to come that meet a mishap, and those that came.
#[derive(Debug, Default)]
pub struct Mishaps {
    planned: Mutex<Vec<(Call, u32, Mishap)>>,
    calls: Mutex<Vec<(Call, HeaderMap)>>,
    came: Notify,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    operation: &'static str,
    key: String,
}

impl Mishaps {
    pub fn add(&self, operation: &'static str, key: &str, times: u32, mishap: Mishap) {
        let call = Call { operation, key: key.to_owned() };
        self.planned.lock().unwrap().push((call, times, mishap));
    }

    pub fn called(&self, operation: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter(|(call, _)| call.operation == operation)
            .map(|(call, _)| call.key.clone())
            .collect()
    }

    pub fn said(&self, operation: &str, key: &str, header: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let calls = calls.iter().filter(|(call, _)| call.operation == operation && call.key == key);
        let values = calls.filter_map(|(_, headers)| headers.get(header)?.to_str().ok());
        values.map(str::to_owned).collect()
    }

    pub async fn call(&self, operation: &str, key: &str) {
        let called = timeout(PATIENCE, self.wait_for(operation, key)).await;
        called.expect("the worker comes to that call");
    }

    async fn wait_for(&self, operation: &str, key: &str) {
        loop {
            let came = self.came.notified();
            tokio::pin!(came);
            came.as_mut().enable();
            if self.called(operation).iter().any(|called| called == key) {
                return;
            }
            came.await;
        }
    }

    /// Carries out a call, or what is planned to become of it.
    pub async fn befall(&self, request: Request, next: Next) -> Response {
        let call = Call::of(&request);
        let mishap = self.due(&call);
        self.calls.lock().unwrap().push((call, request.headers().clone()));
        self.came.notify_waiters();
        match mishap {
            None => next.run(request).await,
            Some(Mishap::Answer(status, code)) => {
                // Whoever sends a body reads no answer before its end.
                let _ = to_bytes(request.into_body(), usize::MAX).await;
                let body = format!("<Error><Code>{code}</Code><Message>so it is</Message></Error>");
                (StatusCode::from_u16(status).unwrap(), body).into_response()
            }
            Some(Mishap::Reset) => {
                request.into_body().into_data_stream().next().await;
                reset()
            }
            Some(Mishap::Unanswered) => {
                next.run(request).await;
                reset()
            }
            Some(Mishap::CutOff) => {
                let (parts, body) = next.run(request).await.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let half = body.slice(..body.len() / 2);
                let end = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                let body = stream::iter([Ok(half), Err(end)]);
                Response::from_parts(parts, Body::from_stream(body))
            }
            Some(Mishap::Halved) => {
                let (mut parts, body) = next.run(request).await.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                // After an entry, where what reads it does not stumble.
                let half = String::from_utf8_lossy(&body[..body.len() / 2]).into_owned();
                let ends = ["</Contents>", "</Deleted>", ">"];
                let end = ends.iter().find_map(|end| Some(half.rfind(end)? + end.len()));
                let half = body.slice(..end.unwrap_or(0));
                parts.headers.insert(CONTENT_LENGTH, half.len().into());
                Response::from_parts(parts, Body::from(half))
            }
            Some(Mishap::After(happens)) => {
                happens();
                next.run(request).await
            }
            Some(Mishap::Stuck) => std::future::pending().await,
            Some(Mishap::Until(told)) => {
                told.cancelled().await;
                next.run(request).await
            }
            Some(Mishap::Halfway(told)) => {
                let (parts, body) = next.run(request).await.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let mut rest = body.clone();
                let half = rest.split_to(body.len() / 2);
                let rest = async move {
                    told.cancelled().await;
                    rest
                };
                let body = stream::iter([half]).chain(stream::once(rest));
                let body = body.map(Ok::<_, std::io::Error>);
                Response::from_parts(parts, Body::from_stream(body))
            }
        }
    }

    fn due(&self, call: &Call) -> Option<Mishap> {
        let mut planned = self.planned.lock().unwrap();
        let (_, times, mishap) =
            planned.iter_mut().find(|(planned, times, _)| planned == call && *times > 0)?;
        *times -= 1;
        Some(mishap.clone())
    }
}

/// Ends the task of the connection, and with it the connection, without an answer.
fn reset() -> Response {
    std::panic::resume_unwind(Box::new("the connection is reset"))
}

impl Call {
    /// Whether it brings or takes the bytes of an object.
    pub fn carries_bytes(&self) -> bool {
        ["GetObject", "PutObject", "UploadPart"].contains(&self.operation)
    }

    pub fn of(request: &Request) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let copies = request.headers().contains_key("x-amz-copy-source");
        let operation = match *request.method() {
            Method::POST if has("delete") => "DeleteObjects",
            Method::PUT if has("partNumber") => "UploadPart",
            Method::PUT if copies => "CopyObject",
            Method::PUT => "PutObject",
            Method::POST if has("uploads") => "CreateMultipartUpload",
            Method::POST if has("uploadId") => "CompleteMultipartUpload",
            Method::DELETE if has("uploadId") => "AbortMultipartUpload",
            Method::GET if has("tagging") => "GetObjectTagging",
            Method::GET if has("list-type") => "ListObjectsV2",
            Method::GET => "GetObject",
            Method::HEAD => "HeadObject",
            _ => "another",
        };
        let key = request.uri().path().splitn(3, '/').nth(2).unwrap_or_default();
        Self { operation, key: percent_decode_str(key).decode_utf8_lossy().into_owned() }
    }
}
