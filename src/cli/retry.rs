//! `demand retry`: another attempt at a demand that failed or was canceled.

use std::time::Duration;

use serde_json::json;

use super::client::Call;
use super::document::{Demand, Document};
use super::exit::{self, Exit};
use super::follow::{Goal, to_the_end};
use super::session::{Connection, Form, execution_id, session};
use super::status;
use crate::config::parse_duration;

#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    /// The demand
    #[arg(value_name = "EXECUTION_ID", value_parser = execution_id)]
    id: String,
    /// The attempt to go on from, so that asking twice begins one attempt; by default the last
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    from_attempt: Option<u32>,
    /// Wait for the end of the new attempt, and exit as it does
    #[arg(long)]
    wait: bool,
    /// Give up waiting after this time, such as 10m or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "wait")]
    timeout: Option<Duration>,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(arguments: Arguments) -> Exit {
    let Arguments { id, from_attempt, wait, timeout, form, connection } = arguments;
    session(connection, &form, async |client, terminal| {
        let from_attempt = match from_attempt {
            Some(attempt) => attempt,
            None => status::fetch(client, &id).await?.read.attempt,
        };
        let body = json!({ "from_attempt": from_attempt });
        let path = ["demands", &id, "retry"];
        let call = Call::post(&path, Some(&body));
        let demand: Document<Demand> = client.send(&call).await?.document()?;
        let attempt = from_attempt.saturating_add(1);
        if wait {
            let goal = Goal { execution_id: &id, attempt, timeout };
            return to_the_end(client, &goal, terminal).await;
        }
        if terminal.json() {
            terminal.document(&demand.sent)?;
        } else {
            terminal.print(&format!("{id} attempt {attempt}"))?;
        }
        Ok(Exit::Done)
    })
    .await
}
