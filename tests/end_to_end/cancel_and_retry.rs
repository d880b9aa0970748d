//! Canceling and retrying.

use std::fs;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::service::{Service, demand, demand_with, eventually};

#[tokio::test]
async fn canceling_while_it_executes_ends_the_whole_process_group() {
    let service = Service::start().await;
    let pids = service.site.directory().join("pids");
    let command = format!("sleep 1000 & echo $! >> {0}; echo $$ >> {0}; wait", pids.display());
    let id = service.accepted(&demand("canceled", &command)).await;
    eventually("both have started", || {
        fs::read_to_string(&pids).is_ok_and(|text| text.lines().count() == 2)
    })
    .await;
    let response = service.post(&format!("/demands/{id}/cancel")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let document = service.ended(&id).await;
    assert_eq!(document["status"], "ABORTED", "{document:#}");
    assert_eq!(document["reason"]["code"], "CANCELED");
    for pid in fs::read_to_string(&pids).unwrap().lines() {
        assert!(!alive(pid), "process {pid} still runs");
    }
    let again = service.post(&format!("/demands/{id}/cancel")).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::ACCEPTED, "canceling again changes nothing");
}

/// Whether the process runs; a zombie that nobody has waited for yet does not.
fn alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
}

#[tokio::test]
async fn a_completed_demand_can_neither_be_canceled_nor_retried() {
    let service = Service::start().await;
    let id = service.accepted(&demand("completed", "true")).await;
    service.ended(&id).await;
    for action in ["cancel", "retry"] {
        let response = service.post(&format!("/demands/{id}/{action}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CONFLICT, "{action}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["type"], "urn:demand:problem:state-forbids");
    }
}

#[tokio::test]
async fn a_retry_goes_on_where_the_demand_failed_and_succeeds() {
    let service = Service::start().await;
    service.site.put("lab", "data.txt", "data").await;
    let fixed = service.site.directory().join("fixed");
    let command = format!("test -e {} && cp ${{DATA}} ${{OUT}}", fixed.display());
    let id = service
        .accepted(&demand_with(
            "retried",
            &command,
            &[("data", json!("s3://lab/data.txt"))],
            &[("out", json!("out.txt @ s3://lab/out.txt"))],
        ))
        .await;
    assert_eq!(service.ended(&id).await["status"], "FAILED");
    fs::write(&fixed, "").unwrap();
    let retry =
        || service.post(&format!("/demands/{id}/retry")).json(&json!({"from_attempt": 1})).send();
    assert_eq!(retry().await.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(retry().await.unwrap().status(), StatusCode::ACCEPTED, "the same retry again");
    let document = service.ended(&id).await;
    assert_eq!(document["status"], "COMPLETED", "{document:#}");
    assert_eq!(document["attempt"], 2);
    let second: Vec<&str> = document["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["attempt"] == 2)
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(second, ["execute", "wrap_up"], "what had succeeded is not done again");
    assert_eq!(service.site.get("lab", "out.txt").await.unwrap(), "data");
}

#[tokio::test]
async fn a_retry_after_the_working_directory_is_gone_starts_from_the_beginning() {
    let service = Service::start_with(&[("DEMAND_LIFECYCLE__FAILED_RETENTION", "0s")]).await;
    service.site.put("lab", "data.txt", "data").await;
    let fixed = service.site.directory().join("fixed");
    let command = format!("cat ${{DATA}} && test -e {}", fixed.display());
    let id = service
        .accepted(&demand_with(
            "from-the-start",
            &command,
            &[("data", json!("s3://lab/data.txt"))],
            &[],
        ))
        .await;
    service.until(&id, |document| document["working_directory"] == "gone").await;
    fs::write(&fixed, "").unwrap();
    service.post(&format!("/demands/{id}/retry")).send().await.unwrap();
    let document = service.ended(&id).await;
    assert_eq!(document["status"], "COMPLETED", "{document:#}");
    let staged = document["steps"]
        .as_array()
        .unwrap()
        .iter()
        .any(|step| step["attempt"] == 2 && step["step"] == "stage_in");
    assert!(staged);
}

#[tokio::test]
async fn an_unknown_demand_can_neither_be_canceled_nor_retried() {
    let service = Service::start().await;
    for action in ["cancel", "retry"] {
        let response = service.post(&format!("/demands/nobody/{action}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
