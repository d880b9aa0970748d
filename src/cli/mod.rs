//! The commands of the binary. Most are a client of the HTTP interface: they know the service only
//! by its contract, and work the same against a laptop's and a lab's.
//!
//! A new command is a variant of [`Command`] and an arm of [`run`].

mod cancel;
mod check;
mod client;
mod demo;
mod document;
mod exit;
mod failure;
mod follow;
mod health;
mod list;
mod logs;
mod openapi;
mod plan;
mod progress;
mod remove;
mod retry;
mod serve;
mod session;
mod show;
mod status;
mod submit;
mod sync;
mod terminal;
mod token;
mod wait;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use worker::Ending;

pub use exit::Exit;
pub use failure::complain;

/// Runs demand executions on AWS Batch or on this machine, and tells their status.
#[derive(Debug, Parser)]
#[command(name = "demand", version, after_help = exit::HELP, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Arguments),
    /// Run an example demand on this machine, from nothing to its output
    Demo(demo::Arguments),
    /// Look whether everything the service needs is there
    Check(check::Arguments),
    /// Plan a demand against a site given as a file, or that of the service
    Plan(plan::Arguments),
    /// Transfer data between S3 and directories; the worker of a step's job
    Sync(sync::Arguments),
    /// Remove data; what does not exist is gone already
    Remove(remove::Arguments),
    /// Print the OpenAPI document
    Openapi,
    /// Submit a demand, and wait for its end if wanted
    Submit(submit::Arguments),
    /// Show where a demand stands
    Status(status::Arguments),
    /// Wait for a demand's end
    Wait(wait::Arguments),
    /// Print what a demand's jobs wrote
    Logs(logs::Arguments),
    /// End a demand
    Cancel(cancel::Arguments),
    /// Run a demand that failed or was canceled again, from the first step that did not succeed
    Retry(retry::Arguments),
    /// List demands, newest first
    List(list::Arguments),
    /// Make, list and revoke the tokens that callers of a service send
    Token(token::Arguments),
    /// Ask whether the service is ready, or lives, as a container's health check does
    Health(health::Arguments),
}

impl Cli {
    /// The runtime this command needs: many threads for those that serve or move data, one for
    /// those that wait for one service.
    ///
    /// # Errors
    /// When the system gives no threads or no event queue.
    pub fn runtime(&self) -> std::io::Result<Runtime> {
        match self.command {
            Command::Serve(_) | Command::Demo(_) | Command::Sync(_) | Command::Remove(_) => {
                Builder::new_multi_thread()
            }
            _ => Builder::new_current_thread(),
        }
        .enable_all()
        .build()
    }
}

/// Runs the command and answers the exit code of the process.
pub async fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Serve(arguments) => serve::run(arguments).await.into(),
        Command::Demo(arguments) => demo::run(arguments).await.into(),
        Command::Check(arguments) => check::run(&arguments).await.into(),
        Command::Plan(arguments) => plan::run(&arguments).await.into(),
        Command::Sync(arguments) => {
            worker::tell_warnings();
            Box::pin(sync::run(arguments, Ending::at_once())).await.into()
        }
        Command::Remove(arguments) => {
            worker::tell_warnings();
            let _ending = Ending::at_once();
            remove::run(arguments).await.into()
        }
        Command::Openapi => openapi::run().into(),
        Command::Submit(arguments) => submit::run(arguments).await.into(),
        Command::Status(arguments) => status::run(arguments).await.into(),
        Command::Wait(arguments) => wait::run(arguments).await.into(),
        Command::Logs(arguments) => logs::run(arguments).await.into(),
        Command::Cancel(arguments) => cancel::run(arguments).await.into(),
        Command::Retry(arguments) => retry::run(arguments).await.into(),
        Command::List(arguments) => list::run(arguments).await.into(),
        Command::Token(arguments) => token::run(arguments).into(),
        Command::Health(arguments) => health::run(arguments).await.into(),
    }
}
