//! `demand remove`: removals by hand.

use super::exit::Exit;
use super::sync::{by_hand, finish, mounts_of_environment};
use crate::sync::{LOCK_TIMEOUT, Worker};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// `s3://bucket/key` or a path, removed with all that is below it
    #[arg(required = true)]
    paths: Vec<String>,
}

/// Removes, and prints the result as the last line on standard output.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let worker = Worker::new(mounts_of_environment().await, LOCK_TIMEOUT);
    let paths: Vec<_> = arguments.paths.iter().map(|path| by_hand(path)).collect();
    finish(&worker.remove(&paths).await, false)
}
