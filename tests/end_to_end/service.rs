//! A service under test: the real binary on a site of its own.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::Instant;

use crate::site::Site;

/// Far beyond what anything here takes; reaching it means that something hangs.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub struct Service {
    pub site: Site,
    environment: Vec<(String, String)>,
    process: Child,
    pub url: String,
    pub client: Client,
}

impl Service {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with these environment variables.
    pub async fn start_with(environment: &[(&str, &str)]) -> Self {
        Self::start_at(Site::new(), environment).await
    }

    /// Starts one on a site that is there already.
    pub async fn start_at(site: Site, environment: &[(&str, &str)]) -> Self {
        let environment: Vec<(String, String)> =
            environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (process, url) = launch(&site, &environment).await;
        // Fails where another test of this process was first, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().tls_certs_only([]).build().unwrap();
        Self { site, environment, process, url, client }
    }

    pub fn pid(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// `kill -9`, and nothing else.
    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub async fn start_again(&mut self) {
        let (process, url) = launch(&self.site, &self.environment).await;
        self.process = process;
        self.url = url;
    }

    /// Asks for a soft end, and waits for it.
    pub async fn stop(&mut self) -> Option<i32> {
        let pid = i32::try_from(self.pid()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        tokio::time::timeout(PATIENCE, self.process.wait()).await.unwrap().unwrap().code()
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub async fn submit(&self, demand: &Value) -> Response {
        self.post("/demands").json(demand).send().await.unwrap()
    }

    /// Submits a demand that must be accepted, and answers its id.
    pub async fn accepted(&self, demand: &Value) -> String {
        let response = self.submit(demand).await;
        let status = response.status();
        let document: Value = response.json().await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{document:#}");
        document["execution_id"].as_str().unwrap().to_owned()
    }

    /// The status document once the demand has ended.
    pub async fn ended(&self, id: &str) -> Value {
        self.until(id, |document| document["phase"] == "DONE").await
    }

    /// The status document once it is as wanted; long-polls in between.
    pub async fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut tag = None;
        let mut last = Value::Null;
        while Instant::now() < deadline {
            let mut request = self.get(&format!("/demands/{id}?wait=10"));
            if let Some(tag) = &tag {
                request = request.header("If-None-Match", tag);
            } else {
                request = self.get(&format!("/demands/{id}"));
            }
            let response = request.send().await.unwrap();
            if response.status() == StatusCode::NOT_MODIFIED {
                continue;
            }
            assert_eq!(response.status(), StatusCode::OK);
            tag = response.headers().get("ETag").cloned();
            last = response.json().await.unwrap();
            if wanted(&last) {
                return last;
            }
        }
        panic!("demand {id} did not get there in time: {last:#}");
    }

    /// The demand's history.
    pub async fn events(&self, id: &str) -> Vec<Value> {
        let response = self.get(&format!("/demands/{id}/events")).send().await.unwrap();
        let document: Value = response.json().await.unwrap();
        document["events"].as_array().unwrap().clone()
    }

    /// The lines of a log, all of them.
    pub async fn log(&self, id: &str, query: &str) -> Vec<String> {
        let response = self.get(&format!("/demands/{id}/logs{query}")).send().await.unwrap();
        let document: Value = response.json().await.unwrap();
        document["lines"]
            .as_array()
            .unwrap_or_else(|| panic!("{document:#}"))
            .iter()
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn launch(site: &Site, environment: &[(String, String)]) -> (Child, String) {
    let log = site.directory().join("service.log");
    let mut process = site
        .command()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(fs::File::options().create(true).append(true).open(&log).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    let Some(url) = first.as_deref().and_then(|line| line.strip_prefix("listening on ")) else {
        let log = fs::read_to_string(log).unwrap();
        panic!("the service did not start: {first:?}\n{log}");
    };
    (process, url.to_owned())
}

/// A demand that runs `command` and has nothing to bring or take.
pub fn demand(id: &str, command: &str) -> Value {
    json!({
        "execution_id": id,
        "execution_type": "test",
        "execution_image": "alpine:3",
        "execution_parameters": {"command": [command]},
        "execution_platform": {"aws_batch": {"job_queue_name": "queue"}},
    })
}

/// The same with inputs and outputs: `(name, value)`.
pub fn demand_with(
    id: &str,
    command: &str,
    inputs: &[(&str, Value)],
    outputs: &[(&str, Value)],
) -> Value {
    let mut demand = demand(id, command);
    let names = |params: &[(&str, Value)]| -> Vec<String> {
        params.iter().map(|(name, _)| (*name).to_owned()).collect()
    };
    let params: serde_json::Map<String, Value> = inputs
        .iter()
        .chain(outputs)
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    demand["execution_parameters"]["inputs"] = json!(names(inputs));
    demand["execution_parameters"]["outputs"] = json!(names(outputs));
    demand["execution_parameters"]["params"] = Value::Object(params);
    demand
}

/// Waits until `condition` holds, looking often.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
