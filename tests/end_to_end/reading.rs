//! What can be read: status with conditions and waits, lists, plans, histories, logs.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::service::{Service, demand, demand_with};

#[tokio::test]
async fn a_poll_that_finds_nothing_new_is_answered_304() {
    let service = Service::start().await;
    let id = service.accepted(&demand("polled", "true")).await;
    service.ended(&id).await;
    let path = format!("/demands/{id}");
    let first = service.get(&path).send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let document: Value = first.json().await.unwrap();
    assert_eq!(tag, format!("\"{}\"", document["version"]));
    let again = service.get(&path).header("If-None-Match", &tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.text().await.unwrap(), "");
}

#[tokio::test]
async fn a_wait_ends_with_the_demand_or_with_its_time() {
    let service = Service::start().await;
    let go = service.site.directory().join("go");
    let command = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    let id = service.accepted(&demand("waited-for", &command)).await;
    service.until(&id, |document| document["phase"] == "EXECUTING").await;
    let begun = Instant::now();
    let response = service.get(&format!("/demands/{id}?wait=1")).send().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let document: Value = response.json().await.unwrap();
    assert_eq!(document["phase"], "EXECUTING");
    let path = format!("/demands/{id}?wait=50");
    let waiting = service.get(&path).send();
    let release = async { std::fs::write(&go, "").unwrap() };
    let (response, ()) = tokio::join!(waiting, release);
    let document: Value = response.unwrap().json().await.unwrap();
    assert_eq!(document["status"], "COMPLETED");
}

#[tokio::test]
async fn a_list_is_paged_by_cursors_that_belong_to_their_filters() {
    let service = Service::start().await;
    for n in 0..5 {
        let mut request = demand(&format!("listed-{n}"), "true");
        request["execution_metadata"] = json!({"tags": {"parity": (n % 2).to_string()}});
        service.accepted(&request).await;
    }
    let mut ids = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = service.get(&format!("/demands{query}")).send().await.unwrap();
        let page: Value = page.json().await.unwrap();
        for document in page["demands"].as_array().unwrap() {
            ids.push(document["execution_id"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(ids, ["listed-4", "listed-3", "listed-2", "listed-1", "listed-0"]);
    let page = service.get("/demands?limit=1&tag=parity%3D1").send().await.unwrap();
    let page: Value = page.json().await.unwrap();
    assert_eq!(page["demands"][0]["execution_id"], "listed-3");
    let cursor = page["next_cursor"].as_str().unwrap();
    let mixed = service.get(&format!("/demands?cursor={cursor}")).send().await.unwrap();
    assert_eq!(mixed.status(), StatusCode::BAD_REQUEST);
    let named = service.get("/demands?ids=listed-1,nobody").send().await.unwrap();
    let named: Value = named.json().await.unwrap();
    assert_eq!(named["demands"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_stored_plan_is_the_one_that_planning_alone_gives() {
    let service = Service::start().await;
    let request = demand_with(
        "planned",
        "cat ${DATA}",
        &[("data", json!("s3://lab/data"))],
        &[("out", json!("out @ s3://lab/out/"))],
    );
    let alone = service.post("/demands/plan").json(&request).send().await.unwrap();
    assert_eq!(alone.status(), StatusCode::OK);
    let alone: Value = alone.json().await.unwrap();
    let list: Value = service.get("/demands").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["demands"], json!([]), "planning stores nothing");
    let id = service.accepted(&request).await;
    let stored = service.get(&format!("/demands/{id}/plan")).send().await.unwrap();
    assert_eq!(stored.json::<Value>().await.unwrap(), alone);
    for key in ["demand_execution", "setup_configs", "cleanup_configs", "submission"] {
        assert!(alone[key].is_object(), "{key}");
    }
}

#[tokio::test]
async fn a_log_is_read_page_by_page_to_its_end() {
    let service = Service::start().await;
    let id = service.accepted(&demand("logged", "seq 1 250; printf last")).await;
    service.ended(&id).await;
    let mut lines = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/demands/{id}/logs?step=execute&limit=100{cursor}");
        let page: Value = service.get(&path).send().await.unwrap().json().await.unwrap();
        for line in page["lines"].as_array().unwrap() {
            lines.push(line["message"].as_str().unwrap().to_owned());
        }
        if page["complete"] == true {
            break;
        }
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap());
    }
    let numbers: Vec<String> = (1..=250).map(|n| n.to_string()).collect();
    assert_eq!(lines[lines.len() - 251..lines.len() - 1], numbers);
    assert_eq!(lines.last().unwrap(), "last");
    let missing = service.get(&format!("/demands/{id}/logs?step=stage_in")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let garbage =
        service.get(&format!("/demands/{id}/logs?cursor=execute.1.0.x")).send().await.unwrap();
    assert_eq!(garbage.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_log_is_read_on_where_it_was_begun_whatever_would_be_chosen_by_now() {
    let service = Service::start().await;
    service.site.put("lab", "data.txt", "data").await;
    let input = [("data", json!("s3://lab/data.txt"))];
    let id = service.accepted(&demand_with("two-logs", "echo done", &input, &[])).await;
    service.ended(&id).await;
    let page = service.get(&format!("/demands/{id}/logs?step=stage_in&limit=1"));
    let page: Value = page.send().await.unwrap().json().await.unwrap();
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = service.get(&format!("/demands/{id}/logs?cursor={cursor}"));
    let next: Value = next.send().await.unwrap().json().await.unwrap();
    assert_eq!(next["step"], "stage_in");
    let other = service.get(&format!("/demands/{id}/logs?step=execute&cursor={cursor}"));
    assert_eq!(other.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn following_the_log_prints_that_of_the_command_too() {
    let service = Service::start().await;
    service.site.put("lab", "data.txt", "data").await;
    let input = [("data", json!("s3://lab/data.txt"))];
    let id = service.accepted(&demand_with("followed", "echo from the command", &input, &[])).await;
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_demand"))
        .args(["logs", "--follow", &id, "--url", &service.url])
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.matches("from the command\n").count(), 1, "{printed}");
}

#[tokio::test]
async fn histories_are_numbered_without_gaps_and_read_on() {
    let service = Service::start().await;
    let id = service.accepted(&demand("told", "true")).await;
    service.ended(&id).await;
    let events = service.events(&id).await;
    let seqs: Vec<i64> = events.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(events[0]["type"], "accepted");
    let rest = service.get(&format!("/demands/{id}/events?after=2")).send().await.unwrap();
    let rest: Value = rest.json().await.unwrap();
    assert_eq!(rest["events"][0]["seq"], 3);
}

#[tokio::test]
async fn a_service_that_works_is_live_and_ready() {
    let service = Service::start().await;
    let live = service.get("/health/live").send().await.unwrap();
    assert_eq!(live.status(), StatusCode::OK);
    let ready = service.get("/health/ready").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK, "{}", ready.text().await.unwrap());
}
