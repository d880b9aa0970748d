//! Logs: pages, following, and readers that go away.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::binary::{command, demand};
use crate::service::{Service, demand as document, not_found, ok};

fn page(messages: &[&str], next_cursor: &str) -> Response {
    let lines: Vec<Value> = messages
        .iter()
        .map(|message| json!({"at": "2026-01-01T00:00:00Z", "message": message}))
        .collect();
    Json(json!({"lines": lines, "next_cursor": next_cursor})).into_response()
}

#[tokio::test]
async fn every_page_of_a_log_is_printed() {
    let service = Service::answering(|asked, _| {
        assert_eq!(asked.path, "/demands/run-1/logs");
        match asked.query.as_str() {
            "step=stage_in&attempt=2" => page(&["one", "two"], "a"),
            "step=stage_in&attempt=2&cursor=a" => page(&["three"], "b"),
            "step=stage_in&attempt=2&cursor=b" => page(&[], "b"),
            other => panic!("asked for {other}"),
        }
    })
    .await;
    let arguments = ["logs", "run-1", "--step", "stage_in", "--attempt", "2"];
    let ran = demand(&service.url, &arguments).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "one\ntwo\nthree\n"), "{}", ran.stderr);

    let ran = demand(&service.url, &[&arguments[..], &["--json"]].concat()).await;
    let lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2], json!({"at": "2026-01-01T00:00:00Z", "message": "three"}));
}

#[tokio::test]
async fn following_waits_for_the_log_to_exist_and_prints_all_of_it_until_the_demand_ended() {
    let service = Service::answering(|asked, before| match (asked.path.as_str(), before) {
        ("/demands/run-1", 0..4) => ok(&document("IN_PROGRESS", 2)),
        ("/demands/run-1", _) => ok(&document("COMPLETED", 3)),
        (_, 1) => not_found(),
        (_, _) => match asked.query.as_str() {
            "" => page(&["one"], "a"),
            // Written after the look before, and before the end was seen.
            "cursor=a" if before > 5 => page(&["last"], "b"),
            cursor => page(&[], cursor.strip_prefix("cursor=").unwrap()),
        },
    })
    .await;
    let ran = demand(&service.url, &["logs", "run-1", "--follow"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "one\nlast\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn the_log_of_a_demand_that_does_not_exist_exits_with_4() {
    let service = Service::answering(|_, _| not_found()).await;
    for arguments in [&["logs", "run-1"][..], &["logs", "run-1", "-f"]] {
        assert_eq!(demand(&service.url, arguments).await.code, Some(4));
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_command_quietly() {
    // A log without an end: only the missing reader can end the command.
    let service = Service::answering(|_, before| page(&["line"; 100], &before.to_string())).await;
    let mut child = command(&service.url, &["logs", "run-1"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(stdout.next_line().await.unwrap().as_deref(), Some("line"));
    drop(stdout);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
    assert_eq!(stderr, "");
}
