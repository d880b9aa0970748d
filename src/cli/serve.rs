//! `demand serve`: the service.

use std::path::PathBuf;

use clap::Args;

use super::check;
use super::exit::Exit;
use super::failure::complain;
use crate::config::{Config, ConfigError, ConfigErrors, Flag, Mode};
use crate::lifecycle::{Ending, Lifecycle};
use crate::service::Service;
use crate::telemetry::{self, traces};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Run everything on this machine: no AWS account is needed, and jobs are local processes
    #[arg(long)]
    local: bool,
    /// The configuration file; deploy/demand.toml shows every key
    #[arg(long, env = "DEMAND_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where local mode keeps everything [default: .demand]
    #[arg(long, value_name = "DIR", requires = "local")]
    data_dir: Option<PathBuf>,
    /// Where to serve HTTP; port 0 lets the system choose [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Serve anybody who can reach the service, beyond this machine too
    #[arg(long)]
    allow_anonymous: bool,
    /// The tokens that callers must have one of; made by `demand token`
    #[arg(long, value_name = "FILE")]
    tokens_file: Option<PathBuf>,
    /// An origin whose web pages may call the service; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
}

impl Arguments {
    fn mode(&self) -> Mode {
        if self.local { Mode::Local } else { Mode::AwsBatch }
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
            let is_usage = failed.is::<ConfigErrors>() || failed.is::<NotForAws>();
            if is_usage { Exit::Usage } else { Exit::Failed }
        }
    }
}

/// The service ended without having been asked to.
#[derive(Debug, thiserror::Error)]
#[error("the service ended because its {task} did; its log tells why")]
struct Ended {
    task: &'static str,
}

/// A configuration that cannot be served on AWS, perhaps because AWS was not meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}\nto run demands on this machine, which needs no configuration: demand serve --local")]
struct NotForAws(ConfigErrors);

async fn serve(arguments: Arguments) -> Result<Ending, Box<dyn std::error::Error>> {
    let mode = arguments.mode();
    let config = configuration(&arguments).map_err(|faults| -> Box<dyn std::error::Error> {
        let nothing_said = faults.iter().any(|fault| matches!(fault, ConfigError::Missing { .. }));
        if nothing_said { Box::new(NotForAws(faults)) } else { Box::new(faults) }
    })?;
    let environment = telemetry::Environment::of_process();
    let traces = telemetry::init(&config.log, &config.traces, &environment)?;
    let lifecycle = Lifecycle::new();
    let service = Service::start(&config, mode, &lifecycle).await?;
    // Whoever starts the service reads this line to learn the address taken.
    println!("listening on {}", service.url());
    let grace = config.lifecycle.shutdown_grace;
    if mode == Mode::AwsBatch {
        // What is missing may come while the service waits, so it is told and no reason to end.
        let soft = lifecycle.soft().clone();
        lifecycle.spawn("preflight", async move {
            let preflight = Box::pin(check::log_what_is_wrong(&config));
            soft.run_until_cancelled(preflight).await;
        });
    }
    let ending = lifecycle.run(grace).await?;
    service.close().await;
    traces::close(traces).await;
    Ok(ending)
}

fn configuration(arguments: &Arguments) -> Result<Config, ConfigErrors> {
    let flag = |name, key, value| Flag { name, key, value };
    let mut flags = Vec::new();
    if let Some(listen) = &arguments.listen {
        flags.push(flag("--listen", "listen", listen.clone()));
    }
    if let Some(data_dir) = &arguments.data_dir {
        flags.push(flag("--data-dir", "local.data_dir", data_dir.display().to_string()));
    }
    if arguments.allow_anonymous {
        let key = "auth.insecure_allow_anonymous";
        flags.push(flag("--allow-anonymous", key, "true".to_owned()));
    }
    if let Some(file) = &arguments.tokens_file {
        let file = file.display().to_string();
        flags.push(flag("--tokens-file", "auth.tokens_file", file));
    }
    if !arguments.cors_origin.is_empty() {
        flags.push(flag("--cors-origin", "http.cors_origins", arguments.cors_origin.join(",")));
    }
    Config::load(arguments.mode(), arguments.config.as_deref(), std::env::vars_os(), &flags)
}
