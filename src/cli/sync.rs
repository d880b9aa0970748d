//! `demand sync`: the worker of a step's job, and transfers by hand.

use std::io::Write as _;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;

use super::exit::Exit;
use super::failure::complain;
use super::terminal::{Terminal, printable};
use super::worker::Ending;
use crate::plan::data_sync::{DataSyncRequest, FilterConfig, Patterns, RemoteToLocalConfig};
use crate::plan::submission::{Mount, Task};
use crate::plan::worker::TASK_VARIABLE;
use crate::sync::{self, Intent, Report, Tell, Worker};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Do what the task in `DEMAND_TASK` says
    #[arg(long, conflicts_with_all = ["source", "destination"])]
    task: bool,
    /// A request, a list of requests or a batch, as JSON, a file's path, an `s3://` path or `-` for
    /// standard input; or, with DESTINATION, the source of a transfer
    #[arg(value_name = "REQUEST|SOURCE", required_unless_present = "task")]
    source: Option<String>,
    /// Where the source's data goes: `s3://bucket/key` or a path; of a single file its own path,
    /// unless it ends in `/`
    destination: Option<String>,
    /// Take only what this regular expression matches whole; may be repeated
    #[arg(long, value_name = "REGEX", requires = "destination")]
    include: Vec<String>,
    /// Leave out what this regular expression matches whole; may be repeated
    #[arg(long, value_name = "REGEX", requires = "destination")]
    exclude: Vec<String>,
    /// Delete at the destination what the source does not have, or the filters leave out
    #[arg(long, requires = "destination")]
    delete: bool,
    /// Transfer what is at the destination already, too
    #[arg(long, requires = "destination")]
    force: bool,
    /// Skip what has the same size and is not older, without comparing bytes
    #[arg(long, requires = "destination")]
    size_only: bool,
    /// Change nothing: print what would be transferred and deleted, one a line
    #[arg(long, conflicts_with = "task")]
    dry_run: bool,
    /// Transfer nothing: print the request as batches of at most its `batch_size_bytes_limit`
    #[arg(long, conflicts_with_all = ["task", "dry_run"])]
    prepare: bool,
    /// Files under way at once
    #[arg(long, default_value_t = 25, requires = "destination")]
    max_concurrency: u32,
    /// Seconds to wait for another writer of the destination
    #[arg(long, default_value_t = sync::LOCK_TIMEOUT.as_secs())]
    lock_timeout: u64,
}

/// Transfers, and prints the result as the last line on standard output.
pub(super) async fn run(arguments: Arguments, ending: Ending) -> Exit {
    let lock_timeout = Duration::from_secs(arguments.lock_timeout);
    let mounts = mounts_of_environment().await;
    let worker = Worker::new(mounts.clone(), lock_timeout);
    if arguments.task {
        let Ok(reference) = std::env::var(TASK_VARIABLE) else {
            complain(&NoTask);
            return Exit::Usage;
        };
        return match sync::load::<Task>(&worker, &reference).await {
            Ok(task) => {
                // Of mounts that reach equally far the task's, which are last, are taken.
                let mounts = mounts.into_iter().chain(task.mounts.clone()).collect();
                let worker = Arc::new(Worker::new(mounts, lock_timeout));
                let run = Arc::clone(&worker);
                let work = async move { run.run(&task).await };
                carry_out(&worker, work.boxed(), false, ending).await
            }
            Err(error) => unusable(&error),
        };
    }
    let batch = if let Some(request) = arguments.transfer() {
        sync::Batch { requests: vec![request], allow_partial_failure: false }
    } else {
        let reference = arguments.source.as_deref().unwrap_or("-");
        match sync::load_requests(&worker, reference).await {
            Ok(batch) => batch,
            Err(error) => return unusable(&error),
        }
    };
    if arguments.prepare {
        return print_batches(&worker, &batch.requests).await;
    }
    let worker = Arc::new(if arguments.dry_run { Worker::dry(mounts, tell()) } else { worker });
    let sync::Batch { requests, allow_partial_failure } = batch;
    let run = Arc::clone(&worker);
    let work = async move { run.run_requests(&requests, allow_partial_failure).await };
    carry_out(&worker, work.boxed(), allow_partial_failure, ending).await
}

/// What was done cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot print the result")]
struct Unprinted(#[source] std::io::Error);

/// `--task` without a task.
#[derive(Debug, thiserror::Error)]
#[error("{TASK_VARIABLE} is not set, and --task takes the task from it")]
struct NoTask;

impl Arguments {
    fn transfer(&self) -> Option<DataSyncRequest> {
        let patterns =
            |patterns: &[String]| (!patterns.is_empty()).then(|| Patterns::Many(patterns.to_vec()));
        Some(DataSyncRequest {
            source_path: by_hand(self.source.as_deref()?),
            destination_path: by_hand(self.destination.as_deref()?),
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

/// A path as somebody types it: `..` leads where the shell says, which requests may not.
pub(super) fn by_hand(path: &str) -> String {
    let parents =
        |path: &str| Path::new(path).components().any(|part| part == Component::ParentDir);
    if path.contains("://") || !parents(path) {
        return path.to_owned();
    }
    // Up to the last of them it exists, or there is no telling where it leads.
    let (mut end, mut start) = (0, 0);
    for segment in path.split('/') {
        if segment == ".." {
            end = start + segment.len();
        }
        start += segment.len() + 1;
    }
    match Path::new(&path[..end])
        .canonicalize()
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok())
    {
        Some(real) => format!("{real}{}", &path[end..]),
        None => path.to_owned(),
    }
}

/// The mounts that the environment names; what it does not name well is told and passed over.
pub(super) async fn mounts_of_environment() -> Vec<Mount> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let (mounts, errors) = sync::mounts(variables).await;
    for error in errors {
        complain(&error);
    }
    mounts
}

async fn print_batches(worker: &Worker, requests: &[DataSyncRequest]) -> Exit {
    let mut prepared = sync::Prepared { requests: Vec::new() };
    for request in requests {
        match sync::prepare(worker, request).await {
            Ok(batches) => prepared.requests.extend(batches.requests),
            Err(error) => {
                let failure = sync::Failure::new(&request.source_path, &error);
                let _ = writeln!(std::io::stderr(), "{}", printable(&failure.to_string()));
                return Exit::Failed;
            }
        }
    }
    print(&prepared, Exit::Done)
}

/// Prints the answer for a program, and ends with `exit` where that could be done.
fn print(answer: &impl Serialize, exit: Exit) -> Exit {
    let printed = serde_json::to_string(answer)
        .map_err(std::io::Error::from)
        .and_then(|line| Terminal::new(true).print(&line));
    match printed {
        Ok(()) => exit,
        Err(source) => {
            complain(&Unprinted(source));
            Exit::Failed
        }
    }
}

/// Has the work run among the transfers it waits for: on a thread of its own it would have to be
/// woken for each of them. Told to end, it leaves nothing behind that it had begun.
async fn carry_out(
    worker: &Worker,
    work: BoxFuture<'static, Report>,
    allow_partial_failure: bool,
    ending: Ending,
) -> Exit {
    let shown = sync::show(worker.progress());
    let work = worker.start(work);
    let under_way = work.abort_handle();
    let give_up = || async move {
        under_way.abort();
        worker.give_up().await;
    };
    let ended = ending.after(work, give_up).await;
    // Before anything else is printed.
    drop(shown);
    match ended {
        Ok(report) => finish(&report, allow_partial_failure),
        Err(error) => {
            complain(&error);
            Exit::Failed
        }
    }
}

/// Prints what a dry run would do.
fn tell() -> Tell {
    let terminal = Mutex::new(Terminal::new(false));
    Arc::new(move |intent: &Intent| {
        let mut terminal = terminal.lock().unwrap_or_else(PoisonError::into_inner);
        // Where stdout is gone, the exit code still tells.
        let _ = terminal.print(&printable(&intent.to_string()));
    })
}

/// Prints the failures for a reader and the result for a program.
pub(super) fn finish(report: &Report, allow_partial_failure: bool) -> Exit {
    for failure in &report.failures {
        // Where stderr is gone, the result still tells.
        let _ = writeln!(std::io::stderr(), "{}", printable(&failure.to_string()));
    }
    let partly = allow_partial_failure && report.requests_succeeded > 0 && !report.not_forgiven;
    print(report, if report.succeeded() || partly { Exit::Done } else { Exit::Failed })
}

fn unusable(error: &dyn std::error::Error) -> Exit {
    complain(error);
    Exit::Usage
}
