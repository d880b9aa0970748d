//! `demand submit`: the demand gets its id here where it has none, so that sending it again, by
//! this command or by its user, can never make two of it.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::client::Call;
use super::document::{Demand, Document};
use super::exit::{self, Exit};
use super::failure::{CallError, Failure};
use super::follow::{Goal, to_the_end};
use super::session::{Connection, Form, session};
use super::terminal::Terminal;
use crate::config::parse_duration;

#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    /// A DemandExecution as JSON; `-` or nothing reads it from standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Wait for the demand's end, and exit as it does
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

/// A request that cannot be sent.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("cannot read {name}")]
    Unreadable { name: String, source: io::Error },
    #[error("{name} is not JSON")]
    NotJson { name: String, source: serde_json::Error },
    #[error("{name} is not a JSON object")]
    NotAnObject { name: String },
}

pub(super) async fn run(arguments: Arguments) -> Exit {
    let Arguments { file, wait, timeout, form, connection } = arguments;
    session(connection, &form, async |client, terminal| {
        let mut request = read(file.as_deref(), terminal).map_err(Failure::usage)?;
        let made = identify(&mut request);
        let request = Value::Object(request);
        let call = Call::post(&["demands"], Some(&request));
        let answer = client.send(&call).await.inspect_err(|error| {
            if let (Some(id), CallError::Unreachable { .. }) = (&made, error) {
                terminal.note(&format!("it may have been accepted: `demand status {id}` tells"));
            }
        })?;
        let new = answer.status == StatusCode::CREATED;
        let demand: Document<Demand> = answer.document()?;
        let id = &demand.read.execution_id;
        if wait {
            terminal.note(&format!("execution id {id}"));
            // Whatever attempt it is at: the same demand may have been submitted long ago.
            let goal = Goal { execution_id: id, attempt: 1, timeout };
            return to_the_end(client, &goal, terminal).await;
        }
        if terminal.json() {
            terminal.document(&demand.sent)?;
        } else {
            terminal.print(id)?;
            terminal.note(&if new {
                format!("accepted; `demand wait {id}` waits for its end")
            } else {
                format!("was submitted before; it is {}", demand.read.status)
            });
        }
        Ok(Exit::Done)
    })
    .await
}

fn read(file: Option<&Path>, terminal: &Terminal) -> Result<Map<String, Value>, RequestError> {
    let file = file.filter(|file| *file != Path::new("-"));
    let name = file.map_or_else(|| "standard input".to_owned(), |file| file.display().to_string());
    let text = if let Some(file) = file {
        std::fs::read(file)
    } else {
        if io::stdin().is_terminal() {
            terminal.note("reading a demand from standard input; end it with Ctrl-D");
        }
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text).map(|_| text)
    };
    let text = text.map_err(|source| RequestError::Unreadable { name: name.clone(), source })?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(request)) => Ok(request),
        Ok(_) => Err(RequestError::NotAnObject { name }),
        Err(source) => Err(RequestError::NotJson { name, source }),
    }
}

/// Gives the demand an id where it has none, and answers it. The request is a DemandExecution or
/// the reference's wrapped shape, in either of its spellings; whatever else is wrong with it is
/// the service's to tell.
fn identify(request: &mut Map<String, Value>) -> Option<String> {
    let wrapper =
        ["demand_execution", "demandExecution"].into_iter().find(|key| request.contains_key(*key));
    let demand = match wrapper {
        Some(key) => request.get_mut(key)?.as_object_mut()?,
        None => request,
    };
    let has_id = |key: &str| demand.get(key).is_some_and(|id| !id.is_null());
    if has_id("execution_id") || has_id("executionId") {
        return None;
    }
    let id = Uuid::now_v7().to_string();
    demand.remove("executionId");
    demand.insert("execution_id".to_owned(), id.clone().into());
    Some(id)
}
