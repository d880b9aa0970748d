//! Whether the queue of Batch's events can be read.

use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;

use super::finding::Finding;
use crate::aws::call;
use crate::config::Config;

pub(super) async fn check(config: &Config, sdk: &SdkConfig) -> Vec<Finding> {
    let Some(url) = &config.batch.events_queue_url else { return Vec::new() };
    let request = aws_sdk_sqs::Client::new(sdk).get_queue_attributes().queue_url(url);
    let asked = request.attribute_names(QueueAttributeName::QueueArn).send().await;
    let what = format!("queue of events {url}");
    vec![match asked.map_err(call("GetQueueAttributes")) {
        Ok(_) => Finding::ok(what),
        Err(error) => Finding::of_call(
            &what,
            &error,
            "sqs:GetQueueAttributes, sqs:ReceiveMessage and sqs:DeleteMessage on it",
            "create the queue, or correct batch.events_queue_url",
        ),
    }]
}
