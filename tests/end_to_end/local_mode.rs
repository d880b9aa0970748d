//! What holds in local mode alone.

use reqwest::StatusCode;
use serde_json::json;

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
