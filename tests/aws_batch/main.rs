//! The `aws_batch` engine against moto's server, and against an endpoint of this test's own that
//! keeps AWS's limits where moto does not, with a proxy between that loses and delays calls.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is a test's report"
)]

mod defining;
mod endpoint;
mod in_flight;
mod looking;
mod moto;
#[path = "../moto/plain.rs"]
mod plain;
mod proxy;
mod service;
mod submitting;
mod under_faults;

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_batch::config::Credentials;
use demand_context_manager::engine::aws_batch::{AwsBatch, AwsBatchSettings};
use demand_context_manager::plan::definition::CONTENT_HASH_TAG;
use demand_context_manager::plan::submission::{JobDefinition, SubmitJob};
use demand_context_manager::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take; far more than it does.
const PATIENCE: Duration = Duration::from_mins(2);

const REGION: &str = "us-west-2";

/// Clients of `endpoint`, as the service's are but for their endpoint and credentials.
async fn sdk(endpoint: &str) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts)
        .load()
        .await
}

/// An engine on `endpoint`, and the ledger it keeps.
struct Lab {
    engine: AwsBatch,
    store: Store,
    _directory: TempDir,
}

impl Lab {
    async fn on(endpoint: &str) -> Self {
        Self::with(endpoint, AwsBatchSettings::default()).await
    }

    async fn with(endpoint: &str, settings: AwsBatchSettings) -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::open(&directory.path().join("db")).await.unwrap();
        let engine = AwsBatch::new(settings, &sdk(endpoint).await, store.clone());
        Self { engine, store, _directory: directory }
    }
}

/// A definition whose content is `image`.
fn definition(image: &str) -> JobDefinition {
    definition_of(&json!({"image": image}))
}

/// A definition with `properties` in its container's.
fn definition_of(properties: &Value) -> JobDefinition {
    let mut container = json!({
        "image": "image",
        "command": [],
        "resourceRequirements": [{"type": "MEMORY", "value": "2048"}, {"type": "VCPU", "value": "1"}],
        "mountPoints": [
            {"readOnly": false, "containerPath": "/opt/efs", "sourceVolume": "scratch"},
        ],
        "volumes": [volume("fs-1", "fsap-1")],
        "privileged": false,
    });
    for (key, value) in properties.as_object().unwrap() {
        container[key] = value.clone();
    }
    let mut hasher = DefaultHasher::new();
    container.to_string().hash(&mut hasher);
    let content_hash = format!("{:016x}", hasher.finish());
    serde_json::from_value(json!({
        "content_hash": content_hash,
        "register": {
            "jobDefinitionName": "dev-work",
            "type": "container",
            "containerProperties": container,
            "retryStrategy": retry_strategy(),
            "tags": {"USER": "somebody", CONTENT_HASH_TAG: content_hash},
        },
    }))
    .unwrap()
}

fn volume(file_system: &str, access_point: &str) -> Value {
    json!({
        "name": "scratch",
        "efsVolumeConfiguration": {
            "fileSystemId": file_system,
            "rootDirectory": "/",
            "transitEncryption": "ENABLED",
            "authorizationConfig": {"accessPointId": access_point, "iam": "DISABLED"},
        },
    })
}

fn retry_strategy() -> Value {
    json!({
        "attempts": 5,
        "evaluateOnExit": [
            {"action": "RETRY", "onStatusReason": "Host EC2*"},
            {"action": "EXIT", "onStatusReason": "*"},
        ],
    })
}

/// A job of this name on a definition that was registered.
fn job(job_name: &str, job_definition: &str) -> SubmitJob {
    serde_json::from_value(json!({
        "jobName": job_name,
        "jobQueue": "queue",
        "jobDefinition": job_definition,
        "dependsOn": [],
        "containerOverrides": {
            "command": ["/bin/bash", "-c", "echo hello"],
            "environment": [{"name": "EXECUTION_ID", "value": "e-1"}],
            "resourceRequirements": [{"type": "VCPU", "value": "2"}],
        },
        "retryStrategy": retry_strategy(),
        "tags": {"project": "lab"},
        "propagateTags": true,
    }))
    .unwrap()
}

/// What `look` gives once it gives something.
async fn eventually<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it happens in time")
}
