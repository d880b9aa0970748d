//! `demand check`: looks, with the service's own configuration, whether what it needs is there.
//! One line for each thing, with what to do about it.

mod caller;
mod directories;
mod events;
mod finding;
mod payloads;
mod queues;
mod roles;
mod volumes;

use std::path::PathBuf;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use clap::Args;
use futures::FutureExt;
use futures::future::join_all;
use tracing::{error, info, warn};

use super::exit::Exit;
use super::failure::complain;
use super::terminal::Terminal;
use crate::config::{Config, Flag, Mode};
use finding::{Finding, Outcome, Report};

/// How long one call may take, with its retries; whoever looks at the screen is waiting.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Tries of one call.
const ATTEMPTS: u32 = 2;

#[derive(Debug, Args)]
#[command(after_help = "Exit codes:\n  0    everything is there; warnings may have been given\n  \
                        1    something is missing")]
pub(super) struct Arguments {
    /// Look at what local mode needs, instead of AWS
    #[arg(long)]
    local: bool,
    /// The configuration file; deploy/demand.toml shows every key
    #[arg(long, env = "DEMAND_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where local mode keeps everything [default: .demand]
    #[arg(long, value_name = "DIR", requires = "local")]
    data_dir: Option<PathBuf>,
    /// Print one JSON document: `{ok, findings: [{outcome, what, what_to_do}]}`
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Exit {
    let mode = if arguments.local { Mode::Local } else { Mode::AwsBatch };
    let data_dir = arguments.data_dir.iter().map(|data_dir| Flag {
        name: "--data-dir",
        key: "local.data_dir",
        value: data_dir.display().to_string(),
    });
    let flags: Vec<Flag> = data_dir.collect();
    let loaded = Config::load(mode, arguments.config.as_deref(), std::env::vars_os(), &flags);
    let findings = match (loaded, mode) {
        (Err(faults), _) => faults
            .iter()
            .map(|fault| Finding::failed("configuration", fault, "correct the configuration"))
            .collect(),
        (Ok(config), Mode::Local) => directories::local(&config),
        (Ok(config), Mode::AwsBatch) => on_aws(&config).await,
    };
    let report = Report::of(findings);
    let mut terminal = Terminal::new(arguments.json);
    let told = if arguments.json { report.to_json() } else { Ok(report.to_string()) };
    let printed = told.map_err(std::io::Error::from).and_then(|text| terminal.print(&text));
    if let Err(error) = printed {
        complain(&error);
        return Exit::Failed;
    }
    if report.ok { Exit::Done } else { Exit::Failed }
}

/// What a service logs of itself when it starts.
pub(super) async fn log_what_is_wrong(config: &Config) {
    let findings = on_aws(config).await;
    for Finding { outcome, what, what_to_do } in &findings {
        let what_to_do = what_to_do.as_deref().unwrap_or_default();
        match outcome {
            Outcome::Ok => {}
            Outcome::Warning => warn!(what_to_do, "preflight: {what}"),
            Outcome::Failed => error!(what_to_do, "preflight: {what}"),
        }
    }
    if findings.iter().all(|finding| finding.outcome != Outcome::Failed) {
        info!("preflight: what the service needs is there");
    }
}

async fn on_aws(config: &Config) -> Vec<Finding> {
    let mut findings = vec![directories::database(config)];
    let sdk = patient_for_a_moment(crate::aws::config_of(config).await);
    let (caller, found) = caller::check(&sdk).boxed().await;
    let is_known = found.outcome != Outcome::Failed;
    findings.push(found);
    if !is_known {
        // Every other call would fail for the same reason.
        let what = "queues, volumes, roles and prefixes were not looked at";
        findings.push(Finding::warning(what, "run this again with credentials"));
        return findings;
    }
    let found = join_all([
        queues::check(config, &sdk).boxed(),
        volumes::check(config, &sdk).boxed(),
        payloads::check(config, &sdk).boxed(),
        roles::check(config, &sdk, caller.as_deref()).boxed(),
        events::check(config, &sdk).boxed(),
    ]);
    findings.extend(found.await.into_iter().flatten());
    findings
}

fn patient_for_a_moment(sdk: SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_timeout(CALL_TIMEOUT)
        .build();
    sdk.into_builder()
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts)
        .build()
}
