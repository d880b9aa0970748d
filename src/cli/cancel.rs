//! `demand cancel`: the end of a demand is asked for; `demand wait` sees it come.

use super::client::Call;
use super::document::{Demand, Document};
use super::exit::{self, Exit};
use super::session::{Connection, Form, execution_id, session};

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

pub(super) async fn run(arguments: Arguments) -> Exit {
    let Arguments { id, form, connection } = arguments;
    session(connection, &form, async |client, terminal| {
        let path = ["demands", &id, "cancel"];
        let demand: Document<Demand> = client.send(&Call::post(&path, None)).await?.document()?;
        if terminal.json() {
            terminal.document(&demand.sent)?;
        } else {
            let phase = demand.read.phase.as_ref().unwrap_or(&demand.read.status);
            terminal.print(&format!("{id} {}", terminal.coloured(phase)))?;
        }
        Ok(Exit::Done)
    })
    .await
}
