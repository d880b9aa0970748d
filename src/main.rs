//! The `demand` binary: flags, runtime, exit codes.

use std::process::ExitCode;

use clap::Parser;
use demand_context_manager::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.runtime() {
        Ok(runtime) => runtime.block_on(cli::run(cli)),
        Err(error) => {
            cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
