//! Events of AWS Batch, from an SQS queue that EventBridge feeds with *Batch Job State Change*
//! (<https://docs.aws.amazon.com/batch/latest/userguide/batch_cwe_events.html>).
//!
//! An event only says that it is time to look: it may come twice, late, out of order, or about a
//! job of somebody else. A message is deleted once the look-out has been told.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::delete_message_batch::DeleteMessageBatchError;
use aws_sdk_sqs::operation::receive_message::ReceiveMessageError;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::telemetry::chain;

/// The longest poll and the most messages SQS gives
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>).
const POLL_SECONDS: i32 = 20;
const MESSAGES_A_CALL: i32 = 10;

/// The longest rest after a failure.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// What `detail-type` says of the events that matter.
const JOB_STATE_CHANGE: &str = "Batch Job State Change";

/// Receives in a task of its own, so that whoever waits may stop waiting without losing anything.
#[derive(Debug)]
pub(super) struct Events {
    changed: Arc<Notify>,
    _receiving: AbortOnDropHandle<()>,
}

impl Events {
    /// Begins to receive from the queue.
    pub(super) fn of_queue(client: Client, queue_url: String) -> Self {
        let changed = Arc::new(Notify::new());
        let receiving = tokio::spawn(receive(client, queue_url, Arc::clone(&changed)));
        Self { changed, _receiving: AbortOnDropHandle::new(receiving) }
    }

    /// Returns when there was an event since this last returned.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// As much of an event as is looked at.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "detail-type")]
    detail_type: String,
    detail: Detail,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    job_id: String,
    #[serde(default)]
    status: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum EventsError {
    #[error("cannot receive events")]
    Receive(#[from] SdkError<ReceiveMessageError>),
    #[error("cannot delete events")]
    Delete(#[from] SdkError<DeleteMessageBatchError>),
}

async fn receive(client: Client, queue_url: String, changed: Arc<Notify>) {
    let mut failures = 0;
    loop {
        match receive_once(&client, &queue_url, &changed).await {
            Ok(()) => failures = 0,
            Err(failed) => {
                warn!(queue.url = %queue_url, error = %chain(&failed), "no events for now");
                tokio::time::sleep(rest(failures)).await;
                failures += 1;
            }
        }
    }
}

async fn receive_once(
    client: &Client,
    queue_url: &str,
    changed: &Notify,
) -> Result<(), EventsError> {
    let answer = client
        .receive_message()
        .queue_url(queue_url)
        .wait_time_seconds(POLL_SECONDS)
        .max_number_of_messages(MESSAGES_A_CALL)
        .send()
        .await?;
    let messages = answer.messages.unwrap_or_default();
    if messages.is_empty() {
        return Ok(());
    }
    if messages.iter().filter(|message| is_news(message)).count() > 0 {
        changed.notify_one();
    }
    let entries = messages.into_iter().enumerate().filter_map(|(index, message)| {
        DeleteMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .receipt_handle(message.receipt_handle?)
            .build()
            .ok()
    });
    // What is not deleted comes again, and does no harm.
    let deleted = client
        .delete_message_batch()
        .queue_url(queue_url)
        .set_entries(Some(entries.collect()))
        .send()
        .await?;
    for failed in deleted.failed {
        warn!(queue.url = %queue_url, why = %failed.code, "an event could not be deleted");
    }
    Ok(())
}

/// Whether the message tells of a job; others are of no use, and are told of.
fn is_news(message: &Message) -> bool {
    match serde_json::from_str::<Event>(message.body().unwrap_or_default()) {
        Ok(event) if event.detail_type == JOB_STATE_CHANGE => {
            let Detail { job_id, status } = event.detail;
            debug!(job.id = %job_id, status = status.as_deref(), "a job has changed");
            true
        }
        Ok(event) => {
            warn!(detail_type = %event.detail_type, "a message in the queue of events is of no use");
            false
        }
        Err(error) => {
            warn!(%error, "a message in the queue of events cannot be read");
            false
        }
    }
}

/// Doubles from one second, and spreads by half.
fn rest(failures: u32) -> Duration {
    let whole =
        Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_REST);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}
