//! The engine against moto's server, which nobody here wrote. Ignored without a Python that has what
//! `tests/requirements.txt` lists, named by `TEST_PYTHON`.

use aws_sdk_batch::types::{CeType, ComputeEnvironmentOrder, JqState};
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_sdk_sqs::types::QueueAttributeName;
use demand_context_manager::engine::aws_batch::AwsBatchSettings;
use demand_context_manager::engine::job::JobStatus;
use demand_context_manager::engine::{Engine, SubmitError};
use futures::FutureExt;
use serde_json::json;

use crate::plain::Server;
use crate::{Lab, definition, eventually, job, sdk};

/// The server with a job queue named `queue`, whose jobs succeed at once.
async fn with_queue() -> Server {
    let moto = Server::start();
    without_docker(&moto.url).await;
    let config = sdk(&moto.url).await;
    let role = aws_sdk_iam::Client::new(&config)
        .create_role()
        .role_name("batch")
        .assume_role_policy_document("{}")
        .send()
        .await
        .unwrap();
    let batch = aws_sdk_batch::Client::new(&config);
    let environment = batch
        .create_compute_environment()
        .compute_environment_name("environment")
        .r#type(CeType::Unmanaged)
        .service_role(role.role.unwrap().arn)
        .send()
        .await
        .unwrap();
    let order = ComputeEnvironmentOrder::builder()
        .order(1)
        .compute_environment(environment.compute_environment_arn.unwrap())
        .build();
    batch
        .create_job_queue()
        .job_queue_name("queue")
        .state(JqState::Enabled)
        .priority(1)
        .compute_environment_order(order)
        .send()
        .await
        .unwrap();
    moto
}

/// Lets jobs succeed without Docker.
async fn without_docker(url: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = url.trim_start_matches("http://");
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = json!({"batch": {"use_docker": false}}).to_string();
    let call = format!(
        "POST /moto-api/config HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(call.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
}

#[tokio::test]
#[ignore = "needs moto"]
async fn jobs_run_on_the_definition_that_was_defined_and_are_found_by_name() {
    let moto = with_queue().await;
    let settings =
        AwsBatchSettings { job_queues: vec!["queue".to_owned()], ..AwsBatchSettings::default() };
    let lab = Lab::with(&moto.url, settings).await;
    lab.engine.ready().await.unwrap();
    let arn = lab.engine.define(&definition("image")).await.unwrap();
    let id = lab.engine.submit(&job("work", &arn)).await.unwrap();
    let found = lab.engine.find("queue", "work").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].job_id, &found[0].job_definition), (&id, &arn));
    assert!(lab.engine.find("queue", "other").await.unwrap().is_empty());
    let ended = eventually(|| async {
        let jobs = lab.engine.describe(std::slice::from_ref(&id)).await.unwrap();
        jobs.into_iter().find(|job| job.status.is_terminal())
    })
    .await;
    assert_eq!(ended.status, JobStatus::Succeeded);
    lab.engine.terminate(&id, "no longer wanted").await.unwrap();
    lab.engine.terminate("11111111-2222-3333-4444-555555555555", "unknown").await.unwrap();

    let second = Lab::on(&moto.url).await;
    assert_eq!(second.engine.define(&definition("image")).await.unwrap(), arn);
    assert_ne!(second.engine.define(&definition("another")).await.unwrap(), arn);
    let mut nowhere = job("work", &arn);
    nowhere.job_queue = "nowhere".to_owned();
    let refused = second.engine.submit(&nowhere).await.unwrap_err();
    assert!(
        matches!(&refused, SubmitError::Permanent(words) if words.contains("nowhere")),
        "{refused:?}"
    );
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_log_is_read_page_by_page_and_read_on_where_it_ended() {
    let moto = Server::start();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&sdk(&moto.url).await);
    let group = "/aws/batch/job";
    let lab = Lab::on(&moto.url).await;
    let missing = lab.engine.logs("stream", None, 10).await.unwrap();
    assert!(missing.lines.is_empty(), "no job of the account has written yet");
    logs.create_log_group().log_group_name(group).send().await.unwrap();
    let empty = lab.engine.logs("stream", None, 10).await.unwrap();
    assert!(empty.lines.is_empty(), "not written to yet");

    logs.create_log_stream().log_group_name(group).log_stream_name("stream").send().await.unwrap();
    let write = async |from: i64, to: i64| {
        let events = (from..to).map(|number| {
            let at = jiff::Timestamp::now().as_millisecond() - 10_000 + number;
            InputLogEvent::builder()
                .timestamp(at)
                .message(format!("line {number}"))
                .build()
                .unwrap()
        });
        logs.put_log_events()
            .log_group_name(group)
            .log_stream_name("stream")
            .set_log_events(Some(events.collect()))
            .send()
            .await
            .unwrap();
    };
    write(0, 25).await;
    let mut read = Vec::new();
    let mut cursor = Some(empty.next_cursor);
    loop {
        let page = lab.engine.logs("stream", cursor.as_deref(), 10).await.unwrap();
        cursor = Some(page.next_cursor);
        if page.lines.is_empty() {
            break;
        }
        assert!(page.lines.len() <= 10 && page.lines.iter().all(|line| line.at.is_some()));
        read.extend(page.lines.into_iter().map(|line| line.message));
    }
    let expected: Vec<String> = (0..25).map(|number| format!("line {number}")).collect();
    assert_eq!(read, expected);
    write(25, 27).await;
    let more = lab.engine.logs("stream", cursor.as_deref(), 10).await.unwrap();
    let more: Vec<&str> = more.lines.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(more, ["line 25", "line 26"]);
}

#[tokio::test]
#[ignore = "needs moto"]
async fn an_event_wakes_once_and_its_message_is_deleted_as_are_useless_ones() {
    let moto = Server::start();
    let sqs = aws_sdk_sqs::Client::new(&sdk(&moto.url).await);
    let queue = sqs.create_queue().queue_name("events").send().await.unwrap();
    let queue = queue.queue_url.unwrap();
    let settings =
        AwsBatchSettings { events_queue_url: Some(queue.clone()), ..AwsBatchSettings::default() };
    let lab = Lab::with(&moto.url, settings).await;
    // As EventBridge sends them: https://docs.aws.amazon.com/batch/latest/userguide/batch_cwe_events.html
    let event = json!({
        "version": "0",
        "id": "c8f9c4b5-76e5-d76a-f980-7011e206042b",
        "detail-type": "Batch Job State Change",
        "source": "aws.batch",
        "account": "123456789012",
        "time": "2022-01-11T23:36:40Z",
        "region": "us-east-1",
        "resources": ["arn:aws:batch:us-east-1:123456789012:job/4c7599ae-0a82-49aa-ba5a-4727fcce14a8"],
        "detail": {
            "jobName": "event-test",
            "jobId": "4c7599ae-0a82-49aa-ba5a-4727fcce14a8",
            "jobQueue": "arn:aws:batch:us-east-1:123456789012:job-queue/PexjEHappyPathCanary2JobQueue",
            "status": "RUNNABLE",
            "attempts": [],
            "createdAt": 1_641_944_200_058_i64,
        },
    });
    // Whoever waits may give up waiting and lose nothing.
    assert!(lab.engine.changed().now_or_never().is_none(), "nothing has happened yet");
    for body in
        ["garbled".to_owned(), json!({"detail-type": "other"}).to_string(), event.to_string()]
    {
        sqs.send_message().queue_url(&queue).message_body(body).send().await.unwrap();
    }
    tokio::time::timeout(crate::PATIENCE, lab.engine.changed()).await.expect("an event came");
    eventually(|| async {
        let kept = sqs
            .get_queue_attributes()
            .queue_url(&queue)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .unwrap();
        kept.attributes.unwrap().values().all(|count| count == "0").then_some(())
    })
    .await;
}
