//! Bad input gets a clear problem and changes nothing.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::service::{Service, demand, demand_with};

async fn problem(response: Response) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let status = response.status();
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status.as_u16());
    for member in ["type", "title", "detail", "instance", "request_id"] {
        assert!(problem[member].is_string(), "{member} in {problem:#}");
    }
    problem
}

async fn post(service: &Service, body: impl Into<reqwest::Body>) -> Response {
    let request = service.post("/demands").header("content-type", "application/json");
    request.body(body).send().await.unwrap()
}

async fn nothing_was_stored(service: &Service) {
    let list: Value = service.get("/demands").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["demands"], json!([]));
}

#[tokio::test]
async fn a_body_that_is_no_json_within_limits_is_refused() {
    let service = Service::start().await;
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for body in ["{\"a\":", "", "nonsense"] {
        let response = post(&service, body.to_owned()).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let problem = problem(response).await;
        assert_eq!(problem["type"], "urn:demand:problem:invalid-json");
        assert!(problem["detail"].as_str().unwrap().contains("line 1"), "{problem:#}");
    }
    let response = post(&service, deep).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "100 deep");
    assert!(problem(response).await["detail"].as_str().unwrap().contains("64 levels"));
    let response = post(&service, vec![b'"', 0xff, b'"']).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let response = post(&service, vec![b' '; 2 * 1024 * 1024]).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    problem(response).await;
    let response = service.post("/demands").body("{}").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    problem(response).await;
    nothing_was_stored(&service).await;
}

#[tokio::test]
async fn every_fault_of_a_bad_demand_is_named_at_once() {
    let service = Service::start().await;
    let response = service
        .submit(&json!({
            "execution_id": "../x",
            "execution_type": 7,
            "execution_parameters": {
                "command": "not a list",
                "params": {"a": "${B}", "b": "${A}", "c": "nul \u{0} here"},
            },
            "execution_platform": {"aws_batch": {}},
            "resource_requirements": {"vcpus": -1},
        }))
        .await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem = problem(response).await;
    assert_eq!(problem["type"], "urn:demand:problem:invalid-demand");
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    for expected in [
        "/execution_id",
        "/execution_type",
        "/execution_image",
        "/execution_parameters/command",
        "/execution_parameters/params/c",
        "/execution_platform/aws_batch/job_queue_name",
        "/resource_requirements/vcpus",
    ] {
        assert!(pointers.contains(&expected), "{expected} in {problem:#}");
    }
    nothing_was_stored(&service).await;
}

#[tokio::test]
async fn what_cannot_be_planned_is_refused_with_the_place_of_the_fault() {
    let service = Service::start().await;
    let input = |value: Value| demand_with("bad", "true", &[("data", value)], &[]);
    let params = |params: Value| {
        let mut request = demand("bad", "true");
        request["execution_parameters"]["params"] = params;
        request
    };
    let cases = [
        ("an empty id", demand("", "true"), "/execution_id"),
        ("a reserved id", demand("tmp", "true"), "/execution_id"),
        ("a path as id", demand("a/b", "true"), "/execution_id"),
        (
            "a local path that leaves its directory",
            input(json!({"local": "../x", "remote": "s3://lab/data"})),
            "/execution_parameters/params/data",
        ),
        (
            "a reference cycle",
            params(json!({"a": "${B}", "b": "${A}"})),
            "/execution_parameters/params/a",
        ),
        (
            "a reference to nothing",
            params(json!({"a": "${NOBODY}"})),
            "/execution_parameters/params/a",
        ),
        (
            "a parameter that replaces PATH",
            params(json!({"path": "/tmp"})),
            "/execution_parameters/params/path",
        ),
        (
            "a filter that does not compile",
            input(json!({"local": "x", "remote": "s3://lab/x/", "include": "("})),
            "/execution_parameters/params/data",
        ),
    ];
    for (what, request, pointer) in cases {
        let response = service.submit(&request).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{what}");
        let problem = problem(response).await;
        let errors = problem["errors"].as_array().unwrap();
        assert!(
            errors.iter().any(|e| e["pointer"].as_str().unwrap().starts_with(pointer)),
            "{what}: {problem:#}"
        );
    }
    nothing_was_stored(&service).await;
}

#[tokio::test]
async fn the_same_demand_again_is_answered_and_another_under_its_id_is_refused() {
    let service = Service::start().await;
    let first = service.submit(&demand("once", "true")).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    assert_eq!(first.headers()["location"], "/demands/once");
    let again = service.submit(&demand("once", "true")).await;
    assert_eq!(again.status(), StatusCode::OK);
    let wrapped = json!({"demand_execution": demand("once", "true")});
    assert_eq!(service.submit(&wrapped).await.status(), StatusCode::OK);
    let other = service.submit(&demand("once", "false")).await;
    assert_eq!(other.status(), StatusCode::CONFLICT);
    assert_eq!(problem(other).await["type"], "urn:demand:problem:id-taken");
}

#[tokio::test]
async fn a_demand_without_an_id_is_recognised_by_its_key() {
    let service = Service::start().await;
    let mut request = demand("x", "true");
    request.as_object_mut().unwrap().remove("execution_id");
    let send = async |key: &str| {
        let sent = service.post("/demands").header("Idempotency-Key", key).json(&request);
        let response = sent.send().await.unwrap();
        let status = response.status();
        let document: Value = response.json().await.unwrap();
        (status, document["execution_id"].as_str().unwrap().to_owned())
    };
    let (status, id) = send("one").await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(send("one").await, (StatusCode::OK, id.clone()));
    assert_ne!(send("two").await.1, id);
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_can_change_nothing() {
    let service = Service::start().await;
    let id = service.accepted(&demand("untouched", "sleep 1")).await;
    for action in ["cancel", "retry"] {
        let path = format!("/demands/{id}/{action}");
        let foreign = service.post(&path).header("origin", "https://evil.example");
        let response = foreign.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{action}");
        assert_eq!(problem(response).await["type"], "urn:demand:problem:foreign-origin");
    }
    let own = service.post(&format!("/demands/{id}/cancel")).header("origin", &service.url);
    assert_eq!(own.send().await.unwrap().status(), StatusCode::ACCEPTED, "its own pages may");
}

#[tokio::test]
async fn paths_methods_queries_and_hosts_that_are_unknown_are_problems_too() {
    let service = Service::start().await;
    for path in ["/nowhere", "/demands/nobody", "/demands/..%2Fx", "/demands/nobody/plan"] {
        let response = service.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        problem(response).await;
    }
    let url = format!("{}/demands", service.url);
    let response = service.client.delete(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(response.headers().contains_key("allow"));
    problem(response).await;
    for query in ["limit=0", "limit=501", "limit=x", "stat=FAILED", "status=BROKEN", "cursor=x"] {
        let response = service.get(&format!("/demands?{query}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
        problem(response).await;
    }
    let response = service.get("/demands/x?wait=51").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let response = service.get("/demands").header("host", "evil.example").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
    problem(response).await;
}
