//! The `demand` binary: flags, runtime, exit codes.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use demand_context_manager::engine::local::supervisor;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [command, try_dir] if command == supervisor::SUBCOMMAND => {
            supervisor::supervise(Path::new(try_dir))
        }
        _ => ExitCode::from(2),
    }
}
