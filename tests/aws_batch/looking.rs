//! Looking jobs up, observing and ending them.

use std::collections::HashSet;

use demand_context_manager::engine::Engine;
use demand_context_manager::engine::job::{Job, JobStatus, Try};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Lab;
use crate::endpoint::Endpoint;

fn planted(id: &str, name: &str, status: &str) -> Value {
    json!({
        "jobId": id, "jobName": name, "jobQueue": "queue", "jobDefinition": "arn:1",
        "status": status, "createdAt": 1_700_000_000_000_i64,
    })
}

fn ids(jobs: &[Job]) -> HashSet<&str> {
    jobs.iter().map(|job| job.job_id.as_str()).collect()
}

#[tokio::test]
async fn jobs_are_found_by_exactly_their_name_whatever_their_state_and_number() {
    let endpoint = Endpoint::start().await;
    {
        let mut inside = endpoint.inside();
        inside.idle = true;
        let states = ["SUBMITTED", "RUNNABLE", "RUNNING", "SUCCEEDED", "FAILED"];
        for number in 0..250 {
            let state = states[number % states.len()];
            inside.plant(planted(&format!("id-{number}"), "work", state));
        }
        inside.plant(planted("shouted", "WORK", "RUNNING"));
        inside.plant(planted("longer", "work-2", "RUNNING"));
    }
    let lab = Lab::on(&endpoint.url).await;
    let found = lab.engine.find("queue", "work").await.unwrap();
    assert_eq!(ids(&found).len(), 250);
    assert!(ids(&found).iter().all(|id| id.starts_with("id-")));
    assert_eq!(endpoint.calls("listjobs"), 3, "251 match but for case");
    assert_eq!(endpoint.inside().described, [100, 100, 50]);
    assert!(lab.engine.find("queue", "nothing").await.unwrap().is_empty());
}

#[tokio::test]
async fn jobs_are_described_by_the_hundred_and_unknown_ones_left_out() {
    let endpoint = Endpoint::start().await;
    for number in 0..205 {
        endpoint.inside().plant(planted(&format!("id-{number}"), "work", "SUCCEEDED"));
    }
    let lab = Lab::on(&endpoint.url).await;
    let mut asked: Vec<String> = (0..205).map(|number| format!("id-{number}")).collect();
    asked.insert(3, "unknown".to_owned());
    let described = lab.engine.describe(&asked).await.unwrap();
    assert_eq!(ids(&described).len(), 205);
    assert_eq!(endpoint.inside().described, [100, 100, 6]);
    assert!(lab.engine.describe(&[]).await.unwrap().is_empty());
    assert_eq!(endpoint.calls("describejobs"), 3, "nothing is not asked for");
}

#[tokio::test]
async fn everything_aws_says_of_a_job_is_kept() {
    let endpoint = Endpoint::start().await;
    let tried = |exit_code: Option<i32>, reason: &str, stream: &str| {
        json!({
            "startedAt": 1_700_000_010_000_i64, "stoppedAt": 1_700_000_020_000_i64,
            "statusReason": reason,
            "container": {"exitCode": exit_code, "reason": "said so", "logStreamName": stream},
        })
    };
    let mut job = planted("id", "work", "FAILED");
    job["statusReason"] = json!("Essential container in task exited");
    job["startedAt"] = json!(1_700_000_010_000_i64);
    job["stoppedAt"] = json!(1_700_000_030_000_i64);
    job["attempts"] = json!([
        tried(None, "Host EC2 (instance i-1) terminated.", "stream/1"),
        tried(Some(137), "Essential container in task exited", "stream/2"),
    ]);
    job["container"] = json!({
        "exitCode": 137,
        "reason": "OutOfMemoryError: Container killed due to memory usage",
        "logStreamName": "stream/2",
    });
    endpoint.inside().plant(job);
    let lab = Lab::on(&endpoint.url).await;
    let seen = lab.engine.describe(&["id".to_owned()]).await.unwrap().remove(0);
    let at = |seconds: i64| Some(Timestamp::from_second(1_700_000_000 + seconds).unwrap());
    let tried = |exit_code: Option<i32>, reason: &str, stream: &str| Try {
        started_at: at(10),
        stopped_at: at(20),
        exit_code,
        status_reason: Some(reason.to_owned()),
        container_reason: Some("said so".to_owned()),
        log_stream: Some(stream.to_owned()),
    };
    let expected = Job {
        job_id: "id".to_owned(),
        job_name: "work".to_owned(),
        job_definition: "arn:1".to_owned(),
        status: JobStatus::Failed,
        status_reason: Some("Essential container in task exited".to_owned()),
        container_reason: Some("OutOfMemoryError: Container killed due to memory usage".to_owned()),
        exit_code: Some(137),
        log_stream: Some("stream/2".to_owned()),
        created_at: at(0).unwrap(),
        started_at: at(10),
        stopped_at: at(30),
        tries: vec![
            tried(None, "Host EC2 (instance i-1) terminated.", "stream/1"),
            tried(Some(137), "Essential container in task exited", "stream/2"),
        ],
    };
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_job_that_waits_shows_why() {
    let endpoint = Endpoint::start().await;
    let why =
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement is too large";
    let mut job = planted("id", "work", "RUNNABLE");
    job["statusReason"] = json!(why);
    job["startedAt"] = json!(0);
    endpoint.inside().idle = true;
    endpoint.inside().plant(job);
    let lab = Lab::on(&endpoint.url).await;
    let seen = lab.engine.describe(&["id".to_owned()]).await.unwrap().remove(0);
    assert_eq!(seen.status, JobStatus::Runnable);
    assert_eq!(seen.status_reason.as_deref(), Some(why));
    assert_eq!(seen.started_at, None);
}

#[tokio::test]
async fn a_job_of_a_group_of_its_own_keeps_it_with_its_log() {
    let endpoint = Endpoint::start().await;
    let mut job = planted("id", "work", "SUCCEEDED");
    job["container"] = json!({
        "logStreamName": "stream",
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/lab/jobs"}},
    });
    endpoint.inside().plant(job);
    let lab = Lab::on(&endpoint.url).await;
    let seen = lab.engine.describe(&["id".to_owned()]).await.unwrap().remove(0);
    assert_eq!(seen.log_stream.as_deref(), Some("/lab/jobs:stream"));
}

#[tokio::test]
async fn a_job_is_ended_whatever_its_state_and_an_unknown_one_is_no_error() {
    let endpoint = Endpoint::start().await;
    endpoint.inside().idle = true;
    endpoint.inside().plant(planted("id", "work", "PENDING"));
    let lab = Lab::on(&endpoint.url).await;
    for id in ["id", "id", "unknown"] {
        lab.engine.terminate(id, "no longer wanted").await.unwrap();
    }
    let seen = lab.engine.describe(&["id".to_owned()]).await.unwrap().remove(0);
    assert_eq!(seen.status, JobStatus::Failed);
    assert_eq!(seen.status_reason.as_deref(), Some("no longer wanted"));
}

#[tokio::test]
async fn readiness_asks_once_in_a_while() {
    let endpoint = Endpoint::start().await;
    let lab = Lab::on(&endpoint.url).await;
    for _ in 0..20 {
        lab.engine.ready().await.unwrap();
    }
    assert_eq!(endpoint.calls("describejobqueues"), 1);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_named_by_readiness() {
    let endpoint = Endpoint::start().await;
    let settings = demand_context_manager::engine::aws_batch::AwsBatchSettings {
        job_queues: vec!["queue".to_owned(), "elsewhere".to_owned()],
        ..Default::default()
    };
    let lab = Lab::with(&endpoint.url, settings).await;
    let unready = lab.engine.ready().await.unwrap_err();
    let why = std::error::Error::source(&unready).unwrap().to_string();
    assert_eq!(why, "there is no job queue elsewhere");
}
