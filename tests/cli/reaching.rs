//! Reaching the service: addresses, tokens, refusals, and services that are not there.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;
use tokio::net::TcpListener;

use crate::binary::{command, demand, demand_reading};
use crate::service::{Service, demand as document, ok, problem};

/// An address at which nothing listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_service_that_is_not_there_exits_with_5() {
    let url = nowhere().await;
    let ran = demand(&url, &["status", "run-1"]).await;
    assert_eq!(ran.code, Some(5));
    assert!(ran.stderr.contains(&format!("cannot reach {url}/demands/run-1")), "{}", ran.stderr);
    assert!(ran.stderr.contains("Connection refused"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_submission_nobody_answered_names_the_id_it_may_have_been_accepted_by() {
    let ran = demand_reading(&nowhere().await, &["submit"], "{}").await;
    assert_eq!(ran.code, Some(5));
    assert!(ran.stderr.contains("it may have been accepted: `demand status "), "{}", ran.stderr);
}

#[tokio::test]
async fn a_failure_of_the_service_exits_with_5_and_tells_the_request_id() {
    let service = Service::answering(|_, _| {
        problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal error",
            &json!({"request_id": "req-42"}),
        )
    })
    .await;
    let ran = demand(&service.url, &["status", "run-1"]).await;
    assert_eq!(ran.code, Some(5));
    assert!(ran.stderr.contains("Internal error (500)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("req-42"), "{}", ran.stderr);
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_of_something_else_than_the_service_exits_with_5() {
    let service = Service::answering(|_, _| "<html>Welcome</html>".into_response()).await;
    let ran = demand(&service.url, &["status", "run-1"]).await;
    assert_eq!(ran.code, Some(5));
    assert!(ran.stderr.contains("does not answer like this service"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_refused_call_exits_with_2() {
    let service = Service::answering(|_, _| {
        problem(StatusCode::CONFLICT, "The demand has ended", &json!({"detail": "COMPLETED"}))
    })
    .await;
    for command in [&["cancel", "run-1"][..], &["retry", "run-1", "--from-attempt", "1"]] {
        let ran = demand(&service.url, command).await;
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("The demand has ended (409): COMPLETED"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn the_token_is_sent_and_never_shown() {
    let service = Service::answering(|_, _| ok(&document("COMPLETED", 1))).await;
    let with_token = |arguments: &[&str]| {
        let mut command = command(&service.url, arguments);
        command.env("DEMAND_TOKEN", "s3cret");
        command
    };
    let ran = with_token(&["status", "run-1"]).output().await.unwrap();
    assert!(ran.status.success());
    assert_eq!(service.asked()[0].header("authorization"), Some("Bearer s3cret"));

    let help = with_token(&["status", "--help"]).output().await.unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("DEMAND_TOKEN") && help.contains("124"), "{help}");
    assert!(!help.contains("s3cret"), "{help}");

    let mut empty = command(&service.url, &["status", "run-1"]);
    assert!(empty.env("DEMAND_TOKEN", "").status().await.unwrap().success());
    assert_eq!(service.asked()[1].header("authorization"), None);
}

#[tokio::test]
async fn the_address_may_have_a_path_and_an_id_stays_one_segment() {
    let service = Service::answering(|_, _| ok(&document("COMPLETED", 1))).await;
    let below = format!("{}/lab/", service.url);
    for id in ["run-1", "../x", "a b/c?d#e"] {
        demand("http://127.0.0.1:9", &["status", id, "--url", &below]).await;
    }
    let paths: Vec<String> = service.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(
        paths,
        ["/lab/demands/run-1", "/lab/demands/..%2Fx", "/lab/demands/a%20b%2Fc%3Fd%23e"]
    );
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_exits_with_2() {
    let url = nowhere().await;
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["status"],
        &["status", ""],
        &["status", ".."],
        &["status", "run-1", "--url", "localhost:8080"],
        &["status", "run-1", "--url", "http://user:pass@localhost"],
        &["wait", "run-1", "--timeout", "soon"],
        &["submit", "--timeout", "1s"],
        &["retry", "run-1", "--from-attempt", "0"],
    ] {
        let ran = demand(&url, arguments).await;
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

#[tokio::test]
async fn help_and_version_exit_with_0() {
    let url = nowhere().await;
    let version = demand(&url, &["--version"]).await;
    assert_eq!(version.stdout, concat!("demand ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = demand(&url, &["help"]).await;
    assert_eq!((version.code, help.code), (Some(0), Some(0)));
    for words in ["submit", "Exit codes:", "124  timed out"] {
        assert!(help.stdout.contains(words), "{}", help.stdout);
    }
}

#[tokio::test]
async fn health_tells_ready_not_ready_and_unreachable_apart() {
    let service = Service::answering(|asked, _| {
        assert_eq!(asked.path, "/health/ready");
        axum::Json(json!({"status": "ready"})).into_response()
    })
    .await;
    let ran = demand(&service.url, &["health"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ready\n"));

    let service = Service::answering(|_, _| {
        let more = json!({"detail": "the store cannot be written"});
        let problem = problem(StatusCode::SERVICE_UNAVAILABLE, "Not ready", &more);
        ([("retry-after", "1")], problem).into_response()
    })
    .await;
    let ran = demand(&service.url, &["health"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("the store cannot be written"), "{}", ran.stdout);
    assert_eq!(service.asked().len(), 1, "a health check is asked once");

    assert_eq!(demand(&nowhere().await, &["health"]).await.code, Some(5));
}

#[tokio::test]
async fn whether_it_lives_is_asked_apart_from_whether_it_is_ready() {
    let service = Service::answering(|asked, _| {
        if asked.path == "/health/live" {
            return axum::Json(json!({"status": "live"})).into_response();
        }
        problem(StatusCode::SERVICE_UNAVAILABLE, "not ready", &json!({}))
    })
    .await;
    let lives = demand(&service.url, &["health", "--live"]).await;
    assert_eq!((lives.code, lives.stdout.trim()), (Some(0), "live"));
    assert_eq!(demand(&service.url, &["health"]).await.code, Some(1));
}
