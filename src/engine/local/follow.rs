//! A try from the service's side: starting its supervisor, noticing what it records, and settling
//! what a dead one left.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::durable::RecordError;
use super::record::{Cause, TryDir, TryEnd};
use super::supervisor;
use crate::engine::job::Try;
use crate::telemetry::chain;

/// How soon a command that has started is noticed.
const START_POLL: Duration = Duration::from_millis(20);

/// How soon the death of a supervisor is noticed that another service started. Waiting for its
/// lock instead would take a thread for as long as the job runs, and hold up this service's end.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// Between looks at records that cannot be read.
const TROUBLE_POLL: Duration = Duration::from_secs(5);

/// A try seen to its end.
pub(super) struct Ended {
    pub described: Try,
    pub end: TryEnd,
}

/// A try that could not be settled.
#[derive(Debug, thiserror::Error)]
enum SettleError {
    #[error("cannot settle a try")]
    Record(#[from] RecordError),
    #[error("cannot end what a lost supervisor left running")]
    Kill(#[source] io::Error),
    #[error("the look at a try was cut short")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Starts a supervisor for the order in `dir`: a child of this process, in no other way tied to
/// it.
pub(super) fn start(demand_binary: &Path, dir: &TryDir) -> io::Result<Child> {
    let complaints = std::fs::File::create(dir.path().join("supervisor.log"))?;
    Command::new(demand_binary)
        .arg(supervisor::SUBCOMMAND)
        .arg(dir.path())
        .env_clear()
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(complaints)
        .spawn()
}

/// Follows the try in `dir` to its end. `supervisor` is the process [`start`] made, why there is
/// none, or nothing for one that an earlier service started. `on_start` is told once of a command
/// that runs.
pub(super) async fn follow(
    dir: &TryDir,
    log_stream: &str,
    supervisor: Option<io::Result<Child>>,
    mut on_start: impl FnMut(Try),
) -> Ended {
    let (mut supervisor, spawn_error) = match supervisor {
        Some(Ok(child)) => (Some(child), None),
        Some(Err(error)) => (None, Some(error.to_string())),
        None => (None, None),
    };
    let mut started = false;
    loop {
        match look(dir, log_stream).await {
            Ok((described, Some(end))) => return Ended { described, end },
            Ok((described, None)) if described.started_at.is_some() && !started => {
                started = true;
                on_start(described);
            }
            Ok(_) => {}
            Err(error) => warn!(try_dir = %dir.path().display(), error = chain(&error), "unread"),
        }
        match &mut supervisor {
            Some(child) => {
                tokio::select! {
                    _ = child.wait() => supervisor = None,
                    () = tokio::time::sleep(START_POLL), if !started => {}
                }
            }
            None => match settle_lost(dir, spawn_error.clone()).await {
                Ok(Settled::Ended) => {}
                Ok(Settled::Supervised) => tokio::time::sleep(LOCK_POLL).await,
                Err(error) => {
                    warn!(try_dir = %dir.path().display(), error = chain(&error), "unsettled");
                    tokio::time::sleep(TROUBLE_POLL).await;
                }
            },
        }
    }
}

async fn look(dir: &TryDir, log_stream: &str) -> Result<(Try, Option<TryEnd>), SettleError> {
    let (dir, log_stream) = (dir.clone(), log_stream.to_owned());
    blocking(move || Ok(dir.describe(log_stream)?)).await
}

enum Settled {
    /// The end is on record.
    Ended,
    /// A supervisor lives.
    Supervised,
}

/// Writes the end that a dead supervisor did not. Holding its lock, so that none can come after.
async fn settle_lost(dir: &TryDir, spawn_error: Option<String>) -> Result<Settled, SettleError> {
    let dir = dir.clone();
    blocking(move || {
        let Some(_lock) = dir.try_lock()? else { return Ok(Settled::Supervised) };
        if dir.end()?.is_some() {
            return Ok(Settled::Ended);
        }
        let running = dir.running()?;
        if let Some(running) = &running {
            running.family.destroy().map_err(SettleError::Kill)?;
        }
        // Read after the killing, so that a command that was faster is not run again.
        let end = match (running, dir.exit_code(), spawn_error) {
            (Some(_), Some(code), _) => TryEnd::now(Cause::Exited, Some(code)),
            (None, _, Some(error)) => TryEnd::now(Cause::NotStarted { error }, None),
            _ => TryEnd::now(Cause::Lost, None),
        };
        dir.write_end(&end)?;
        Ok(Settled::Ended)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SettleError> + Send + 'static,
) -> Result<T, SettleError> {
    spawn_blocking(work).await?
}
