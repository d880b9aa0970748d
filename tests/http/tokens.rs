//! Bearer tokens of the service, and whose demands are whose.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::process::Command;

use crate::service::{Service, demand};

pub struct Guarded {
    pub service: Service,
    tokens: PathBuf,
    _directory: tempfile::TempDir,
}

impl Guarded {
    pub async fn start() -> Self {
        let directory = tempfile::TempDir::new().unwrap();
        let tokens = directory.path().join("tokens.json");
        let path = tokens.to_str().unwrap();
        let service = Service::start_with(&[("DEMAND_AUTH__TOKENS_FILE", path)]).await;
        Self { service, tokens, _directory: directory }
    }

    async fn token(&self, arguments: &[&str]) -> Value {
        token(&self.tokens, arguments).await
    }

    /// A new token of this name and scope, as its bearer sends it.
    pub async fn new_token(&self, name: &str, scopes: &[&str]) -> String {
        let mut arguments = vec!["new", name];
        for scope in scopes {
            arguments.extend(["--scope", scope]);
        }
        self.token(&arguments).await["token"].as_str().unwrap().to_owned()
    }

    async fn send(&self, method: Method, path: &str, token: &str) -> Response {
        let url = format!("{}{path}", self.service.url);
        self.service.client.request(method, url).bearer_auth(token).send().await.unwrap()
    }

    async fn submit(&self, id: &str, token: &str) -> Response {
        let request = self.service.post("/demands").bearer_auth(token);
        request.json(&demand(id, "true")).send().await.unwrap()
    }
}

pub async fn token(file: &Path, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demand"));
    command.arg("token").args(arguments).arg("--json").env("DEMAND_AUTH__TOKENS_FILE", file);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn problem(response: Response, status: StatusCode) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    response.json().await.unwrap()
}

#[tokio::test]
async fn without_a_token_only_health_and_the_document_are_to_be_had() {
    let guarded = Guarded::start().await;
    for path in ["/demands", "/demands/x", "/demands/x/plan", "/demands/x/events"] {
        let response = guarded.service.get(path).send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"demands\"", "{path}");
        let problem = problem(response, StatusCode::UNAUTHORIZED).await;
        assert_eq!(problem["type"], "urn:demand:problem:unauthenticated");
    }
    let submitted = guarded.service.submit(&demand("x", "true")).await;
    problem(submitted, StatusCode::UNAUTHORIZED).await;
    for path in ["/health/live", "/health/ready", "/openapi.json"] {
        let response = guarded.service.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    for forged in ["dmd_00000000_secret", "nonsense", "a.b.c"] {
        let response = guarded.send(Method::GET, "/demands", forged).await;
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.ends_with("error=\"invalid_token\""), "{challenge}");
        problem(response, StatusCode::UNAUTHORIZED).await;
    }
}

#[tokio::test]
async fn scopes_decide_what_a_token_is_good_for() {
    let guarded = Guarded::start().await;
    let reader = guarded.new_token("dashboard", &["demands:read"]).await;
    let writer = guarded.new_token("robot", &["demands:write"]).await;
    assert_eq!(guarded.send(Method::GET, "/demands", &reader).await.status(), StatusCode::OK);
    let refused = guarded.submit("x", &reader).await;
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains("error=\"insufficient_scope\", scope=\"demands:write\""));
    problem(refused, StatusCode::FORBIDDEN).await;
    assert_eq!(guarded.submit("x", &writer).await.status(), StatusCode::CREATED);
    let refused = guarded.send(Method::GET, "/demands/x", &writer).await;
    problem(refused, StatusCode::FORBIDDEN).await;
    assert_eq!(guarded.send(Method::GET, "/demands/x", &reader).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn demands_are_their_submitters_own() {
    let guarded = Guarded::start().await;
    let both = ["demands:read", "demands:write"];
    let ann = guarded.new_token("ann", &both).await;
    let bob = guarded.new_token("bob", &both).await;
    let admin = guarded.new_token("root", &["demands:admin"]).await;
    assert_eq!(guarded.submit("anns", &ann).await.status(), StatusCode::CREATED);
    let document: Value =
        guarded.send(Method::GET, "/demands/anns", &bob).await.json().await.unwrap();
    assert_eq!(document["submitted_by"], "token:ann");
    for path in ["plan", "events", "logs"] {
        let path = format!("/demands/anns/{path}");
        problem(guarded.send(Method::GET, &path, &bob).await, StatusCode::FORBIDDEN).await;
    }
    for path in ["cancel", "retry"] {
        let path = format!("/demands/anns/{path}");
        problem(guarded.send(Method::POST, &path, &bob).await, StatusCode::FORBIDDEN).await;
    }
    problem(guarded.submit("anns", &bob).await, StatusCode::CONFLICT).await;
    assert_eq!(guarded.submit("anns", &ann).await.status(), StatusCode::OK);
    for token in [&ann, &admin] {
        let plan = guarded.send(Method::GET, "/demands/anns/plan", token).await;
        assert_eq!(plan.status(), StatusCode::OK);
    }
    let events = guarded.send(Method::GET, "/demands/nobodys/events", &bob).await;
    problem(events, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn tokens_are_made_and_revoked_while_the_service_runs() {
    let guarded = Guarded::start().await;
    let first = guarded.new_token("first", &["demands:read"]).await;
    let second = guarded.new_token("second", &["demands:read"]).await;
    let status = async |token: &str| guarded.send(Method::GET, "/demands", token).await.status();
    assert_eq!(status(&first).await, StatusCode::OK);
    guarded.token(&["revoke", "first"]).await;
    assert_eq!(status(&first).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&second).await, StatusCode::OK);
    let brief = guarded.token(&["new", "brief", "--scope", "demands:read", "--expires-in", "0s"]);
    let brief = brief.await["token"].as_str().unwrap().to_owned();
    assert_eq!(status(&brief).await, StatusCode::UNAUTHORIZED);
    let listed = guarded.token(&["list"]).await;
    let names: Vec<&Value> =
        listed["tokens"].as_array().unwrap().iter().map(|token| &token["name"]).collect();
    assert_eq!(names, ["second", "brief"]);
}

#[tokio::test]
async fn the_file_of_tokens_gives_none_away() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("tokens.json");
    let made = token(&file, &["new", "ann@lab", "--scope", "demands:admin"]).await;
    let bearer = made["token"].as_str().unwrap();
    let secret = bearer.splitn(3, '_').nth(2).unwrap();
    assert!(secret.len() >= 40, "{secret}");
    let content = fs::read_to_string(&file).unwrap();
    assert!(!content.contains(secret) && content.contains("ann@lab"));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mut again = Command::new(env!("CARGO_BIN_EXE_demand"));
    again.args(["token", "new", "ann@lab", "--scope", "demands:read", "--tokens-file"]).arg(&file);
    let again = again.output().await.unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("in use"));
}
