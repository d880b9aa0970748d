//! `demand sync`: the worker of a step's job, and transfers by hand.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::plan::data_sync::{DataSyncRequest, FilterConfig, Patterns, RemoteToLocalConfig};
use crate::plan::submission::Task;
use crate::sync::{self, Report, Worker};

/// The variable a step's job has its task in.
pub const TASK_VARIABLE: &str = "DEMAND_TASK";

/// Transfers data between S3 and directories.
///
/// Documents are given as JSON, as `-` for standard input, as an `s3://` path or as a file's path.
#[derive(Debug, Args)]
pub struct Sync {
    /// Do what the task in `DEMAND_TASK` says
    #[arg(long, conflicts_with_all = ["source", "destination"])]
    task: bool,
    /// A document with a request, a list of requests or a batch; or the source of a transfer
    #[arg(value_name = "REQUEST|SOURCE", required_unless_present = "task")]
    source: Option<String>,
    /// Where the source's data goes: `s3://bucket/key` or a path
    destination: Option<String>,
    /// Take only what this regular expression matches whole; may be repeated
    #[arg(long, value_name = "REGEX", requires = "destination")]
    include: Vec<String>,
    /// Leave out what this regular expression matches whole; may be repeated
    #[arg(long, value_name = "REGEX", requires = "destination")]
    exclude: Vec<String>,
    /// Delete at the destination what the source does not have
    #[arg(long, requires = "destination")]
    delete: bool,
    /// Transfer what is at the destination already, too
    #[arg(long, requires = "destination")]
    force: bool,
    /// Skip what has the same size and is not older, without comparing bytes
    #[arg(long, requires = "destination")]
    size_only: bool,
    /// Files under way at once
    #[arg(long, default_value_t = 25, requires = "destination")]
    max_concurrency: u32,
    /// Seconds to wait for another writer of the destination
    #[arg(long, default_value_t = sync::LOCK_TIMEOUT.as_secs())]
    lock_timeout: u64,
}

impl Sync {
    /// Transfers, and prints the result as the last line on standard output.
    pub async fn run(self) -> ExitCode {
        let lock_timeout = Duration::from_secs(self.lock_timeout);
        let worker = Worker::new(Vec::new(), lock_timeout);
        if self.task {
            let Ok(reference) = std::env::var(TASK_VARIABLE) else {
                eprintln!("{TASK_VARIABLE} is not set");
                return ExitCode::from(2);
            };
            return match sync::load::<Task>(&worker, &reference).await {
                Ok(task) => {
                    let worker = Worker::new(task.mounts.clone(), lock_timeout);
                    let _shown = sync::show(worker.progress());
                    finish(&Box::pin(worker.run(&task)).await, false)
                }
                Err(error) => unusable(&error),
            };
        }
        let batch = match (self.transfer(), self.source.as_deref()) {
            (Some(request), _) => {
                sync::Batch { requests: vec![request], allow_partial_failure: false }
            }
            (None, reference) => {
                match sync::load_requests(&worker, reference.unwrap_or("-")).await {
                    Ok(batch) => batch,
                    Err(error) => return unusable(&error),
                }
            }
        };
        let _shown = sync::show(worker.progress());
        finish(&Box::pin(worker.run_requests(&batch.requests)).await, batch.allow_partial_failure)
    }

    fn transfer(&self) -> Option<DataSyncRequest> {
        let patterns =
            |patterns: &[String]| (!patterns.is_empty()).then(|| Patterns::Many(patterns.to_vec()));
        Some(DataSyncRequest {
            source_path: self.source.clone()?,
            destination_path: self.destination.clone()?,
            source_path_prefix: None,
            filter_config: Some(FilterConfig {
                include: patterns(&self.include),
                exclude: patterns(&self.exclude),
            }),
            filter_root: None,
            max_concurrency: self.max_concurrency,
            retain_source_data: true,
            delete: self.delete,
            require_lock: false,
            force: self.force,
            size_only: self.size_only,
            fail_if_missing: true,
            include_detailed_response: true,
            remote_to_local_config: RemoteToLocalConfig::default(),
            batch_size_bytes_limit: None,
            temporary_request_payload_path: None,
        })
    }
}

/// Prints the failures for a reader and the result for a program.
pub(super) fn finish(report: &Report, allow_partial_failure: bool) -> ExitCode {
    for failure in &report.failures {
        eprintln!("{}: {}", failure.path, failure.reason);
    }
    match serde_json::to_string(report) {
        Ok(line) => println!("{line}"),
        Err(error) => return unusable(&error),
    }
    let partly = allow_partial_failure && report.requests_succeeded > 0;
    if report.succeeded() || partly { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn unusable(error: &dyn std::error::Error) -> ExitCode {
    eprint!("{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    ExitCode::from(2)
}
