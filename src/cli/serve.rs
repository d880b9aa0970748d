//! `demand serve`: the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::HeaderValue;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tracing::info;

use super::exit::Exit;
use super::failure::complain;
use crate::config::{Config, ConfigErrors, Flag, Mode};
use crate::engine::local::{LocalEngine, LocalSettings, OpenError};
use crate::http::{Limits, router};
use crate::lifecycle::{Ending, Lifecycle};
use crate::local::endpoint::{self, EndpointError};
use crate::local::site::{DataDir, DataDirError};
use crate::policy::Policy;
use crate::run::decide::Timing;
use crate::run::transition::Retention;
use crate::run::{Observation, Runs, Settings};
use crate::store::{Store, StoreError};
use crate::telemetry;

/// How long local jobs and their logs are kept after their end.
const KEEP_JOBS: Duration = Duration::from_hours(30 * 24);

/// How long a local command has from SIGTERM to SIGKILL.
const TERMINATE_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Run everything on this machine: no AWS account is needed, and jobs are local processes
    #[arg(long)]
    local: bool,
    /// The configuration file; deploy/demand.toml shows every key
    #[arg(long, env = "DEMAND_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where local mode keeps everything [default: .demand]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where to serve HTTP; port 0 lets the system choose [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// An origin whose web pages may call the service; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
}

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error(
        "this build runs demands on this machine only; start it with --local to serve them from here"
    )]
    NoEngine,
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Engine(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the site of local mode cannot be planned for")]
    Site(#[from] serde_json::Error),
    #[error("`{origin}` is no origin")]
    Origin { origin: String, source: http::header::InvalidHeaderValue },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot find this program's own file")]
    Binary(#[source] std::io::Error),
}

/// A service that runs in this process until its lifecycle ends.
pub(super) struct Started {
    /// Where it answers.
    pub(super) address: SocketAddr,
    /// Its data.
    pub(super) data_dir: DataDir,
    store: Store,
    engine: Arc<LocalEngine>,
}

impl Started {
    /// Where it answers, for clients.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets go of what outlives the tasks. Jobs run on.
    pub(super) async fn close(self) {
        self.engine.close().await;
        self.store.close().await;
    }
}

/// Serves until it is told to stop.
pub(super) async fn run(arguments: Arguments) -> Exit {
    match serve(arguments).await {
        Ok(Ending::Clean | Ending::Forced { .. }) => Exit::Done,
        Ok(Ending::Failed { task }) => {
            complain(&Ended { task });
            Exit::Failed
        }
        Err(failed) => {
            complain(&*failed);
            Exit::Failed
        }
    }
}

/// The service ended without having been asked to.
#[derive(Debug, thiserror::Error)]
#[error("the service ended because its {task} did; its log tells why")]
struct Ended {
    task: &'static str,
}

async fn serve(arguments: Arguments) -> Result<Ending, Box<dyn std::error::Error>> {
    let config = configuration(&arguments)?;
    telemetry::init(&config.log, &telemetry::Environment::of_process())?;
    let lifecycle = Lifecycle::new();
    let started = start(&config, &lifecycle).await?;
    // Whoever starts the service reads this line to learn the address taken.
    println!("listening on {}", started.url());
    let ending = lifecycle.run(config.lifecycle.shutdown_grace).await?;
    started.close().await;
    Ok(ending)
}

fn configuration(arguments: &Arguments) -> Result<Config, StartError> {
    if !arguments.local {
        return Err(StartError::NoEngine);
    }
    let flag = |name, key, value| Flag { name, key, value };
    let mut flags = Vec::new();
    if let Some(listen) = &arguments.listen {
        flags.push(flag("--listen", "listen", listen.clone()));
    }
    if let Some(data_dir) = &arguments.data_dir {
        flags.push(flag("--data-dir", "local.data_dir", data_dir.display().to_string()));
    }
    if !arguments.cors_origin.is_empty() {
        let origins = format!("[{}]", arguments.cors_origin.join(","));
        flags.push(flag("--cors-origin", "http.cors_origins", origins));
    }
    let config =
        Config::load(Mode::Local, arguments.config.as_deref(), std::env::vars_os(), &flags)?;
    Ok(config)
}

/// Starts every part of a local service, as tasks of `lifecycle`.
pub(super) async fn start(config: &Config, lifecycle: &Lifecycle) -> Result<Started, StartError> {
    let data_dir = DataDir::prepare(&config.local.data_dir)?;
    // First of all, since it is what a second service on the same data stumbles over.
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
    let site = Arc::new(serde_json::from_value(data_dir.site(config))?);
    let mount_paths = [data_dir.scratch(), data_dir.shared()];
    let policy = Policy {
        mount_paths: Some(mount_paths.iter().map(|path| path.display().to_string()).collect()),
    };
    let (runs, reconciler) =
        Runs::new(store.clone(), engine.clone(), site, policy, settings(config));
    let limits = limits(config)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|source| StartError::Listen { address: config.listen, source })?;
    let address = listener
        .local_addr()
        .map_err(|source| StartError::Listen { address: config.listen, source })?;

    let soft = lifecycle.soft().clone();
    let stopping = soft.clone();
    lifecycle.spawn_critical("reconciler", async move {
        reconciler.run(stopping).await;
        Ok::<(), std::convert::Infallible>(())
    });
    lifecycle.spawn_critical("S3 endpoint", endpoint.running.finished());
    let app = router(runs, limits, soft.clone());
    lifecycle.spawn_critical("HTTP server", async move {
        axum::serve(listener, app).with_graceful_shutdown(soft.cancelled_owned()).await
    });
    info!(%address, data_dir = %config.local.data_dir.display(), "serving");
    Ok(Started { address, data_dir, store, engine })
}

fn slots(config: &Config) -> usize {
    match config.local.slots {
        Some(slots) => usize::try_from(slots).unwrap_or(usize::MAX),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn settings(config: &Config) -> Settings {
    let lifecycle = &config.lifecycle;
    let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    Settings {
        retention: Retention { failed: signed(lifecycle.failed_retention), ..Retention::default() },
        timing: Timing { look_up_grace: signed(lifecycle.look_up_grace), ..Timing::default() },
        observation: Observation {
            min: lifecycle.observe_min,
            max: lifecycle.observe_max,
            lost_grace: lifecycle.lost_grace,
        },
    }
}

fn limits(config: &Config) -> Result<Limits, StartError> {
    let origin = |origin: &String| {
        HeaderValue::from_str(origin)
            .map_err(|source| StartError::Origin { origin: origin.clone(), source })
    };
    Ok(Limits {
        body: config.http.body_limit,
        time: config.http.timeout,
        concurrency: config.http.max_concurrency,
        hosts: config.allowed_hosts.clone(),
        cors_origins: config.http.cors_origins.iter().map(origin).collect::<Result<_, _>>()?,
    })
}
