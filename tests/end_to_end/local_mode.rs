//! What holds in local mode alone.

use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::service::{Service, demand};

#[tokio::test]
async fn file_systems_are_mounted_where_they_are_and_nowhere_else() {
    let service = Service::start().await;
    let mut elsewhere = demand("elsewhere", "true");
    elsewhere["file_system_configurations"] =
        json!({"scratch": [{"access_point": "scratch", "container_path": "/opt/efs/scratch"}]});
    let response = service.submit(&elsewhere).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_second_service_on_the_same_data_is_refused() {
    let service = Service::start().await;
    let output = service.site.command().output().await.unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another process serves from the data directory"), "{said}");
    assert_eq!(service.get("/health/ready").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn local_mode_is_refused_any_address_but_loopback() {
    let directory = tempfile::TempDir::new().unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_demand"))
        .args(["serve", "--local", "--listen", "0.0.0.0:0", "--data-dir"])
        .arg(directory.path())
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("loopback"));
}

#[tokio::test]
async fn pages_of_an_origin_that_was_named_may_call_the_service() {
    let directory = tempfile::TempDir::new().unwrap();
    let mut process = tokio::process::Command::new(env!("CARGO_BIN_EXE_demand"))
        .args(["serve", "--local", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path())
        .args([
            "--cors-origin",
            "http://localhost:3000",
            "--cors-origin",
            "https://lab.example.org",
        ])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let url = first.strip_prefix("listening on ").unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    for (origin, allowed) in [("https://lab.example.org", true), ("https://evil.example", false)] {
        let answer = client.get(format!("{url}/demands")).header("origin", origin);
        let answer = answer.send().await.unwrap();
        let header = answer.headers().get("access-control-allow-origin");
        assert_eq!(header.is_some_and(|header| header == origin), allowed, "{origin}");
    }
}

#[tokio::test]
async fn a_command_that_runs_longer_than_it_may_is_ended_and_not_tried_again() {
    let service = Service::start_with(&[("DEMAND_TIMEOUTS__EXECUTE", "1s")]).await;
    let id = service.accepted(&demand("endless", "sleep 1000")).await;
    let document = service.ended(&id).await;
    assert_eq!(document["status"], "FAILED");
    assert_eq!(document["reason"]["code"], "TIMED_OUT", "{document:#}");
    let tries = document["steps"][0]["tries"].as_array().unwrap().len();
    assert_eq!((document["steps"][0]["step"].as_str(), tries), (Some("execute"), 1));
}
