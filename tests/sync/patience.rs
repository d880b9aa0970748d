//! Waiting for an endpoint that is down, with the SDK's own tries off.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use demand_context_manager::aws::Patient;
use demand_context_manager::local::s3::{Credentials, serve};
use tokio_util::sync::CancellationToken;

use crate::lab::{BUCKET, client};

const SECRET: &str = "a-secret-key";

/// A port where nothing listens.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn patient(port: u16, patience: Duration) -> Client {
    let plain = client(&format!("http://127.0.0.1:{port}"), SECRET);
    let http = Patient::new(plain.config().http_client().unwrap(), patience);
    let config = plain.config().to_builder().http_client(http);
    Client::from_conf(config.retry_config(RetryConfig::disabled()).build())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_an_endpoint_that_is_being_restarted() {
    let directory = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(directory.path().join(BUCKET)).unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, vec![7; 1 << 20]).unwrap();
    let port = free_port();
    let client = patient(port, Duration::from_mins(2));
    let call = tokio::spawn(async move {
        let body = ByteStream::from_path(file).await.unwrap();
        client.put_object().bucket(BUCKET).key("k").body(body).send().await
    });
    // Time for a first try; should it come later, the call has only less to wait for.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!call.is_finished());
    let credentials = Credentials {
        access_key_id: "an-access-key".to_owned(),
        secret_access_key: SECRET.to_owned(),
    };
    let stop = CancellationToken::new();
    let _running = serve(directory.path(), credentials, port, stop).await.unwrap();
    call.await.unwrap().unwrap();
    let arrived = std::fs::read(directory.path().join(BUCKET).join("k")).unwrap();
    assert!(arrived == vec![7; 1 << 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn patience_with_an_endpoint_ends() {
    let client = patient(free_port(), Duration::from_millis(200));
    let ended = client.get_object().bucket(BUCKET).key("k").send().await;
    assert!(matches!(ended, Err(SdkError::DispatchFailure(_))), "{ended:?}");
}
