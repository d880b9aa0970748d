//! `demand wait`: until a demand has ended.

use std::time::Duration;

use super::exit::{self, Exit};
use super::follow::{Goal, to_the_end};
use super::session::{Connection, Form, execution_id, session};
use crate::config::parse_duration;

#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    /// The demand
    #[arg(value_name = "EXECUTION_ID", value_parser = execution_id)]
    id: String,
    /// Give up after this time, such as 10m or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(arguments: Arguments) -> Exit {
    let Arguments { id, timeout, form, connection } = arguments;
    session(connection, &form, async |client, terminal| {
        to_the_end(client, &Goal { execution_id: &id, attempt: 1, timeout }, terminal).await
    })
    .await
}
