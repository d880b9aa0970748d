//! Waiting for an end, and what the exit code tells of it.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use crate::binary::demand;
use crate::service::{Service, demand as document, not_found, ok};

#[tokio::test]
async fn the_exit_code_tells_how_the_demand_ended() {
    for (status, code) in [("COMPLETED", 0), ("FAILED", 1), ("ABORTED", 3)] {
        let service = Service::answering(move |_, _| ok(&document(status, 9))).await;
        for command in ["wait", "status"] {
            let ran = demand(&service.url, &[command, "run-1"]).await;
            assert_eq!(ran.code, Some(code), "{command} {status}: {}", ran.stderr);
            assert!(ran.stdout.contains(status), "{}", ran.stdout);
        }
    }
}

#[tokio::test]
async fn the_status_of_a_demand_under_way_exits_with_0() {
    let service = Service::answering(|_, _| ok(&document("IN_PROGRESS", 2))).await;
    let ran = demand(&service.url, &["status", "run-1"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("IN_PROGRESS (EXECUTING)"), "{}", ran.stdout);
}

#[tokio::test]
async fn waiting_for_a_demand_that_does_not_exist_exits_with_4() {
    let service = Service::answering(|_, _| not_found()).await;
    let ran = demand(&service.url, &["wait", "run-1"]).await;
    assert_eq!(ran.code, Some(4));
    assert!(ran.stderr.contains("No such demand (404): there is no `run-1`"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[tokio::test]
async fn a_wait_asks_to_be_held_until_the_version_it_knows_is_another() {
    let service = Service::answering(|asked, before| match before {
        0 => ok(&document("SUBMITTED", 1)),
        1 => StatusCode::NOT_MODIFIED.into_response(),
        2 => ok(&document("IN_PROGRESS", 2)),
        _ => {
            assert_eq!(asked.header("if-none-match"), Some("\"2\""));
            ok(&document("COMPLETED", 3))
        }
    })
    .await;
    let ran = demand(&service.url, &["wait", "run-1"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let asked = service.asked();
    let seen: Vec<_> =
        asked.iter().map(|asked| (asked.query.as_str(), asked.header("if-none-match"))).collect();
    assert_eq!(
        seen,
        [
            ("", None),
            ("wait=50", Some("\"1\"")),
            ("wait=50", Some("\"1\"")),
            ("wait=50", Some("\"2\"")),
        ]
    );
    // Without a terminal each change is a line, and nothing is coloured.
    let progress: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        progress,
        ["ACCEPTED: execute RUNNING", "EXECUTING: execute RUNNING", "COMPLETED: execute RUNNING"]
    );
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
}

#[tokio::test]
async fn a_wait_that_outlasts_its_timeout_exits_with_124() {
    let service = Service::answering(|_, _| ok(&document("IN_PROGRESS", 2))).await;
    let begun = Instant::now();
    let ran = demand(&service.url, &["wait", "run-1", "--timeout", "1.5s"]).await;
    assert_eq!(ran.code, Some(124), "{}", ran.stderr);
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    assert!(ran.stderr.contains("timed out"), "{}", ran.stderr);
    // This peer holds nothing back; asked without a pause it would see hundreds of requests.
    let asked = service.asked().len();
    assert!((2..=8).contains(&asked), "{asked} requests in 1.5 s");
}

#[tokio::test]
async fn with_json_a_wait_prints_the_last_document_and_nothing_else() {
    let service = Service::answering(|_, before| match before {
        0 => ok(&document("IN_PROGRESS", 2)),
        _ => ok(&document("FAILED", 3)),
    })
    .await;
    let ran = demand(&service.url, &["wait", "run-1", "--json"]).await;
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.document(), document("FAILED", 3));
    assert_eq!(ran.stderr, "");
}

#[tokio::test]
async fn after_a_retry_the_end_of_the_attempt_before_is_not_waited_for() {
    let service = Service::answering(|asked, before| {
        let mut document = document("FAILED", 3);
        document["attempt"] = 2.into();
        match (asked.method.as_str(), before) {
            // At first, and while the working directory is being removed, which a retry waits for.
            ("GET", 0 | 2 | 3) => ok(&document),
            ("POST", _) => {
                assert_eq!(asked.path, "/demands/run-1/retry");
                assert_eq!(asked.json(), json!({"from_attempt": 2}));
                (StatusCode::ACCEPTED, ok(&document)).into_response()
            }
            _ => {
                document["attempt"] = 3.into();
                document["status"] = "COMPLETED".into();
                document["version"] = 9.into();
                ok(&document)
            }
        }
    })
    .await;
    let ran = demand(&service.url, &["retry", "run-1", "--wait", "--timeout", "20s"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[tokio::test]
async fn a_retry_from_a_given_attempt_asks_nothing_first() {
    let service = Service::answering(|_, _| ok(&document("SUBMITTED", 4))).await;
    let ran = demand(&service.url, &["retry", "run-1", "--from-attempt", "1"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout, "run-1 attempt 2\n");
    assert_eq!(service.asked().len(), 1);
}
