//! An endpoint that speaks the protocol of EFS, pages as AWS does, and fails when told to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_efs::config::Credentials;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The most items AWS puts on a page of file systems.
const PAGE: usize = 100;

#[derive(Clone)]
pub struct Endpoint {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
pub struct Held {
    pub file_systems: Vec<Value>,
    pub access_points: Vec<Value>,
    pub failing: bool,
    /// Calls of `DescribeFileSystems`, one a page.
    pub calls: usize,
    pub longest_page: usize,
}

impl Endpoint {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = Arc::new(Mutex::new(Held::default()));
        let app = Router::new()
            .route("/2015-02-01/file-systems", get(file_systems))
            .route("/2015-02-01/access-points", get(access_points))
            .with_state(held.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, held }
    }

    /// With the file system and the access points that demands get by default.
    pub async fn with_volumes() -> Self {
        let endpoint = Self::start().await;
        {
            let mut held = endpoint.held();
            held.file_systems.push(file_system("fs-00000001", "dev-efs"));
            held.access_points.push(access_point("fsap-00000001", "fs-00000001", "scratch"));
            held.access_points.push(access_point("fsap-00000002", "fs-00000001", "shared"));
        }
        endpoint
    }

    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    pub fn config(&self) -> SdkConfig {
        let base = demand_context_manager::aws::config();
        let base = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(base));
        base.into_builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-west-2"))
            .credentials_provider(aws_sdk_efs::config::SharedCredentialsProvider::new(
                Credentials::new("id", "secret", None, None, "test"),
            ))
            .endpoint_url(format!("http://{}", self.address))
            .build()
    }
}

pub fn file_system(id: &str, name: &str) -> Value {
    json!({
        "FileSystemId": id, "Name": name, "OwnerId": "1", "CreationToken": id,
        "CreationTime": 0, "LifeCycleState": "available", "NumberOfMountTargets": 0,
        "SizeInBytes": {"Value": 0}, "PerformanceMode": "generalPurpose",
        "Tags": [{"Key": "Name", "Value": name}, {"Key": "env_base", "Value": "dev"}],
    })
}

pub fn access_point(id: &str, file_system: &str, name: &str) -> Value {
    json!({
        "AccessPointId": id, "FileSystemId": file_system, "Name": name,
        "LifeCycleState": "available", "RootDirectory": {"Path": format!("/{name}")},
        "Tags": [{"Key": "Name", "Value": name}, {"Key": "env_base", "Value": "dev"}],
    })
}

type Answer = (StatusCode, [(&'static str, &'static str); 1], Json<Value>);

async fn file_systems(
    State(held): State<Arc<Mutex<Held>>>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let answer = {
        let mut held = held.lock().unwrap();
        held.calls += 1;
        let all = held.file_systems.clone();
        answer(&mut held, &all, &query, ["FileSystems", "Marker", "NextMarker", "MaxItems"])
    };
    // Long enough for whoever asks at the same time to come too.
    tokio::time::sleep(Duration::from_millis(20)).await;
    answer
}

async fn access_points(
    State(held): State<Arc<Mutex<Held>>>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let mut held = held.lock().unwrap();
    let all = held.access_points.clone();
    answer(&mut held, &all, &query, ["AccessPoints", "NextToken", "NextToken", "MaxResults"])
}

/// A page: at most as many as asked for, and [`PAGE`].
fn answer(
    held: &mut Held,
    all: &[Value],
    query: &HashMap<String, String>,
    [items, token, next_token, limit]: [&str; 4],
) -> Answer {
    if held.failing {
        let denied = ("x-amzn-errortype", "AccessDeniedException");
        return (StatusCode::FORBIDDEN, [denied], Json(json!({"message": "not today"})));
    }
    let start = query.get(token).map_or(0, |token| token.parse().unwrap());
    let limit = query.get(limit).map_or(PAGE, |limit| limit.parse().unwrap());
    let page: Vec<Value> = all.iter().skip(start).take(limit.min(PAGE)).cloned().collect();
    held.longest_page = held.longest_page.max(page.len());
    let end = start + page.len();
    let mut document = json!({items: page});
    if end < all.len() {
        document[next_token] = end.to_string().into();
    }
    (StatusCode::OK, [("x-amzn-requestid", "1")], Json(document))
}
