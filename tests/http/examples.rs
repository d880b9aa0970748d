//! The examples of the OpenAPI document: its requests are sent, and what comes back is what it
//! shows, but for times, ids and cursors. `RENEW_EXAMPLES=1` writes the answers into the files.

use std::path::PathBuf;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Map, Value, json};
use tokio::process::Command;

use crate::service::{PATIENCE, Service};
use crate::tokens::Guarded;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("openapi/examples/{name}.json"))
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(file(name)).unwrap()).unwrap()
}

/// The example is what the service answers.
fn shows(name: &str, answer: &Value) {
    renew(name, answer);
    alike(name, &read(name), answer);
}

fn renew(name: &str, answer: &Value) {
    if renewing() {
        std::fs::write(file(name), format!("{answer:#}\n")).unwrap();
    }
}

fn renewing() -> bool {
    std::env::var_os("RENEW_EXAMPLES").is_some()
}

/// Both have the same form and say the same, but for what differs from run to run.
fn alike(place: &str, example: &Value, answer: &Value) {
    match (example, answer) {
        (Value::Object(shown), Value::Object(told)) => {
            let keys = |members: &Map<String, Value>| {
                let mut keys: Vec<String> = members.keys().cloned().collect();
                keys.sort();
                keys
            };
            assert_eq!(keys(shown), keys(told), "{place}");
            shown
                .iter()
                .for_each(|(key, value)| alike(&format!("{place}/{key}"), value, &told[key]));
        }
        (Value::Array(shown), Value::Array(told)) => {
            assert_eq!(shown.len(), told.len(), "{place}");
            shown.iter().zip(told).enumerate().for_each(|(at, (shown, told))| {
                alike(&format!("{place}/{at}"), shown, told);
            });
        }
        (Value::String(shown), Value::String(told)) if varies(place) => {
            assert_eq!(shown.is_empty(), told.is_empty(), "{place}");
        }
        // How many looks it took to see all that happened.
        (Value::Number(_), Value::Number(_)) if place.ends_with("/version") => {}
        _ => assert_eq!(example, answer, "{place}"),
    }
}

/// Whether what stands there is of one run alone.
fn varies(place: &str) -> bool {
    const KEYS: [&str; 6] =
        ["job_name", "job_id", "job_definition", "log_stream", "next_cursor", "request_id"];
    let key = place.rsplit('/').next().unwrap_or_default();
    key.ends_with("_at") || KEYS.contains(&key)
}

/// A service with the examples' tokens, input and demand.
struct Stage {
    guarded: Guarded,
    admin: String,
}

impl Stage {
    async fn set() -> Self {
        let guarded = Guarded::start().await;
        let admin = guarded.new_token("admin", &["demands:admin"]).await;
        guarded.service.site.put("lab", "words.txt", "hello\n").await;
        Self { guarded, admin }
    }

    fn service(&self) -> &Service {
        &self.guarded.service
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.service().get(path).bearer_auth(&self.admin)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.service().post(path).bearer_auth(&self.admin)
    }

    async fn submit(&self, demand: &Value) -> Value {
        json_of(self.post("/demands").json(demand), StatusCode::CREATED).await
    }

    /// The status document once it is as wanted.
    async fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "demand {id} did not get there in time");
            let look = json_of(self.get(&format!("/demands/{id}")), StatusCode::OK).await;
            if wanted(&look) {
                return look;
            }
            let tag = format!("\"{}\"", look["version"]);
            let held = self.get(&format!("/demands/{id}?wait=10")).header("If-None-Match", tag);
            held.send().await.unwrap();
        }
    }

    async fn ended(&self, id: &str) -> Value {
        self.until(id, |look| look["phase"] == "DONE").await
    }
}

async fn json_of(request: RequestBuilder, status: StatusCode) -> Value {
    let answer = request.send().await.unwrap();
    let told = answer.status();
    let document = answer.json().await.unwrap();
    assert_eq!(told, status, "{document:#}");
    document
}

/// The demand of the examples with another command.
fn running(id: &str, command: &str) -> Value {
    let mut demand = read("demand");
    demand["execution_id"] = id.into();
    demand["execution_parameters"] = json!({"command": [command]});
    demand
}

#[tokio::test]
async fn what_the_document_shows_of_a_demand_is_what_the_service_does() {
    let stage = Stage::set().await;
    shows("accepted", &stage.submit(&read("demand")).await);
    let completed = stage.ended("shout-1").await;
    assert_eq!(completed["status"], "COMPLETED", "{completed:#}");
    shows("completed", &completed);
    let events = json_of(stage.get("/demands/shout-1/events"), StatusCode::OK).await;
    renew("events", &events);
    // What is seen of quick jobs between submission and end differs from run to run.
    let kept = |events: &Value| -> Vec<Value> {
        let phases = ["accepted", "phase"].map(Value::from);
        let events = events["events"].as_array().unwrap().iter();
        let kept = events.filter(|event| phases.contains(&event["type"]));
        kept.map(|event| json!({"type": event["type"], "to": event["to"]})).collect()
    };
    assert_eq!(kept(&read("events")), kept(&events));
    let loud = stage.service().site.get("lab", "loud.txt").await;
    assert_eq!(loud.as_deref(), Some("HELLO\n"));

    let mut short = read("short-demand");
    let greeted = stage.submit(&short).await;
    let id = greeted["execution_id"].as_str().unwrap();
    assert_eq!(stage.ended(id).await["status"], "COMPLETED");

    stage.submit(&running("fail-1", "echo no such read >&2; exit 3")).await;
    shows("failed", &stage.ended("fail-1").await);
    shows("logs", &json_of(stage.get("/demands/fail-1/logs"), StatusCode::OK).await);
    let retry = stage.post("/demands/fail-1/retry").json(&read("retry"));
    shows("retried", &json_of(retry, StatusCode::ACCEPTED).await);
    stage.ended("fail-1").await;

    stage.submit(&running("wait-1", "sleep 60")).await;
    stage
        .until("wait-1", |look| {
            let [execute, wrap_up] = [0, 1].map(|at| &look["steps"][at]["status"]);
            execute == "RUNNING" && wrap_up == "PENDING"
        })
        .await;
    let cancel = stage.post("/demands/wait-1/cancel");
    shows("canceling", &json_of(cancel, StatusCode::ACCEPTED).await);
    stage.ended("wait-1").await;

    // One on a page, so that the example shows a cursor.
    short["execution_id"] = "greet-1".into();
    stage.submit(&short).await;
    stage.ended("greet-1").await;
    shows("list", &json_of(stage.get("/demands?limit=1"), StatusCode::OK).await);
    shows("live", &json_of(stage.get("/health/live"), StatusCode::OK).await);
    shows("ready", &json_of(stage.get("/health/ready"), StatusCode::OK).await);
}

#[tokio::test]
async fn the_plan_that_the_document_shows_is_that_of_its_demand() {
    let planned = Command::new(env!("CARGO_BIN_EXE_demand"))
        .args(["plan", "--site"])
        .args([file("site"), file("demand")])
        .output()
        .await
        .unwrap();
    shows("plan", &serde_json::from_slice(&planned.stdout).unwrap());
}

#[tokio::test]
async fn the_problems_that_the_document_shows_are_those_the_service_tells() {
    let stage = Stage::set().await;
    let service = stage.service();
    let demand = read("demand");
    stage.submit(&demand).await;
    stage.ended("shout-1").await;
    stage.submit(&running("wait-1", "sleep 60")).await;

    let committed = read("problems");
    let mut told = committed.clone();
    let mut shows = async |operation: &str, request: RequestBuilder| {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16().to_string();
        let problem: Value = answer.json().await.unwrap();
        let place = format!("problems/{operation}/{status}");
        if !renewing() {
            alike(&place, &committed[operation][status.as_str()], &problem);
        }
        told[operation][status] = problem;
    };

    // For every operation that has none of its own.
    shows("*", service.get("/demands/shout-1")).await;
    shows("*", stage.get("/demands/shout-2")).await;
    shows("*", stage.get("/demands/shout-1").header("Accept", "text/html")).await;
    shows("*", stage.get("/demands/shout-1").header("Host", "elsewhere.example.org")).await;
    let huge = "x".repeat(2 * 1024 * 1024);
    shows("*", stage.post("/demands").header("Content-Type", "application/json").body(huge)).await;
    shows("*", stage.post("/demands").body("{}")).await;
    let broken = |path: &str| {
        stage.post(path).header("Content-Type", "application/json").body(r#"{"execution_id": "#)
    };
    shows("*", broken("/demands")).await;
    let reader = stage.guarded.new_token("dashboard", &["demands:read"]).await;
    shows("*", service.post("/demands").json(&demand).bearer_auth(&reader)).await;

    let writer = stage.guarded.new_token("sender", &["demands:write"]).await;
    for (operation, path) in [("listDemands", "/demands"), ("getDemand", "/demands/shout-1")] {
        shows(operation, service.get(path).bearer_auth(&writer)).await;
    }

    let mut bad = demand.clone();
    bad["execution_id"] = "shout-2".into();
    bad["execution_parameters"]["params"]["words"] = "s3:/lab/words.txt".into();
    bad["resource_requirements"]["vcpus"] = json!(-1);
    shows("submitDemand", stage.post("/demands").json(&bad)).await;
    shows("planDemand", stage.post("/demands/plan").json(&bad)).await;
    let mut other = demand.clone();
    other["execution_parameters"]["command"] = json!(["cat ${WORDS}"]);
    shows("submitDemand", stage.post("/demands").json(&other)).await;
    shows("listDemands", stage.get("/demands?limit=5000")).await;
    shows("getDemand", stage.get("/demands/shout-1?wait=3600")).await;
    shows("getDemandLogs", stage.get("/demands/shout-1/logs?limit=0")).await;
    shows("getDemandLogs", stage.get("/demands/shout-1/logs?step=clean_up")).await;
    let streamed = stage.get("/demands/shout-1/events").header("Accept", "text/event-stream");
    shows("listDemandEvents", streamed.header("Last-Event-ID", "the last")).await;
    shows("cancelDemand", stage.post("/demands/shout-1/cancel")).await;
    shows("retryDemand", stage.post("/demands/wait-1/retry")).await;
    let stranger = stage.guarded.new_token("ada", &["demands:read", "demands:write"]).await;
    for (operation, path) in
        [("getDemandPlan", "plan"), ("getDemandLogs", "logs"), ("listDemandEvents", "events")]
    {
        let path = format!("/demands/shout-1/{path}");
        shows(operation, service.get(&path).bearer_auth(&stranger)).await;
    }
    for (operation, path) in [("cancelDemand", "cancel"), ("retryDemand", "retry")] {
        let path = format!("/demands/shout-1/{path}");
        shows(operation, service.post(&path).bearer_auth(&stranger)).await;
    }
    stage.post("/demands/wait-1/cancel").send().await.unwrap();
    stage.ended("wait-1").await;
    renew("problems", &told);
}

#[tokio::test]
async fn a_service_at_its_limit_tells_what_the_document_shows() {
    let service = Service::start_with(&[("DEMAND_HTTP__MAX_CONCURRENCY", "1")]).await;
    let id = service.accepted(&crate::service::demand("held", "sleep 60")).await;
    // Each holds the only place there is until the demand changes, which it does not.
    let held = |_| service.get(&format!("/demands/{id}?wait=50")).send();
    let mut answers: FuturesUnordered<_> = (0..2).map(held).collect();
    let first = answers.next().await.unwrap().unwrap();
    assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
    let mut problem: Value = first.json().await.unwrap();
    problem["instance"] = "/demands/shout-1".into();
    alike("problems/*/503", &read("problems")["*"]["503"], &problem);
}
