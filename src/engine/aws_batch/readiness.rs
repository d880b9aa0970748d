//! Whether jobs can be submitted: what AWS Batch says of the queues, asked now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_batch::types::{JobQueueDetail, JqState, JqStatus};
use tokio::sync::Mutex;

use super::calls::Calls;
use crate::engine::EngineError;
use crate::telemetry::chain;

/// How long an answer holds.
const GOOD: Duration = Duration::from_secs(30);

/// How long a bad one holds.
const BAD: Duration = Duration::from_secs(5);

/// Why jobs cannot be submitted.
#[derive(Debug, Clone, thiserror::Error)]
enum Unready {
    #[error("there is no job queue {0}")]
    Missing(String),
    #[error("the job queue {name} is {state}")]
    Closed { name: String, state: String },
    /// The call failed, in these words.
    #[error("{0}")]
    Call(String),
}

pub(super) struct Readiness {
    calls: Arc<Calls>,
    job_queues: Vec<String>,
    known: Mutex<Option<(Instant, Result<(), Unready>)>>,
}

impl Readiness {
    pub(super) fn new(calls: Arc<Calls>, job_queues: Vec<String>) -> Self {
        Self { calls, job_queues, known: Mutex::default() }
    }

    pub(super) async fn check(&self) -> Result<(), EngineError> {
        // Held while asking, so that many who ask at once are one call.
        let mut known = self.known.lock().await;
        let holds = |(at, answer): &(Instant, Result<(), Unready>)| {
            at.elapsed() < if answer.is_ok() { GOOD } else { BAD }
        };
        let answer = if let Some((_, answer)) = known.as_ref().filter(|known| holds(known)) {
            answer.clone()
        } else {
            let answer = self.ask().await;
            *known = Some((Instant::now(), answer.clone()));
            answer
        };
        answer.map_err(|unready| EngineError::new("DescribeJobQueues", unready))
    }

    async fn ask(&self) -> Result<(), Unready> {
        self.calls.pace.turn().await;
        let call = self.calls.patient.describe_job_queues();
        let call = if self.job_queues.is_empty() {
            call.max_results(1)
        } else {
            call.set_job_queues(Some(self.job_queues.clone()))
        };
        let answer = call.send().await.map_err(|error| Unready::Call(chain(&error)))?;
        let queues = answer.job_queues.unwrap_or_default();
        for wanted in &self.job_queues {
            let queue = queues.iter().find(|queue| is_called(queue, wanted));
            let queue = queue.ok_or_else(|| Unready::Missing(wanted.clone()))?;
            if let Some(state) = closed(queue) {
                return Err(Unready::Closed { name: wanted.clone(), state });
            }
        }
        Ok(())
    }
}

fn is_called(queue: &JobQueueDetail, name_or_arn: &str) -> bool {
    queue.job_queue_name() == Some(name_or_arn) || queue.job_queue_arn() == Some(name_or_arn)
}

/// What keeps a queue from taking jobs. One that is being changed takes them.
fn closed(queue: &JobQueueDetail) -> Option<String> {
    match (queue.state(), queue.status()) {
        (Some(JqState::Disabled), _) => Some("DISABLED".to_owned()),
        (_, Some(status @ (JqStatus::Invalid | JqStatus::Deleting | JqStatus::Deleted))) => {
            let why = queue.status_reason().map(|why| format!(": {why}"));
            Some(format!("{}{}", status.as_str(), why.unwrap_or_default()))
        }
        _ => None,
    }
}
