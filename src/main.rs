//! The `demand` binary: flags, runtime, exit codes.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use demand_context_manager::cli::{self, Cli};
use demand_context_manager::engine::local::supervisor;

fn main() -> ExitCode {
    // No command of users: the local engine starts one for each try of a job, and it must cost
    // neither a runtime nor threads.
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [command, try_dir] = arguments.as_slice()
        && command == supervisor::SUBCOMMAND
    {
        return supervisor::supervise(Path::new(try_dir));
    }
    let cli = Cli::parse();
    match cli.runtime() {
        Ok(runtime) => runtime.block_on(cli::run(cli)),
        Err(error) => {
            cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
