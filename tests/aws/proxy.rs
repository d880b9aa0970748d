//! What goes wrong between the service and AWS: a proxy that fails some of the calls to SubmitJob.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What happens to one call of SubmitJob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is forwarded, and so is the answer.
    None,
    /// Answered 429, not forwarded.
    Throttled,
    /// Answered 500, not forwarded.
    Failed,
    /// Forwarded, and answered 500 nevertheless.
    FailedAfterwards,
    /// Forwarded; the connection is closed in place of an answer.
    Dropped,
    /// Forwarded at once, answered only after this long.
    AnsweredLate(Duration),
    /// Forwarded only after this long, even if nobody waits for the answer any more.
    ForwardedLate(Duration),
}

/// The proxy; it ends when this is dropped.
pub struct Proxy {
    /// Where it answers.
    pub url: String,
    upstream: Arc<Upstream>,
    accepting: JoinHandle<()>,
}

struct Upstream {
    endpoint: String,
    client: reqwest::Client,
    faults: Vec<Fault>,
    submissions: AtomicUsize,
}

impl Proxy {
    /// Starts one before `endpoint`. The first calls to SubmitJob meet `faults`, one each; those
    /// that follow meet none.
    pub async fn start(endpoint: &str, faults: Vec<Fault>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let upstream = Arc::new(Upstream {
            endpoint: endpoint.to_owned(),
            client: reqwest::Client::builder().tls_certs_only([]).build().unwrap(),
            faults,
            submissions: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn(accept(listener, upstream.clone()));
        Self { url, upstream, accepting }
    }

    /// How many calls to SubmitJob there were.
    pub fn submissions(&self) -> usize {
        self.upstream.submissions.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: Arc<Upstream>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let upstream = upstream.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(upstream.clone(), request));
            // An error is a connection that a fault, or the service's end, has closed.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped")]
struct Hangup;

async fn answer(
    upstream: Arc<Upstream>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Hangup> {
    let is_submission = request.uri().path() == "/v1/submitjob";
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Hangup)?.to_bytes();
    let fault = if is_submission {
        let call = upstream.submissions.fetch_add(1, Ordering::SeqCst);
        upstream.faults.get(call).copied().unwrap_or(Fault::None)
    } else {
        Fault::None
    };
    // A task of its own: what was taken is forwarded even if the service dies meanwhile.
    let forwarded = |delay| {
        let (method, headers) = (head.method.clone(), head.headers.clone());
        let path = head.uri.path_and_query().unwrap().to_string();
        let (upstream, body) = (upstream.clone(), body.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            forward(&upstream, method, &path, headers, body).await
        })
    };
    Ok(match fault {
        Fault::None => forwarded(Duration::ZERO).await.unwrap(),
        Fault::Throttled => error(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
        Fault::Failed => error(StatusCode::INTERNAL_SERVER_ERROR, "ServerException"),
        Fault::FailedAfterwards => {
            forwarded(Duration::ZERO).await.unwrap();
            error(StatusCode::INTERNAL_SERVER_ERROR, "ServerException")
        }
        Fault::Dropped => {
            forwarded(Duration::ZERO).await.unwrap();
            return Err(Hangup);
        }
        Fault::AnsweredLate(delay) => {
            let answer = forwarded(Duration::ZERO).await.unwrap();
            tokio::time::sleep(delay).await;
            answer
        }
        Fault::ForwardedLate(delay) => forwarded(delay).await.unwrap(),
    })
}

async fn forward(
    upstream: &Upstream,
    method: Method,
    path: &str,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<Full<Bytes>> {
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let url = format!("{}{path}", upstream.endpoint);
    let request = upstream.client.request(method, url).headers(headers).body(body);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let content_type = answer.headers().get(header::CONTENT_TYPE).cloned();
    let mut forwarded = Response::new(Full::new(answer.bytes().await.unwrap()));
    *forwarded.status_mut() = status;
    if let Some(content_type) = content_type {
        forwarded.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    forwarded
}

fn error(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let body = format!(r#"{{"__type": "{code}", "message": "the proxy says so"}}"#);
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
