//! An endpoint that speaks AWS Batch's REST JSON and keeps its limits: 100 ids in one
//! DescribeJobs, 100 jobs on a page of ListJobs, definitions in pages. Jobs succeed as soon as
//! those they depend on have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use demand_context_manager::plan::definition::CONTENT_HASH_TAG;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

const ACCOUNT: &str = "arn:aws:batch:us-west-2:123456789012";
const JOBS_A_CALL: usize = 100;
const JOBS_A_PAGE: usize = 100;
const DEFINITIONS_A_PAGE: usize = 3;

#[derive(Default)]
pub struct Inside {
    pub jobs: Vec<Value>,
    index: HashMap<String, usize>,
    /// The SubmitJob calls taken, as they were sent.
    pub submissions: Vec<Value>,
    pub definitions: Vec<Value>,
    /// What was put to S3, by `bucket/key`.
    pub objects: HashMap<String, String>,
    pub calls: HashMap<String, usize>,
    /// How many ids each DescribeJobs had.
    pub described: Vec<usize>,
    /// Whether jobs stay as they are.
    pub idle: bool,
    /// Answers to the next registrations, instead of registering.
    pub registrations: Vec<(u16, &'static str)>,
}

/// The endpoint, until dropped.
pub struct Endpoint {
    pub url: String,
    inside: Arc<Mutex<Inside>>,
    _serving: AbortOnDropHandle<()>,
}

type Shared = State<Arc<Mutex<Inside>>>;

impl Endpoint {
    pub async fn start() -> Self {
        let inside = Arc::new(Mutex::new(Inside::default()));
        let app = axum::Router::new()
            .route("/v1/{call}", post(call))
            .route("/{bucket}/{*key}", put(put_object))
            .with_state(Arc::clone(&inside));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, inside, _serving: AbortOnDropHandle::new(serving) }
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    pub fn calls(&self, call: &str) -> usize {
        self.inside().calls.get(call).copied().unwrap_or_default()
    }

    /// Takes a definition off, as `DeregisterJobDefinition` does.
    pub fn deregister(&self, arn: &str) {
        for definition in &mut self.inside().definitions {
            if definition["jobDefinitionArn"] == *arn {
                definition["status"] = json!("INACTIVE");
            }
        }
    }
}

impl Inside {
    /// Puts a job there.
    pub fn plant(&mut self, job: Value) {
        let id = job["jobId"].as_str().unwrap().to_owned();
        self.index.insert(id, self.jobs.len());
        self.jobs.push(job);
    }

    pub fn job(&mut self, id: &str) -> Option<&mut Value> {
        let index = *self.index.get(id)?;
        self.jobs.get_mut(index)
    }

    /// Lets the job end, if those it depends on have.
    fn advance(&mut self, id: &str) {
        let Some(job) = self.job(id).cloned() else { return };
        if self.idle || ["SUCCEEDED", "FAILED"].contains(&job["status"].as_str().unwrap()) {
            return;
        }
        let others: Vec<String> = job["dependsOn"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|other| other["jobId"].as_str().unwrap().to_owned())
            .collect();
        let mut statuses = Vec::new();
        for other in others {
            self.advance(&other);
            statuses.push(self.job(&other).unwrap()["status"].as_str().unwrap().to_owned());
        }
        if statuses.iter().any(|status| status == "FAILED") {
            self.end(id, "FAILED", "Dependent Job failed", None);
        } else if statuses.iter().all(|status| status == "SUCCEEDED") {
            self.end(id, "SUCCEEDED", "Essential container in task exited", Some(0));
        }
    }

    pub fn end(&mut self, id: &str, status: &str, reason: &str, exit_code: Option<i32>) {
        let now = Timestamp::now().as_millisecond();
        let Some(job) = self.job(id) else { return };
        job["status"] = json!(status);
        job["statusReason"] = json!(reason);
        job["stoppedAt"] = json!(now);
        if let Some(exit_code) = exit_code {
            job["startedAt"] = json!(now);
            job["container"] = json!({"exitCode": exit_code, "logStreamName": format!("{id}/log")});
        }
    }
}

async fn call(
    State(inside): Shared,
    Path(call): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let mut inside = inside.lock().unwrap();
    *inside.calls.entry(call.clone()).or_default() += 1;
    match call.as_str() {
        "submitjob" => submit_job(&mut inside, body),
        "describejobs" => describe_jobs(&mut inside, &body),
        "listjobs" => list_jobs(&inside, &body),
        "terminatejob" => {
            let id = body["jobId"].as_str().unwrap();
            let ended = inside.job(id).is_none_or(|job| {
                ["SUCCEEDED", "FAILED"].contains(&job["status"].as_str().unwrap())
            });
            if !ended {
                inside.end(id, "FAILED", body["reason"].as_str().unwrap(), None);
            }
            Json(json!({})).into_response()
        }
        "registerjobdefinition" => register(&mut inside, &body),
        "describejobdefinitions" => describe_definitions(&inside, &body),
        "describejobqueues" => Json(json!({"jobQueues": [{
            "jobQueueName": "queue", "state": "ENABLED", "status": "VALID",
        }]}))
        .into_response(),
        other => client_exception(&format!("no such call: {other}")),
    }
}

async fn put_object(
    State(inside): Shared,
    Path((bucket, key)): Path<(String, String)>,
    body: String,
) -> StatusCode {
    inside.lock().unwrap().objects.insert(format!("{bucket}/{key}"), body);
    StatusCode::OK
}

fn client_exception(message: &str) -> Response {
    let headers = [("x-amzn-errortype", "ClientException")];
    (StatusCode::BAD_REQUEST, headers, Json(json!({"message": message}))).into_response()
}

fn submit_job(inside: &mut Inside, body: Value) -> Response {
    let arn = body["jobDefinition"].as_str().unwrap();
    let known = inside
        .definitions
        .iter()
        .any(|known| known["jobDefinitionArn"] == *arn && known["status"] == "ACTIVE");
    if !known {
        return client_exception(&format!(
            "JobDefinition {arn} does not exist or is not in ACTIVE status"
        ));
    }
    if body["jobQueue"] != "queue" {
        return client_exception("JobQueue does not exist");
    }
    let id = uuid::Uuid::new_v4().to_string();
    inside.plant(json!({
        "jobId": id,
        "jobName": body["jobName"],
        "jobQueue": body["jobQueue"],
        "jobDefinition": body["jobDefinition"],
        "dependsOn": body["dependsOn"],
        "status": "SUBMITTED",
        "createdAt": Timestamp::now().as_millisecond(),
    }));
    let answer = json!({"jobId": id, "jobName": body["jobName"]});
    inside.submissions.push(body);
    Json(answer).into_response()
}

fn describe_jobs(inside: &mut Inside, body: &Value) -> Response {
    let ids: Vec<String> = serde_json::from_value(body["jobs"].clone()).unwrap();
    inside.described.push(ids.len());
    if ids.len() > JOBS_A_CALL {
        return client_exception("jobs must have at most 100 ids");
    }
    for id in &ids {
        inside.advance(id);
    }
    let jobs: Vec<Value> = ids.iter().filter_map(|id| inside.job(id).cloned()).collect();
    Json(json!({"jobs": jobs})).into_response()
}

/// The page of `all` that starts at the token, in the shape of AWS's answers.
fn page(all: &[Value], list: &str, size: usize, body: &Value) -> Response {
    let start: usize = body["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let end = (start + size).min(all.len());
    let mut answer = json!({list: all[start..end]});
    if end < all.len() {
        answer["nextToken"] = json!(end.to_string());
    }
    Json(answer).into_response()
}

fn list_jobs(inside: &Inside, body: &Value) -> Response {
    let Some(queue) = body["jobQueue"].as_str() else {
        return client_exception("jobQueue is required");
    };
    let filter = &body["filters"][0];
    assert_eq!(filter["name"], "JOB_NAME");
    let name = filter["values"][0].as_str().unwrap();
    let named = inside.jobs.iter().filter(|job| {
        job["jobQueue"] == queue && job["jobName"].as_str().unwrap().eq_ignore_ascii_case(name)
    });
    // Newest first, as AWS lists them.
    let listed = named.rev().map(
        |job| json!({"jobId": job["jobId"], "jobName": job["jobName"], "status": job["status"]}),
    );
    page(&listed.collect::<Vec<_>>(), "jobSummaryList", JOBS_A_PAGE, body)
}

fn register(inside: &mut Inside, body: &Value) -> Response {
    if !inside.registrations.is_empty() {
        let (status, message) = inside.registrations.remove(0);
        let headers = [("x-amzn-errortype", "ClientException")];
        let status = StatusCode::from_u16(status).unwrap();
        return (status, headers, Json(json!({"message": message}))).into_response();
    }
    let name = &body["jobDefinitionName"];
    let before = inside.definitions.iter().filter(|known| known["jobDefinitionName"] == *name);
    let revision = before.count() + 1;
    let arn = format!("{ACCOUNT}:job-definition/{}:{revision}", name.as_str().unwrap());
    let mut definition = body.clone();
    definition["jobDefinitionArn"] = json!(arn);
    definition["revision"] = json!(revision);
    definition["status"] = json!("ACTIVE");
    assert!(body["tags"][CONTENT_HASH_TAG].is_string());
    inside.definitions.push(definition);
    Json(json!({"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": revision}))
        .into_response()
}

fn describe_definitions(inside: &Inside, body: &Value) -> Response {
    let wanted = inside.definitions.iter().filter(|known| {
        known["jobDefinitionName"] == body["jobDefinitionName"] && known["status"] == body["status"]
    });
    page(&wanted.cloned().collect::<Vec<_>>(), "jobDefinitions", DEFINITIONS_A_PAGE, body)
}
