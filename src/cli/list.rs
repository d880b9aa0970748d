//! `demand list`: demands, newest first, as many pages of them as are wanted.

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Call;
use super::document::{Demand, List};
use super::exit::{self, Exit};
use super::session::{Connection, Form, session};
use super::show;

/// As many as the service gives at once.
const LARGEST_PAGE: u32 = 500;

#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    /// Only of this status, such as FAILED; filters may be repeated, and mean any of the values
    #[arg(long)]
    status: Vec<String>,
    /// Only in this phase, such as EXECUTING
    #[arg(long)]
    phase: Vec<String>,
    /// Only of this execution type
    #[arg(long = "type", value_name = "EXECUTION_TYPE")]
    execution_type: Vec<String>,
    /// Only of this user
    #[arg(long)]
    user: Vec<String>,
    /// Only of this job queue
    #[arg(long)]
    job_queue: Vec<String>,
    /// Only with this tag
    #[arg(long, value_name = "KEY[=VALUE]")]
    tag: Vec<String>,
    /// Only accepted after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Only accepted before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(mut arguments: Arguments) -> Exit {
    let filters = filters(&mut arguments);
    let Arguments { limit, form, connection, .. } = arguments;
    session(connection, &form, async |client, terminal| {
        let mut demands: Vec<Value> = Vec::new();
        let mut cursor = None;
        let mut wanted = limit;
        while wanted > 0 {
            let limit = ("limit", wanted.min(LARGEST_PAGE).to_string());
            let call = Call::get(&["demands"])
                .query(filters.clone())
                .query([limit])
                .query(cursor.map(|cursor| ("cursor", cursor)));
            let page: List = client.send(&call).await?.document()?.read;
            let got = u32::try_from(page.demands.len()).unwrap_or(u32::MAX);
            wanted = wanted.saturating_sub(got);
            demands.extend(page.demands);
            cursor = page.next_cursor;
            if cursor.is_none() || got == 0 {
                break;
            }
        }
        if terminal.json() {
            terminal.document(&json!({ "demands": demands, "next_cursor": cursor }))?;
        } else {
            // One that this client cannot read shall not hide the others.
            let demands: Vec<Demand> =
                demands.iter().filter_map(|demand| Demand::deserialize(demand).ok()).collect();
            for line in show::list(&demands, terminal) {
                terminal.print(&line)?;
            }
        }
        Ok(Exit::Done)
    })
    .await
}

/// The filters as the query has them.
fn filters(arguments: &mut Arguments) -> Vec<(&'static str, String)> {
    let Arguments { created_after, created_before, .. } = arguments;
    let times =
        [("created_after", created_after.take()), ("created_before", created_before.take())];
    let words = [
        ("status", std::mem::take(&mut arguments.status)),
        ("phase", std::mem::take(&mut arguments.phase)),
        ("execution_type", std::mem::take(&mut arguments.execution_type)),
        ("user", std::mem::take(&mut arguments.user)),
        ("job_queue", std::mem::take(&mut arguments.job_queue)),
        ("tag", std::mem::take(&mut arguments.tag)),
    ];
    let words = words
        .into_iter()
        .flat_map(|(name, values)| values.into_iter().map(move |value| (name, value)));
    words.chain(times.into_iter().filter_map(|(name, time)| Some((name, time?)))).collect()
}
