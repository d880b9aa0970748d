//! `demand remove`: removals by hand.

use std::process::ExitCode;

use clap::Args;

use super::sync::finish;
use crate::sync::{LOCK_TIMEOUT, Worker};

/// Removes paths, each with all that is below it. What does not exist is gone already.
#[derive(Debug, Args)]
pub struct Remove {
    /// `s3://bucket/key` or a path
    #[arg(required = true)]
    paths: Vec<String>,
}

impl Remove {
    /// Removes, and prints the result as the last line on standard output.
    pub async fn run(self) -> ExitCode {
        finish(&Worker::new(Vec::new(), LOCK_TIMEOUT).remove(&self.paths).await, false)
    }
}
