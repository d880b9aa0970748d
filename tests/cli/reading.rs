//! Reading: a demand's status, lists, and cancellation's answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use crate::binary::demand;
use crate::service::{Service, demand as document, ok};

#[tokio::test]
async fn with_json_the_status_is_the_document_the_service_sent() {
    let mut sent = document("IN_PROGRESS", 2);
    sent["not_known_to_this_client"] = json!({"n": 12_345_678_901_234_567_890_u64});
    let answer = sent.clone();
    let service = Service::answering(move |_, _| ok(&answer)).await;
    let ran = demand(&service.url, &["status", "run-1", "--json"]).await;
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.document(), sent);
    assert_eq!(ran.stdout.lines().count(), 1);
    assert_eq!(ran.stderr, "");
}

#[tokio::test]
async fn the_status_for_people_says_how_it_stands_why_and_which_steps_there_are() {
    let mut sent = document("FAILED", 5);
    sent["reason"]["message"] = "it said \u{1b}[2J\nand left".into();
    let step = &mut sent["steps"][0];
    step["status"] = "FAILED".into();
    step["exit_code"] = 3.into();
    step["status_reason"] = "Essential container in task exited".into();
    let service = Service::answering(move |_, _| ok(&sent)).await;
    let ran = demand(&service.url, &["status", "run-1"]).await;
    for words in [
        "execution id  run-1",
        "status        FAILED",
        // What others wrote cannot move the cursor of whoever reads it.
        "reason        COMMAND_FAILED: it said  [2J and left",
        "STEP     ATTEMPT  STATUS  EXIT  TOOK    JOB",
        "execute  1        FAILED  3     1m 30s  job-7",
        "execute: Essential container in task exited",
    ] {
        assert!(ran.stdout.lines().any(|line| line == words), "no {words} in\n{}", ran.stdout);
    }
}

#[tokio::test]
async fn a_cancellation_shows_that_it_was_taken() {
    let service = Service::answering(|asked, _| {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/demands/run-1/cancel"));
        let mut document = document("IN_PROGRESS", 3);
        document["phase"] = "CANCELING".into();
        (StatusCode::ACCEPTED, Json(document)).into_response()
    })
    .await;
    let ran = demand(&service.url, &["cancel", "run-1"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout, "run-1 CANCELING\n");
    let ran = demand(&service.url, &["cancel", "run-1", "--json"]).await;
    assert_eq!(ran.document()["phase"], "CANCELING");
}

#[tokio::test]
async fn a_list_asks_by_its_filters_for_as_many_pages_as_are_wanted() {
    let service = Service::answering(|_, before| {
        let demands = vec![document("COMPLETED", 1); if before == 0 { 500 } else { 120 }];
        Json(json!({"demands": demands, "next_cursor": format!("c{before}")})).into_response()
    })
    .await;
    let arguments = [
        "list",
        "--json",
        "--limit",
        "620",
        "--status",
        "FAILED",
        "--status",
        "ABORTED",
        "--tag",
        "k=a b",
        "--type",
        "demo",
        "--created-after",
        "2026-01-01T00:00:00Z",
    ];
    let ran = demand(&service.url, &arguments).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let list = ran.document();
    assert_eq!(list["demands"].as_array().unwrap().len(), 620);
    assert_eq!(list["next_cursor"], "c1");
    let filters = "status=FAILED&status=ABORTED&execution_type=demo&tag=k%3Da+b\
                   &created_after=2026-01-01T00%3A00%3A00Z";
    let queries: Vec<String> = service.asked().into_iter().map(|asked| asked.query).collect();
    assert_eq!(queries, [format!("{filters}&limit=500"), format!("{filters}&limit=120&cursor=c0")]);
}

#[tokio::test]
async fn a_list_for_people_has_a_line_for_each_demand() {
    let service = Service::answering(|_, _| {
        let demands = [document("IN_PROGRESS", 1), document("COMPLETED", 4)];
        Json(json!({"demands": demands, "next_cursor": null})).into_response()
    })
    .await;
    let ran = demand(&service.url, &["list"]).await;
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "EXECUTION ID  STATUS       PHASE      TYPE  USER  CREATED",
            "run-1         IN_PROGRESS  EXECUTING  demo  ada   2026-01-01T00:00:00Z",
            "run-1         COMPLETED    DONE       demo  ada   2026-01-01T00:00:00Z",
        ]
    );
}
