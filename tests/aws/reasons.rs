//! What AWS Batch says of a job that does not run, as a demand tells it.

use serde_json::{Value, json};

use crate::service::{Service, demand, demand_with};
use crate::site::Site;

async fn failed(service: &Service, request: &Value) -> Value {
    let id = service.accepted(request).await;
    let document = service.ended(&id).await;
    assert_eq!(document["status"], "FAILED", "{document:#}");
    assert!(!document["reason"]["message"].as_str().unwrap().is_empty());
    document
}

#[tokio::test]
async fn the_cause_of_a_failure_is_named_with_batchs_own_words() {
    let service = Service::start().await;
    let mut no_image = demand("image", "true");
    no_image["execution_image"] = json!("unavailable/tool:1");
    let mut no_queue = demand("queue", "true");
    no_queue["execution_platform"]["aws_batch"]["job_queue_name"] = json!("nowhere");
    let mut no_volume = demand("volume", "true");
    no_volume["file_system_configurations"] =
        json!({"scratch": [{"access_point": "scratch", "container_path": "/opt/elsewhere"}]});
    let no_bucket = demand_with(
        "output",
        "echo x > ${OUT}",
        &[],
        &[("out", json!("out.txt @ s3://no-such-bucket/out.txt"))],
    );
    for (request, code, words) in [
        (no_image, "IMAGE_UNAVAILABLE", "CannotPullContainerError"),
        (no_queue, "SUBMISSION_REJECTED", "nowhere"),
        (no_volume, "VOLUME_MOUNT_FAILED", "EFS volumes"),
        (no_bucket, "OUTPUT_UPLOAD_FAILED", ""),
    ] {
        let document = failed(&service, &request).await;
        assert_eq!(document["reason"]["code"], code, "{document:#}");
        let message = document["reason"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn every_try_is_kept_with_its_times_and_its_log() {
    let service = Service::start().await;
    let id = service.accepted(&demand("tried", "echo said")).await;
    let document = service.ended(&id).await;
    for step in document["steps"].as_array().unwrap() {
        let tries = step["tries"].as_array().unwrap();
        assert_eq!(tries.len(), 1, "{step:#}");
        assert_eq!(tries[0]["exit_code"], 0);
        assert!(tries[0]["started_at"].is_string() && tries[0]["stopped_at"].is_string());
        assert!(tries[0]["log_stream"].is_string());
    }
}

#[tokio::test]
async fn a_change_told_by_an_event_is_seen_at_once() {
    let site = Site::with(&["--event-queue", "changes"]);
    let queue = site.moto.seeded("/event_queue_url").to_owned();
    // So seldom looked at that nothing but an event can show the end in time.
    let environment = [
        ("DEMAND_BATCH__EVENTS_QUEUE_URL", queue.as_str()),
        ("DEMAND_LIFECYCLE__OBSERVE_MIN", "1h"),
        ("DEMAND_LIFECYCLE__OBSERVE_MAX", "1h"),
    ];
    let service = Service::start_at(site, &environment).await;
    let id = service.accepted(&demand("told-of", "true")).await;
    assert_eq!(service.ended(&id).await["status"], "COMPLETED");
}
