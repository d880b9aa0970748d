//! Forgetting what ended long ago: its records, logs and working directories, and the definitions
//! that nothing runs on any more.
//!
//! A job leaves by one rename, out of the directories that an engine takes up as it opens: one
//! half removed under its own name would be taken for one that has yet to run.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::dispatch::Dispatch;
use super::durable::{self, RecordError};
use crate::telemetry::chain;

/// Where jobs go to be removed, in the root.
const FORGOTTEN: &str = "forgotten";

/// How many jobs are removed between two pauses.
const STEP: usize = 20;

/// Between two steps, so that jobs at work have the disk most of the time.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest time between two looks for what may go. As long at least, a job's end can be asked
/// for after the engine has opened, should nobody have been there to ask for longer than jobs are
/// kept.
const LOOK: Duration = Duration::from_hours(1);

/// The shortest.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);

/// Forgets, a little at a time, until the engine closes.
pub(super) async fn forget(dispatch: Arc<Dispatch>) {
    let closing = dispatch.closing.clone();
    let keep = dispatch.settings.keep_jobs;
    let look = (keep / 10).clamp(SHORTEST_LOOK, LOOK);
    // What an earlier engine had no time for.
    remove(&dispatch, Vec::new()).await;
    while closing.run_until_cancelled(tokio::time::sleep(look)).await.is_some() {
        let now = Timestamp::now();
        let before = |age: Duration| now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        let old = dispatch.table().ended_before(before(keep), before(keep.min(LOOK)));
        for step in old.chunks(STEP) {
            let gone = dispatch.table().forget(step);
            if !gone.is_empty() {
                remove(&dispatch, gone).await;
            }
            if closing.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return;
            }
        }
        forget_definitions(&dispatch, before(keep)).await;
    }
}

/// Removes jobs that the table has forgotten, or, given none, what an earlier engine left of such.
/// What cannot be removed is found again by the next engine.
async fn remove(dispatch: &Arc<Dispatch>, job_ids: Vec<String>) {
    let root = dispatch.settings.root.clone();
    let closing = dispatch.closing.clone();
    let removed = spawn_blocking(move || -> Result<(), RecordError> {
        let forgotten = root.join(FORGOTTEN);
        durable::create_directory(&forgotten)?;
        let directories = if job_ids.is_empty() {
            durable::list(&forgotten)?
        } else {
            set_aside(&root, &forgotten, &job_ids)?
        };
        for directory in directories {
            if closing.is_cancelled() {
                break;
            }
            match std::fs::remove_dir_all(&directory) {
                Ok(()) => info!(directory = %directory.display(), "forgotten"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    warn!(directory = %directory.display(), %error, "cannot be removed");
                }
            }
        }
        Ok(())
    });
    match removed.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(error = chain(&error), "cannot remove what ended long ago"),
        Err(error) => warn!(error = chain(&error), "cannot remove what ended long ago"),
    }
}

/// Where the jobs' directories are then, lastingly: nothing inside is touched before.
fn set_aside(root: &Path, forgotten: &Path, ids: &[String]) -> Result<Vec<PathBuf>, RecordError> {
    for id in ids {
        match std::fs::rename(root.join(id), forgotten.join(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RecordError::io("set aside", &root.join(id))(error));
            }
            _ => {}
        }
    }
    durable::sync_directory(root)?;
    Ok(ids.iter().map(|id| forgotten.join(id)).collect())
}

async fn forget_definitions(dispatch: &Arc<Dispatch>, before: Timestamp) {
    let used = dispatch.table().definitions();
    let forgetting = Arc::clone(dispatch);
    match spawn_blocking(move || forgetting.definitions.forget(before, &used)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(error = chain(&error), "cannot forget a definition"),
        Err(error) => warn!(error = chain(&error), "cannot forget a definition"),
    }
}
