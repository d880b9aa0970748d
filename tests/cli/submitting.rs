//! Submitting: the id, resending, and what is told of a demand that is not valid.

use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::binary::{demand, demand_reading};
use crate::service::{Asked, Service, demand as document, ok, problem};

/// 201 with the id the request has.
fn created(asked: &Asked) -> Response {
    let request = asked.json();
    let mut document = document("SUBMITTED", 1);
    let demand = request.get("demand_execution").unwrap_or(&request);
    document["execution_id"] = demand["execution_id"].clone();
    (StatusCode::CREATED, Json(document)).into_response()
}

fn is_uuid_v7(id: &Value) -> bool {
    let id = id.as_str().unwrap().as_bytes();
    id.len() == 36 && id[14] == b'7'
}

#[tokio::test]
async fn a_demand_without_an_id_gets_one_and_it_is_what_is_printed() {
    let service = Service::answering(|asked, _| created(asked)).await;
    let ran = demand_reading(&service.url, &["submit"], r#"{"execution_type": "demo"}"#).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let asked = &service.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/demands"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let sent = asked.json();
    assert!(is_uuid_v7(&sent["execution_id"]), "{sent}");
    assert_eq!(ran.stdout.trim_end(), sent["execution_id"]);
}

#[tokio::test]
async fn an_id_goes_into_the_demand_of_a_wrapped_request() {
    let service = Service::answering(|asked, _| created(asked)).await;
    let request =
        r#"{"demand_execution": {"execution_id": null}, "file_system_configurations": {}}"#;
    let ran = demand_reading(&service.url, &["submit", "-"], request).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let sent = service.asked()[0].json();
    assert!(is_uuid_v7(&sent["demand_execution"]["execution_id"]), "{sent}");
    assert_eq!(sent.get("execution_id"), None);
}

#[tokio::test]
async fn a_demand_with_an_id_is_sent_as_it_is() {
    let service = Service::answering(|_, _| ok(&document("COMPLETED", 4))).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("demand.json");
    let request = r#"{"executionId":"run-1","n":1.10,"big":123456789012345678901234567890}"#;
    std::fs::write(&file, request).unwrap();
    let ran = demand(&service.url, &["submit", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(String::from_utf8(service.asked()[0].body.clone()).unwrap(), request);
    assert!(ran.stderr.contains("was submitted before; it is COMPLETED"), "{}", ran.stderr);
}

#[tokio::test]
async fn every_fault_of_a_bad_demand_is_told_with_its_pointer() {
    let faults = json!({"errors": [
        {"pointer": "/execution_image", "code": "missing", "detail": "an image is required"},
        {"pointer": "/resource_requirements/gpu", "code": "range", "detail": "must not be negative"},
        {"pointer": "", "code": "limit", "detail": "too much of everything"},
    ]});
    let told = faults.clone();
    let service = Service::answering(move |_, _| {
        problem(StatusCode::UNPROCESSABLE_ENTITY, "The demand is not valid", &told)
    })
    .await;
    let ran = demand_reading(&service.url, &["submit"], "{}").await;
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.stdout, "");
    for line in [
        "error: The demand is not valid (422)",
        "  /execution_image: an image is required [missing]",
        "  /resource_requirements/gpu: must not be negative [range]",
        "  (request): too much of everything [limit]",
    ] {
        assert!(ran.stderr.lines().any(|told| told == line), "no {line} in\n{}", ran.stderr);
    }

    let ran = demand_reading(&service.url, &["submit", "--json"], "{}").await;
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.document()["errors"], faults["errors"]);
}

#[tokio::test]
async fn what_is_no_json_object_is_never_sent() {
    let service = Service::answering(|asked, _| created(asked)).await;
    for (request, words) in [
        ("{\"execution_id\": ", "standard input is not JSON: EOF while parsing"),
        ("[]", "standard input is not a JSON object"),
    ] {
        let ran = demand_reading(&service.url, &["submit"], request).await;
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let ran = demand(&service.url, &["submit", "missing/demand.json"]).await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("cannot read missing/demand.json: No such file"), "{}", ran.stderr);
    assert!(service.asked().is_empty());
}

#[tokio::test]
async fn a_service_that_asks_for_patience_is_sent_the_same_demand_later() {
    let service = Service::answering(|asked, before| match before {
        0 => {
            let busy = problem(StatusCode::SERVICE_UNAVAILABLE, "Busy", &json!({}));
            ([("retry-after", "2")], busy).into_response()
        }
        _ => created(asked),
    })
    .await;
    let begun = Instant::now();
    let ran = demand_reading(&service.url, &["submit"], "{}").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let asked = service.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].json(), asked[1].json());
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
        Service::on(listener, |asked, _| created(asked))
    });
    let ran = demand_reading(&url, &["submit", "--json"], "{}").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(is_uuid_v7(&ran.document()["execution_id"]));
    assert_eq!(serving.await.unwrap().asked().len(), 1);
}

#[tokio::test]
async fn a_submission_that_waits_exits_as_the_demand_ends() {
    let service = Service::answering(|asked, before| match before {
        0 => created(asked),
        1 => ok(&document("IN_PROGRESS", 2)),
        _ => ok(&document("FAILED", 3)),
    })
    .await;
    let request = r#"{"execution_id": "run-1"}"#;
    let ran = demand_reading(&service.url, &["submit", "--wait"], request).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("COMMAND_FAILED: the command exited with 3"), "{}", ran.stdout);
    assert!(ran.stderr.contains("execution id run-1"), "{}", ran.stderr);
}
