//! Reads the log of a step: those of its tries, one after the other.

use super::Runs;
use super::step_run::StepRun;
use crate::engine::job::LogLine;
use crate::engine::{EngineError, LogsError};
use crate::plan::submission::Step;
use crate::store::StoreError;

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No demand has this id.
    #[error("there is no demand {0}")]
    NotFound(String),
    /// No step that was asked for has a log.
    #[error("there is no such log")]
    NoLog,
    /// The cursor does not belong to this log.
    #[error("the cursor does not belong to this log")]
    Cursor,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<LogsError> for LogError {
    fn from(error: LogsError) -> Self {
        match error {
            LogsError::UnknownStream(_) => Self::NoLog,
            LogsError::Cursor(_) => Self::Cursor,
            LogsError::Engine(failed) => Self::Engine(failed),
        }
    }
}

/// Lines of a step's log.
#[derive(Debug)]
pub struct Logs {
    /// The step.
    pub step: Step,
    /// Its attempt.
    pub attempt: u32,
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// Where to read on.
    pub next_cursor: String,
    /// Whether nothing will ever follow.
    pub complete: bool,
}

impl Runs {
    /// At most `limit` lines from `cursor` on. Without `step`, of the step that failed last, else
    /// of `execute`; without `attempt`, of the last one with a log of the step.
    pub async fn logs(
        &self,
        execution_id: &str,
        step: Option<Step>,
        attempt: Option<u32>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Logs, LogError> {
        let record = self
            .get(execution_id)
            .await?
            .ok_or_else(|| LogError::NotFound(execution_id.to_owned()))?;
        let cursor = cursor.map(Cursor::parse).transpose()?;
        // A log that was begun is read on, whatever would be chosen by now.
        let step = step.or(cursor.as_ref().map(|cursor| cursor.step));
        let attempt = attempt.or(cursor.as_ref().map(|cursor| cursor.attempt));
        let with_log: Vec<&StepRun> = record
            .state
            .steps
            .iter()
            .filter(|run| attempt.is_none_or(|attempt| run.attempt == attempt))
            .filter(|run| step.is_none_or(|step| run.step == step))
            .filter(|run| !streams(run).is_empty())
            .collect();
        let run = with_log
            .iter()
            .rfind(|run| step.is_some() || run.has_failed())
            .or_else(|| with_log.iter().rfind(|run| run.step == Step::Execute))
            .or_else(|| with_log.last())
            .ok_or(LogError::NoLog)?;
        let streams = streams(run);
        let (mut index, mut within) = match cursor {
            None => (0, None),
            Some(cursor) => (cursor.within_run(run, streams.len())?, Some(cursor.within)),
        };
        let mut lines = Vec::new();
        loop {
            let page =
                self.engine.logs(streams[index], within.as_deref(), limit - lines.len()).await?;
            let exhausted = page.lines.is_empty();
            lines.extend(page.lines);
            within = Some(page.next_cursor);
            let last = index + 1 == streams.len();
            if lines.len() >= limit || (exhausted && last) {
                return Ok(Logs {
                    step: run.step,
                    attempt: run.attempt,
                    next_cursor: format!(
                        "{}.{}.{index}.{}",
                        run.step.as_str(),
                        run.attempt,
                        within.unwrap_or_default()
                    ),
                    complete: exhausted && last && run.has_ended(),
                    lines,
                });
            }
            if exhausted {
                index += 1;
                within = None;
            }
        }
    }
}

/// The log streams of a step's tries, oldest first.
fn streams(run: &StepRun) -> Vec<&str> {
    let Some(job) = &run.job else { return Vec::new() };
    let mut streams: Vec<&str> = job
        .tries
        .iter()
        .filter_map(|tried| tried.log_stream.as_deref())
        .chain(job.log_stream.as_deref())
        .collect();
    streams.dedup();
    streams
}

/// `<step>.<attempt>.<index of the try>.<the engine's cursor>`: a cursor names its log, since the
/// one that is chosen without being asked for changes as the demand goes on.
struct Cursor {
    step: Step,
    attempt: u32,
    index: usize,
    within: String,
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, LogError> {
        let mut parts = text.splitn(4, '.');
        let mut part = || parts.next().ok_or(LogError::Cursor);
        let step = serde_json::from_value(part()?.into()).map_err(|_| LogError::Cursor)?;
        let attempt = part()?.parse().map_err(|_| LogError::Cursor)?;
        let index = part()?.parse().map_err(|_| LogError::Cursor)?;
        Ok(Self { step, attempt, index, within: part()?.to_owned() })
    }

    /// The index of its try, if it belongs to this run.
    fn within_run(&self, run: &StepRun, streams: usize) -> Result<usize, LogError> {
        let belongs = self.step == run.step && self.attempt == run.attempt && self.index < streams;
        if belongs { Ok(self.index) } else { Err(LogError::Cursor) }
    }
}
