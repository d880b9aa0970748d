//! The service's own parts on the engine: demands, the store, the reconciler.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use demand_context_manager::engine::aws_batch::{AwsBatch, AwsBatchSettings};
use demand_context_manager::plan::Site;
use demand_context_manager::policy::Policy;
use demand_context_manager::run::decide::Timing;
use demand_context_manager::run::record::Record;
use demand_context_manager::run::state::Phase;
use demand_context_manager::run::{Accepted, Observation, Runs, Settings};
use demand_context_manager::store::Store;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{PATIENCE, sdk};

/// A service on the database at a path, until it is stopped or killed.
pub struct Service {
    pub runs: Runs,
    store: Store,
    reconciler: JoinHandle<()>,
    stopping: CancellationToken,
}

impl Service {
    pub async fn start(database: &Path, endpoint: &str, observation: Observation) -> Self {
        let store = Store::open(database).await.unwrap();
        let settings = AwsBatchSettings::default();
        let engine = Arc::new(AwsBatch::new(settings, &sdk(endpoint).await, store.clone()));
        let settings = Settings {
            timing: Timing { look_up_grace: SignedDuration::from_secs(2), ..Timing::default() },
            observation,
            ..Settings::default()
        };
        let site = Arc::new(site());
        let (runs, reconciler) =
            Runs::new(store.clone(), engine, site, Policy::default(), settings);
        let stopping = CancellationToken::new();
        let reconciler = tokio::spawn(reconciler.run(stopping.clone()));
        Self { runs, store, reconciler, stopping }
    }

    /// Ends where it stands, with calls under way.
    pub async fn die(self) {
        self.reconciler.abort();
        let _ = self.reconciler.await;
        self.store.close().await;
    }

    pub async fn stop(self) {
        self.stopping.cancel();
        self.reconciler.await.unwrap();
        self.store.close().await;
    }

    pub async fn accept(&self, id: &str) {
        let accepted = self.runs.accept(&request(id), None, None).await.unwrap();
        assert!(matches!(accepted, Accepted::New(_)));
    }

    pub async fn ended(&self, id: &str) -> Record {
        let ends = async {
            loop {
                let mut changes = self.runs.subscribe(id);
                let record = self.runs.get(id).await.unwrap().unwrap();
                if record.state.phase == Phase::Done {
                    return record;
                }
                changes.changed().await;
            }
        };
        tokio::time::timeout(PATIENCE, ends).await.expect("the demand ends")
    }
}

pub fn often() -> Observation {
    Observation {
        min: Duration::from_millis(50),
        max: Duration::from_millis(500),
        lost_grace: Duration::from_mins(1),
    }
}

fn site() -> Site {
    let access_point = |name: &str, id: &str| {
        json!({
            "AccessPointId": id,
            "FileSystemId": "fs-00000001",
            "Name": name,
            "RootDirectory": {"Path": format!("/{name}")},
            "Tags": [{"Key": "Name", "Value": name}, {"Key": "env_base", "Value": "test"}],
        })
    };
    serde_json::from_value(json!({
        "env_base": "test",
        "region": "us-west-2",
        "catalog": {
            "file_systems": [{
                "FileSystemId": "fs-00000001",
                "Name": "test-efs",
                "Tags": [{"Key": "Name", "Value": "test-efs"}, {"Key": "env_base", "Value": "test"}],
            }],
            "access_points": [
                access_point("scratch", "fsap-00000001"),
                access_point("shared", "fsap-00000002"),
            ],
        },
    }))
    .unwrap()
}

fn request(id: &str) -> Value {
    json!({
        "execution_id": id,
        "execution_type": "test",
        "execution_image": "image",
        "execution_parameters": {
            "command": ["true"],
            "params": {"data": "s3://lab/data", "out": "out @ s3://lab/out"},
            "inputs": ["data"],
            "outputs": ["out"],
        },
        "execution_platform": {"aws_batch": {"job_queue_name": "queue"}},
    })
}
