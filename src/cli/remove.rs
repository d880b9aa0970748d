//! `demand remove`: removals by hand.

use super::exit::Exit;
use super::sync::finish;
use crate::sync::{LOCK_TIMEOUT, Worker};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// `s3://bucket/key` or a path, removed with all that is below it
    #[arg(required = true)]
    paths: Vec<String>,
}

/// Removes, and prints the result as the last line on standard output.
pub(super) async fn run(arguments: Arguments) -> Exit {
    finish(&Worker::new(Vec::new(), LOCK_TIMEOUT).remove(&arguments.paths).await, false)
}
