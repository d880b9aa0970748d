//! Logs of jobs, from CloudWatch Logs.

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::SdkError;
use aws_sdk_cloudwatchlogs::operation::get_log_events::{GetLogEventsError, GetLogEventsOutput};
use jiff::Timestamp;

use crate::engine::job::{LogLine, LogPage};
use crate::engine::{EngineError, LogsError};

/// Where AWS Batch writes the logs of jobs whose definition names no other group.
pub(super) const DEFAULT_GROUP: &str = "/aws/batch/job";

/// Events in one answer at most
/// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>).
const EVENTS_A_CALL: usize = 10_000;

/// Answers without events that are followed in one reading. CloudWatch Logs gives such answers
/// while it looks through a stream's parts; the end is where the token stays the same.
const EMPTY_ANSWERS: usize = 20;

/// A log stream, and its group where that is not the usual one: `GROUP:STREAM`. Neither name can
/// hold a colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogPlace<'a> {
    group: &'a str,
    stream: &'a str,
}

impl<'a> LogPlace<'a> {
    /// What a stream is called outside of this engine.
    pub(super) fn name(group: &str, usual: &str, stream: &str) -> String {
        if group == usual { stream.to_owned() } else { format!("{group}:{stream}") }
    }

    pub(super) fn parse(name: &'a str, usual: &'a str) -> Self {
        match name.split_once(':') {
            Some((group, stream)) => Self { group, stream },
            None => Self { group: usual, stream: name },
        }
    }

    /// At most `limit` lines from `cursor` on. A stream or group that is not there is empty: it
    /// appears when a command first writes, and goes when its retention is over.
    pub(super) async fn read(
        self,
        client: &Client,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<LogPage, LogsError> {
        let mut token = cursor.filter(|cursor| !cursor.is_empty()).map(str::to_owned);
        for _ in 0..EMPTY_ANSWERS {
            let asked = client
                .get_log_events()
                .log_group_name(self.group)
                .log_stream_name(self.stream)
                .start_from_head(true)
                .limit(i32::try_from(limit.clamp(1, EVENTS_A_CALL)).unwrap_or(1))
                .set_next_token(token.clone())
                .send()
                .await;
            let answer = match asked {
                Ok(answer) => answer,
                Err(error) => return Self::failed(error, token),
            };
            let next = answer.next_forward_token.clone();
            let lines = lines(answer);
            let at_end = next.is_none() || next == token;
            token = next.or(token);
            if at_end || !lines.is_empty() {
                return Ok(LogPage { lines, next_cursor: token.unwrap_or_default() });
            }
        }
        Ok(LogPage { lines: Vec::new(), next_cursor: token.unwrap_or_default() })
    }

    fn failed(
        error: SdkError<GetLogEventsError>,
        token: Option<String>,
    ) -> Result<LogPage, LogsError> {
        match error.as_service_error() {
            Some(GetLogEventsError::ResourceNotFoundException(_)) => {
                Ok(LogPage { lines: Vec::new(), next_cursor: token.unwrap_or_default() })
            }
            Some(GetLogEventsError::InvalidParameterException(_)) if token.is_some() => {
                Err(LogsError::Cursor(token.unwrap_or_default()))
            }
            _ => Err(EngineError::new("GetLogEvents", error).into()),
        }
    }
}

fn lines(answer: GetLogEventsOutput) -> Vec<LogLine> {
    let line = |event: aws_sdk_cloudwatchlogs::types::OutputLogEvent| LogLine {
        at: event.timestamp.and_then(|at| Timestamp::from_millisecond(at).ok()),
        message: event.message.unwrap_or_default().trim_end_matches(['\n', '\r']).to_owned(),
    };
    answer.events.unwrap_or_default().into_iter().map(line).collect()
}
