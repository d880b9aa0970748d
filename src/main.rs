//! The `demand` binary: flags, runtime, exit codes.

use std::process::ExitCode;

use clap::Parser;
use demand_context_manager::cli::{remove::Remove, sync::Sync};

#[derive(Debug, Parser)]
#[command(name = "demand", version)]
enum Demand {
    Sync(Sync),
    Remove(Remove),
}

#[tokio::main]
async fn main() -> ExitCode {
    match Demand::parse() {
        Demand::Sync(sync) => sync.run().await,
        Demand::Remove(remove) => remove.run().await,
    }
}
