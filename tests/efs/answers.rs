//! What a service answers, by what is known of its file systems.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use demand_context_manager::efs::AwsCatalogue;
use demand_context_manager::engine::aws_batch::{AwsBatch, AwsBatchSettings};
use demand_context_manager::http::auth::Authority;
use demand_context_manager::http::{Limits, router};
use demand_context_manager::plan::Site;
use demand_context_manager::policy::Policy;
use demand_context_manager::run::{Runs, Settings, Sites};
use demand_context_manager::store::Store;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::endpoint::{Endpoint, access_point};

/// A service whose jobs nobody looks after: only its answers matter here.
struct Service {
    app: axum::Router,
    _directory: TempDir,
}

impl Service {
    async fn start(endpoint: &Endpoint) -> Self {
        let directory = TempDir::new().unwrap();
        Self::start_on(endpoint, &directory.path().join("db"), directory).await
    }

    async fn start_on(endpoint: &Endpoint, database: &Path, directory: TempDir) -> Self {
        let sdk = endpoint.config();
        let store = Store::open(database).await.unwrap();
        let engine = AwsBatch::new(AwsBatchSettings::default(), &sdk, store.clone());
        let base: Site = serde_json::from_value(json!({
            "env_base": "dev", "region": "us-west-2",
            "catalog": {"file_systems": [], "access_points": []},
        }))
        .unwrap();
        let catalogue = AwsCatalogue::new(&sdk, Duration::from_mins(5));
        let sites = Sites::new(base, Arc::new(catalogue));
        let (runs, _) =
            Runs::new(store, Arc::new(engine), sites, Policy::default(), Settings::default());
        let limits = Limits {
            body: 1 << 20,
            time: Duration::from_mins(1),
            concurrency: 100,
            hosts: vec!["*".to_owned()],
            cors_origins: Vec::new(),
        };
        Self {
            app: router(runs, Authority::default(), limits, CancellationToken::new()),
            _directory: directory,
        }
    }

    async fn post(&self, path: &str, demand: &Value) -> (StatusCode, Option<u32>, Value) {
        let request = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(demand.to_string()))
            .unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.map(|value| value.to_str().unwrap().parse().unwrap());
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, retry_after, serde_json::from_slice(&body).unwrap())
    }
}

fn demand(id: &str) -> Value {
    json!({
        "execution_id": id,
        "execution_type": "test",
        "execution_image": "image",
        "execution_parameters": {"command": ["true"]},
        "execution_platform": {"aws_batch": {"job_queue_name": "queue"}},
    })
}

fn on_access_point(id: &str, access_point: &str) -> Value {
    let mut demand = demand(id);
    demand["file_system_configurations"] = json!({"scratch": [{"access_point": access_point}]});
    demand
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_point_made_after_the_catalogue_was_read_is_found() {
    let endpoint = Endpoint::with_volumes().await;
    let service = Service::start(&endpoint).await;
    let (status, _, problem) = service.post("/demands", &on_access_point("early", "fast")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][0]["code"], "access_point_not_found");
    assert_eq!(problem["errors"][0]["pointer"], "/file_system_configurations/scratch/0");
    endpoint.held().access_points.push(access_point("fsap-0000000f", "fs-00000001", "fast"));
    let (status, _, document) = service.post("/demands", &on_access_point("late", "fast")).await;
    assert_eq!(status, StatusCode::CREATED, "{document:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_catalogue_cannot_be_had_new_demands_are_put_off() {
    let endpoint = Endpoint::with_volumes().await;
    endpoint.held().failing = true;
    let service = Service::start(&endpoint).await;
    for path in ["/demands", "/demands/plan"] {
        let (status, retry_after, problem) = service.post(path, &demand("cold")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(problem["type"], "urn:demand:problem:unavailable");
        assert!((1..=60).contains(&retry_after.unwrap()));
        assert!(!problem.to_string().contains("not today"), "the cause is the operator's alone");
    }
    let bad = json!({"execution_id": "cold"});
    assert_eq!(service.post("/demands", &bad).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demand_that_was_stored_is_answered_without_the_catalogue() {
    let endpoint = Endpoint::with_volumes().await;
    let service = Service::start(&endpoint).await;
    assert_eq!(service.post("/demands", &demand("known")).await.0, StatusCode::CREATED);
    let Service { _directory: directory, app } = service;
    let database = directory.path().join("db");
    drop(app);
    endpoint.held().failing = true;
    let copy = TempDir::new().unwrap();
    let path = copy.path().join("db");
    for file in ["db", "db-wal"] {
        let from = database.with_file_name(file);
        if from.exists() {
            std::fs::copy(from, path.with_file_name(file)).unwrap();
        }
    }
    let again = Service::start_on(&endpoint, &path, copy).await;
    assert_eq!(again.post("/demands", &demand("known")).await.0, StatusCode::OK);
    assert_eq!(again.post("/demands", &demand("new")).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_that_cannot_be_looked_into_is_put_off_and_not_refused() {
    let endpoint = Endpoint::with_volumes().await;
    let service = Service::start(&endpoint).await;
    assert_eq!(service.post("/demands", &demand("warm")).await.0, StatusCode::CREATED);
    endpoint.held().failing = true;
    let (status, retry_after, _) =
        service.post("/demands", &on_access_point("perhaps", "fast")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(retry_after.is_some());
    let (status, ..) = service.post("/demands", &demand("known-volumes")).await;
    assert_eq!(status, StatusCode::CREATED, "what is known still serves");
}
