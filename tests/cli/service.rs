//! A peer that answers by a function of the request, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A request as the service got it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    /// As it was sent, escapes included.
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answering = dyn Fn(&Asked, usize) -> Response + Send + Sync;

/// A running peer; it ends with the test.
#[derive(Clone)]
pub struct Service {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Answering>,
}

impl Service {
    /// Answers by `answer`, which gets the request and how many there were before it.
    pub async fn answering(
        answer: impl Fn(&Asked, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    pub fn on(
        listener: TcpListener,
        answer: impl Fn(&Asked, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = Self { url, asked: Arc::default(), answer: Arc::new(answer) };
        let router = Router::new().fallback(take).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        service
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn take(
    State(service): State<Service>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let query = uri.query().unwrap_or_default().to_owned();
    let asked = Asked { method, path, query, headers, body: body.to_vec() };
    let before = {
        let mut all = service.asked.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    (service.answer)(&asked, before)
}

/// A status document.
pub fn demand(status: &str, version: u32) -> Value {
    let phase = match status {
        "SUBMITTED" => "ACCEPTED",
        "IN_PROGRESS" => "EXECUTING",
        _ => "DONE",
    };
    let reason = match status {
        "FAILED" => json!({"code": "COMMAND_FAILED", "message": "the command exited with 3"}),
        "ABORTED" => json!({"code": "CANCELED", "message": "canceled"}),
        _ => Value::Null,
    };
    json!({
        "execution_id": "run-1", "execution_type": "demo", "status": status, "phase": phase,
        "reason": reason, "attempt": 1, "version": version, "user": "ada", "submitted_by": null,
        "tags": {}, "job_queue": "local", "working_directory": "present",
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:01Z",
        "finished_at": null,
        "steps": [{
            "step": "execute", "attempt": 1, "job_name": "demo", "job_id": "job-7",
            "job_definition": "demo:1", "status": "RUNNING", "status_reason": null,
            "exit_code": null, "log_stream": null, "created_at": "2026-01-01T00:00:00Z",
            "started_at": "2026-01-01T00:00:00Z", "stopped_at": "2026-01-01T00:01:30Z", "tries": []
        }],
        "links": {}
    })
}

/// 200 with a status document and its tag.
pub fn ok(document: &Value) -> Response {
    let tag = format!("\"{}\"", document["version"]);
    ([("etag", tag)], Json(document.clone())).into_response()
}

/// A problem document.
pub fn problem(status: StatusCode, title: &str, more: &Value) -> Response {
    let mut body = json!({
        "type": "urn:demand:problem:test", "title": title, "status": status.as_u16(),
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    (status, [("content-type", "application/problem+json")], body.to_string()).into_response()
}

pub fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "No such demand", &json!({"detail": "there is no `run-1`"}))
}
