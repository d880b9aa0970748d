//! `demand health`: whether the service takes demands, or, for a container's `HEALTHCHECK`, whether
//! it lives.

use reqwest::StatusCode;

use super::client::Call;
use super::document::Document;
use super::exit::Exit;
use super::failure::{CallError, Refusal};
use super::session::{Connection, Form, session};

/// What `--help` says of the exit codes, fewer than other commands have.
const HELP: &str = "Exit codes: 0 ready (or live), 1 not ready, 5 unreachable";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Ask whether the service lives: what ends services that do not should not end those that wait
    /// for AWS
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(arguments: Arguments) -> Exit {
    let Arguments { live, form, connection } = arguments;
    let asked = if live { "live" } else { "ready" };
    session(connection, &form, async |client, terminal| {
        match client.send(&Call::get(&["health", asked]).once()).await {
            Ok(answer) => {
                let health = answer.document::<serde::de::IgnoredAny>();
                match health {
                    Ok(Document { sent, .. }) if terminal.json() => terminal.document(&sent)?,
                    _ => terminal.print(asked)?,
                }
                Ok(Exit::Done)
            }
            Err(CallError::Answered(refusal)) if is_not_ready(&refusal) => {
                match &refusal.sent {
                    Some(sent) if terminal.json() => terminal.document(sent)?,
                    _ => terminal.print(&format!("not ready: {refusal}"))?,
                }
                Ok(Exit::Failed)
            }
            Err(error) => Err(error.into()),
        }
    })
    .await
}

fn is_not_ready(refusal: &Refusal) -> bool {
    refusal.status == StatusCode::SERVICE_UNAVAILABLE
}
