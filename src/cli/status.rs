//! `demand status`: where a demand stands.

use super::client::{Call, Client};
use super::document::{Demand, Document};
use super::exit::{self, Exit};
use super::failure::CallError;
use super::session::{Connection, Form, execution_id, session};
use super::show;

#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    /// The demand
    #[arg(value_name = "EXECUTION_ID", value_parser = execution_id)]
    id: String,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    connection: Connection,
}

/// Exits as the demand did, and with 0 while it has not.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let Arguments { id, form, connection } = arguments;
    session(connection, &form, async |client, terminal| {
        let demand = fetch(client, &id).await?;
        if terminal.json() {
            terminal.document(&demand.sent)?;
        } else {
            terminal.print(&show::status(&demand.read, terminal))?;
        }
        Ok(demand.read.ended().unwrap_or(Exit::Done))
    })
    .await
}

/// The status document's path.
pub(super) fn path(execution_id: &str) -> [&str; 2] {
    ["demands", execution_id]
}

/// The status document as it is now.
pub(super) async fn fetch(
    client: &Client,
    execution_id: &str,
) -> Result<Document<Demand>, CallError> {
    client.send(&Call::get(&path(execution_id))).await?.document()
}
