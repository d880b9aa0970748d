//! Following a demand until it ends, by long polling.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use super::client::{Call, Client};
use super::document::{Demand, Document};
use super::exit::Exit;
use super::failure::{CallError, Failure};
use super::progress::Progress;
use super::terminal::Terminal;
use super::{show, status};
use crate::config::LONGEST_HOLD;

/// The pause after an answer that came at once and with nothing new, as from a service that does
/// not hold answers back: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What is waited for.
pub(super) struct Goal<'a> {
    pub execution_id: &'a str,
    /// The attempt that is to end: after a retry was asked for, the end of the one before is none.
    pub attempt: u32,
    /// Gives up after this time.
    pub timeout: Option<Duration>,
}

/// Waits for the end, shows it, and answers the exit code it has.
pub(super) async fn to_the_end(
    client: &Client,
    goal: &Goal<'_>,
    terminal: &mut Terminal,
) -> Result<Exit, Failure> {
    let mut progress = Progress::new(terminal.json());
    let mut last = None;
    let following = follow(client, goal, &mut progress, &mut last);
    let ended = match goal.timeout {
        Some(timeout) => tokio::time::timeout(timeout, following).await.ok().transpose()?,
        None => Some(following.await?),
    };
    drop(progress);
    if let Some(demand) = &last {
        if terminal.json() {
            terminal.document(&demand.sent)?;
        } else {
            terminal.print(&show::status(&demand.read, terminal))?;
        }
    }
    Ok(ended.unwrap_or_else(|| {
        terminal.note(&format!("timed out waiting for {}", goal.execution_id));
        Exit::TimedOut
    }))
}

/// Keeps `last` at what the service last said.
async fn follow(
    client: &Client,
    goal: &Goal<'_>,
    progress: &mut Progress,
    last: &mut Option<Document<Demand>>,
) -> Result<Exit, CallError> {
    let path = status::path(goal.execution_id);
    let mut tag = None;
    let (mut pause, longest) = PAUSES;
    loop {
        // The first answer is wanted at once, to show it.
        let hold = if last.is_none() { 0 } else { LONGEST_HOLD.as_secs() };
        let asked = Instant::now();
        let answer = client.send(&Call::get(&path).hold(hold).if_none_match(tag.as_ref())).await?;
        let changed = if answer.status == StatusCode::NOT_MODIFIED {
            false
        } else {
            tag.clone_from(&answer.tag);
            let demand: Document<Demand> = answer.document()?;
            progress.show(&demand.read);
            let ended = demand.read.ended().filter(|_| demand.read.attempt >= goal.attempt);
            let changed = last.as_ref().is_none_or(|last| last.sent != demand.sent);
            *last = Some(demand);
            if let Some(exit) = ended {
                return Ok(exit);
            }
            changed
        };
        if changed {
            pause = PAUSES.0;
        } else if asked.elapsed() < PAUSES.1 {
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}
