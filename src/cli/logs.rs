//! `demand logs`: what a demand's jobs wrote.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::client::{Call, Client};
use super::document::LogPage;
use super::exit::{self, Exit};
use super::failure::Failure;
use super::session::{Connection, Form, execution_id, session};
use super::status;
use super::terminal::Terminal;

/// The pause between looks at a log that is being written.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    /// The demand
    #[arg(value_name = "EXECUTION_ID", value_parser = execution_id)]
    id: String,
    /// The step whose log is wanted; by default the command's
    #[arg(long, value_parser = ["stage_in", "execute", "wrap_up", "clean_up"])]
    step: Option<String>,
    /// The attempt whose log is wanted; by default the last
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Print what is written meanwhile too, until the demand has ended
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(arguments: Arguments) -> Exit {
    let Arguments { id, step, attempt, follow, form, connection } = arguments;
    session(connection, &form, async |client, terminal| {
        let attempt = attempt.map(|attempt| attempt.to_string());
        let of = [("step", step), ("attempt", attempt)];
        let of = of.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let mut log = Log { client, id: &id, of, cursor: None, printed: None };
        if !follow {
            log.print(terminal).await?;
            return Ok(Exit::Done);
        }
        loop {
            // Asked before the log is read, so that after the end nothing of it is missed.
            let ended = status::fetch(client, &id).await?.read.ended().is_some();
            match log.print(terminal).await {
                Ok(()) => {}
                // A log exists only once its job runs.
                Err(Failure { exit: Exit::NotFound, .. }) if !ended => {}
                Err(failure) => return Err(failure),
            }
            if ended || terminal.closed() {
                return Ok(Exit::Done);
            }
            sleep(PAUSE).await;
        }
    })
    .await
}

/// A log, and how far it was read.
struct Log<'a> {
    client: &'a Client,
    id: &'a str,
    of: Vec<(&'static str, String)>,
    cursor: Option<String>,
    /// The step and attempt whose log is all printed.
    printed: Option<(Option<String>, u32)>,
}

impl Log<'_> {
    /// Prints what there is beyond what was printed.
    async fn print(&mut self, terminal: &mut Terminal) -> Result<(), Failure> {
        let path = ["demands", self.id, "logs"];
        loop {
            let cursor = self.cursor.clone().map(|cursor| ("cursor", cursor));
            let call = Call::get(&path).query(self.of.clone()).query(cursor);
            let page: LogPage = self.client.send(&call).await?.document()?.read;
            let log = (page.step, page.attempt);
            if self.printed.as_ref() == Some(&log) {
                return Ok(());
            }
            for line in &page.lines {
                if terminal.json() {
                    terminal.document(line)?;
                } else {
                    let message = line.get("message").and_then(Value::as_str).unwrap_or_default();
                    terminal.print(message)?;
                }
            }
            let read_on = !page.lines.is_empty() && page.next_cursor.is_some();
            self.cursor = page.next_cursor.or_else(|| self.cursor.take());
            if page.complete {
                // The next step's log, once there is one, is read from its start.
                self.printed = Some(log);
                self.cursor = None;
                return Ok(());
            }
            if !read_on || terminal.closed() {
                return Ok(());
            }
        }
    }
}
