//! What local mode brings along: a data directory, the embedded S3, jobs as processes.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::{LocalParts, Parts, Service, StartError, run};
use crate::config::Config;
use crate::engine::local::{LocalEngine, LocalSettings};
use crate::lifecycle::Lifecycle;
use crate::local::endpoint;
use crate::local::site::DataDir;
use crate::plan::Site;
use crate::policy::Policy;
use crate::store::Store;

/// How long local jobs and their logs are kept after their end.
const KEEP_JOBS: Duration = Duration::from_hours(30 * 24);

/// How long a local command has from SIGTERM to SIGKILL.
const TERMINATE_GRACE: Duration = Duration::from_secs(5);

pub(super) async fn start(config: &Config, lifecycle: &Lifecycle) -> Result<Service, StartError> {
    let data_dir = DataDir::prepare(&config.local.data_dir)?;
    let store = Store::open(&config.store.path).await?;
    let endpoint = endpoint::serve(
        &data_dir.buckets(),
        &data_dir.s3_environment(),
        &config.region,
        lifecycle.soft().clone(),
    )
    .await?;
    let mut environment = endpoint::inherited();
    environment.extend(endpoint.environment);
    let engine = Arc::new(
        LocalEngine::open(LocalSettings {
            root: data_dir.jobs(),
            slots: slots(config),
            demand_binary: std::env::current_exe().map_err(StartError::Binary)?,
            environment,
            terminate_grace: TERMINATE_GRACE,
            keep_jobs: KEEP_JOBS,
        })
        .await?,
    );
    let site: Site = serde_json::from_value(data_dir.site(config))?;
    let mount_paths = [data_dir.scratch(), data_dir.shared()];
    let policy = Policy {
        mount_paths: Some(mount_paths.iter().map(|path| path.display().to_string()).collect()),
        rules: config.policy.clone(),
        // The engine hands large tasks over as files.
        tasks_must_fit: false,
    };
    let parts = Parts { engine: engine.clone(), sites: Arc::new(site).into(), policy };
    let address = run(config, lifecycle, store.clone(), parts).await?;
    lifecycle.spawn_critical("S3 endpoint", endpoint.running.finished());
    info!(data_dir = %config.local.data_dir.display(), "keeping everything on this machine");
    Ok(Service { address, store, local: Some(LocalParts { data_dir, engine }) })
}

fn slots(config: &Config) -> usize {
    match config.local.slots {
        Some(slots) => usize::try_from(slots).unwrap_or(usize::MAX),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}
