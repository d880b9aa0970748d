//! Whether the job queues that the configuration names can take jobs.

use aws_config::SdkConfig;
use aws_sdk_batch::types::{JobQueueDetail, JqState, JqStatus};

use super::finding::Finding;
use crate::aws::{CallError, call};
use crate::config::Config;

/// Names in one `DescribeJobQueues`
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobQueues.html>).
const NAMES: usize = 100;

pub(super) async fn check(config: &Config, sdk: &SdkConfig) -> Vec<Finding> {
    let names = named(config);
    if names.is_empty() {
        return vec![Finding::warning(
            "job queues: the configuration names none",
            "list those that demands use as batch.job_queues",
        )];
    }
    let mut findings = Vec::new();
    for names in names.chunks(NAMES) {
        match describe(sdk, names).await {
            Ok(found) => findings.extend(names.iter().map(|name| finding(name, &found))),
            Err(error) => findings.push(Finding::of_call(
                &format!("job queues {}", names.join(", ")),
                &error,
                "batch:DescribeJobQueues",
                "correct the names of the queues",
            )),
        }
    }
    findings
}

/// The queues named, each once: of the service, of its policy, of its workers.
fn named(config: &Config) -> Vec<String> {
    let own = config.batch.job_queues.iter().map(String::as_str);
    let allowed = config.policy.job_queues.plain();
    let names = own.chain(allowed).chain(config.data_sync.job_queue.as_deref());
    let mut each: Vec<String> = Vec::new();
    for name in names {
        if !each.iter().any(|known| known == name) {
            each.push(name.to_owned());
        }
    }
    each
}

async fn describe(sdk: &SdkConfig, names: &[String]) -> Result<Vec<JobQueueDetail>, CallError> {
    let request = aws_sdk_batch::Client::new(sdk).describe_job_queues();
    let described = request.set_job_queues(Some(names.to_vec())).send().await;
    Ok(described.map_err(call("DescribeJobQueues"))?.job_queues.unwrap_or_default())
}

fn finding(name: &str, found: &[JobQueueDetail]) -> Finding {
    let what = format!("job queue `{name}`");
    let is_it = |queue: &&JobQueueDetail| {
        [queue.job_queue_name(), queue.job_queue_arn()].contains(&Some(name))
    };
    let Some(queue) = found.iter().find(is_it) else {
        let what = format!("{what} does not exist");
        return Finding::missing(what, "create it in this account and region, or correct its name");
    };
    if queue.state() != Some(&JqState::Enabled) {
        return Finding::missing(format!("{what} is disabled"), "enable it");
    }
    match queue.status() {
        Some(JqStatus::Valid) => Finding::ok(what),
        Some(status @ (JqStatus::Creating | JqStatus::Updating)) => {
            Finding::warning(format!("{what} is {status}"), "look again in a minute")
        }
        status => {
            let status = status.map_or("without a status", JqStatus::as_str);
            let why = queue.status_reason().unwrap_or("AWS gives no reason");
            let what = format!("{what} is {status}: {why}");
            Finding::missing(what, "correct the queue or its compute environments")
        }
    }
}
