//! One running service, put together from its parts: store, engine, sites, policy, reconciler and
//! HTTP. What local mode and AWS bring along differs; how they run does not.

pub mod aws;
mod local;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use jiff::SignedDuration;
use reqwest::redirect::Policy as Redirects;
use tokio::net::TcpListener;
use tracing::info;

use crate::config::{Config, Mode};
use crate::engine::Engine;
use crate::engine::local::{LocalEngine, OpenError};
use crate::http::auth::tokens::{TokenFile, TokensError};
use crate::http::auth::{Authority, Verifier};
use crate::http::{Limits, router, serve};
use crate::lifecycle::Lifecycle;
use crate::local::endpoint::EndpointError;
use crate::local::site::{DataDir, DataDirError};
use crate::plan::site::SiteError;
use crate::policy::Policy;
use crate::run::decide::Timing;
use crate::run::transition::Retention;
use crate::run::{Observation, Runs, Settings, Sites};
use crate::store::{Store, StoreError};
use crate::tls;

/// Why a service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The embedded S3 cannot be served.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The local engine cannot be opened.
    #[error(transparent)]
    Engine(#[from] OpenError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings make no site.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The data directory makes no site.
    #[error("the site of local mode cannot be planned for")]
    LocalSite(#[from] serde_json::Error),
    /// An origin cannot be a header's value.
    #[error("`{origin}` is no origin")]
    Origin {
        /// As it was set.
        origin: String,
        /// Why.
        source: http::header::InvalidHeaderValue,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The tokens of callers cannot be read.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The identity provider cannot be asked.
    #[error("cannot set up the client that asks for the identity provider's keys")]
    Provider(#[source] reqwest::Error),
    /// The jobs of local mode could not run this program.
    #[error("cannot find this program's own file")]
    Binary(#[source] std::io::Error),
}

/// A service that runs in this process until its lifecycle ends.
pub struct Service {
    /// Where it answers.
    pub address: SocketAddr,
    store: Store,
    local: Option<LocalParts>,
}

/// What only a local service holds on to.
struct LocalParts {
    /// Taken for as long as this service lives.
    data_dir: DataDir,
    engine: Arc<LocalEngine>,
}

/// What a mode brings along.
struct Parts {
    engine: Arc<dyn Engine>,
    sites: Sites,
    policy: Policy,
}

impl Service {
    /// Starts every part, as tasks of `lifecycle`.
    pub async fn start(
        config: &Config,
        mode: Mode,
        lifecycle: &Lifecycle,
    ) -> Result<Self, StartError> {
        match mode {
            Mode::Local => local::start(config, lifecycle).await,
            Mode::AwsBatch => aws::start(config, lifecycle).await,
        }
    }

    /// Where it answers, for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where a local service keeps its data.
    pub fn data_dir(&self) -> Option<&DataDir> {
        self.local.as_ref().map(|local| &local.data_dir)
    }

    /// Lets go of what outlives the tasks. Jobs run on.
    pub async fn close(self) {
        if let Some(local) = &self.local {
            local.engine.close().await;
        }
        self.store.close().await;
    }
}

/// Starts what both modes have; answers where HTTP is served.
async fn run(
    config: &Config,
    lifecycle: &Lifecycle,
    store: Store,
    parts: Parts,
) -> Result<SocketAddr, StartError> {
    let Parts { engine, sites, policy } = parts;
    if let Some(retention) = config.store.retention {
        let retaining = store.clone().retain(retention, lifecycle.soft().clone());
        lifecycle.spawn("retention", retaining);
    }
    let kind = engine.kind();
    let (runs, reconciler) = Runs::new(store, engine, sites, policy, settings(config));
    let (limits, authority) = (limits(config)?, authority(config)?);
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
        Ok::<(), Infallible>(())
    });
    let concurrency = limits.concurrency;
    let app = router(runs, authority, limits, soft.clone());
    lifecycle.spawn_critical("HTTP server", async move {
        serve(listener, app, concurrency, soft).await
    });
    info!(%address, engine = kind.as_str(), "serving");
    Ok(address)
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

fn authority(config: &Config) -> Result<Authority, StartError> {
    let tokens = config.auth.tokens_file.as_deref().map(TokenFile::open).transpose()?;
    let jwt = config.auth.jwt.as_ref().map(|jwt| {
        tls::install_provider();
        let http = reqwest::Client::builder().redirect(Redirects::none()).build();
        let http = http.map_err(StartError::Provider)?;
        Ok::<_, StartError>(Verifier::new(&jwt.issuer, &jwt.audience, jwt.keys.clone(), http))
    });
    Ok(Authority { tokens, jwt: jwt.transpose()? })
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
