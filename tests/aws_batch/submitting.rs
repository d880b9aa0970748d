//! Submissions: what is sent, and what is known after each way of failing.

use std::time::Duration;

use demand_context_manager::engine::aws_batch::AwsBatchSettings;
use demand_context_manager::engine::{Engine, SubmitError};
use demand_context_manager::plan::submission::{JobDependency, KeyValuePair, SubmitJob, Timeout};
use demand_context_manager::telemetry::metrics::{registry, text};
use serde_json::json;

use crate::endpoint::Endpoint;
use crate::proxy::{Fault, Proxy};
use crate::{Lab, definition, job};

#[tokio::test]
async fn a_submission_holds_everything_the_plan_says() {
    let endpoint = Endpoint::start().await;
    let lab = Lab::on(&endpoint.url).await;
    let arn = lab.engine.define(&definition("image")).await.unwrap();
    let job = SubmitJob {
        depends_on: vec![JobDependency { job_id: "before".to_owned() }],
        timeout: Some(Timeout { attempt_duration_seconds: 60 }),
        ..job("work", &arn)
    };
    let id = lab.engine.submit(&job).await.unwrap();
    let inside = endpoint.inside();
    assert_eq!(inside.jobs[0]["jobId"], id);
    assert_eq!(inside.submissions[0], serde_json::to_value(&job).unwrap());
}

#[tokio::test]
async fn a_failed_submission_is_classed_by_what_may_have_happened() {
    let throttled = [
        Fault::Answer(429, "{}"),
        Fault::Answer(429, "Too Many Requests"),
        Fault::Answer(400, r#"{"__type": "ThrottlingException", "message": "Rate exceeded"}"#),
        Fault::Answer(400, r#"{"__type": "TooManyRequestsException", "message": ""}"#),
        Fault::Answer(400, r#"{"__type": "ClientException", "message": "Too Many Requests"}"#),
        Fault::Answer(500, r#"{"__type": "ServerException", "message": "Too Many Requests"}"#),
        Fault::Answer(503, r#"{"__type": "RequestLimitExceeded", "message": "slower"}"#),
        // The operator's to mend; no demand is refused for it.
        Fault::Answer(403, r#"{"__type": "AccessDeniedException", "message": "not allowed"}"#),
        Fault::Answer(403, r#"{"__type": "InvalidSignatureException", "message": "too late"}"#),
    ];
    for fault in throttled {
        let failed = fails_with(fault).await;
        assert!(matches!(failed, SubmitError::Retryable(_)), "{fault:?}: {failed:?}");
    }
    let refused = [
        Fault::Answer(400, r#"{"__type": "ClientException", "message": "no such queue"}"#),
        Fault::Answer(400, r#"{"__type": "ClientException", "message": "no such image"}"#),
    ];
    for fault in refused {
        let failed = fails_with(fault).await;
        assert!(matches!(failed, SubmitError::Permanent(_)), "{fault:?}: {failed:?}");
    }
    let unknown = [
        Fault::DropAfter,
        Fault::DropBefore,
        Fault::Replace(500, r#"{"__type": "ServerException", "message": "oops"}"#),
        Fault::Replace(502, "<html>Bad Gateway</html>"),
        Fault::Replace(504, ""),
        Fault::Replace(200, "<html>hello</html>"),
        Fault::Replace(200, "{\"jobId\": \"cut sho"),
        Fault::Replace(200, "{}"),
        Fault::Replace(400, "<html>what?</html>"),
    ];
    for fault in unknown {
        let failed = fails_with(fault).await;
        assert!(matches!(failed, SubmitError::Ambiguous(_)), "{fault:?}: {failed:?}");
    }
}

/// How a submission fails to which this happens; it is sent once only.
async fn fails_with(fault: Fault) -> SubmitError {
    let endpoint = Endpoint::start().await;
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = calls.clone();
    let proxy = Proxy::before(&endpoint.url, move |path| {
        if path != "/v1/submitjob" {
            return Fault::None;
        }
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        fault
    })
    .await;
    let lab = Lab::on(&proxy.url).await;
    let arn = lab.engine.define(&definition("image")).await.unwrap();
    let failed = lab.engine.submit(&job("work", &arn)).await.unwrap_err();
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1, "{fault:?}");
    failed
}

#[tokio::test]
async fn submissions_go_out_at_fifty_a_second_after_a_short_burst() {
    let endpoint = Endpoint::start().await;
    let lab = Lab::on(&endpoint.url).await;
    let arn = lab.engine.define(&definition("image")).await.unwrap();
    let begun = std::time::Instant::now();
    let jobs: Vec<SubmitJob> = (0..110).map(|number| job(&format!("w-{number}"), &arn)).collect();
    let submissions = jobs.iter().map(|job| lab.engine.submit(job));
    for submitted in futures::future::join_all(submissions).await {
        submitted.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(1900), "{:?}", begun.elapsed());
    assert_eq!(endpoint.inside().jobs.len(), 110);
}

#[tokio::test]
async fn a_refusal_keeps_the_words_of_aws() {
    let fault = Fault::Answer(400, r#"{"__type": "ClientException", "message": "no such queue"}"#);
    let SubmitError::Permanent(words) = fails_with(fault).await else { panic!("it is refused") };
    assert_eq!(words, "SubmitJob: ClientException: no such queue");
}

#[tokio::test]
async fn nothing_has_happened_where_nobody_listens() {
    let endpoint = Endpoint::start().await;
    let url = endpoint.url.clone();
    drop(endpoint);
    let lab = Lab::on(&url).await;
    let failed = eventually_refused(&lab).await;
    assert!(matches!(failed, SubmitError::Retryable(_)), "{failed:?}");
}

/// The listener of a dropped endpoint is closed a moment later.
async fn eventually_refused(lab: &Lab) -> SubmitError {
    crate::eventually(|| async {
        let failed = lab.engine.submit(&job("work", "arn")).await.unwrap_err();
        failed.to_string().contains("refused").then_some(failed)
    })
    .await
}

#[tokio::test]
async fn an_answer_that_takes_its_time_is_waited_for() {
    let endpoint = Endpoint::start().await;
    let proxy = Proxy::before(&endpoint.url, |path| match path {
        "/v1/submitjob" => Fault::Delay(Duration::from_secs(31)),
        _ => Fault::None,
    })
    .await;
    let lab = Lab::on(&proxy.url).await;
    let arn = lab.engine.define(&definition("image")).await.unwrap();
    lab.engine.submit(&job("work", &arn)).await.unwrap();
    assert_eq!(endpoint.inside().jobs.len(), 1);
}

#[tokio::test]
async fn a_task_too_large_for_its_job_is_put_to_s3() {
    let endpoint = Endpoint::start().await;
    let prefix = Some("s3://payloads/tasks/".to_owned());
    let settings = AwsBatchSettings { payload_prefix: prefix, ..AwsBatchSettings::default() };
    let lab = Lab::with(&endpoint.url, settings).await;
    let arn = lab.engine.define(&definition("image")).await.unwrap();
    let large = with_task("large", &arn, 20_000);
    lab.engine.submit(&large).await.unwrap();
    lab.engine.submit(&with_task("small", &arn, 7_000)).await.unwrap();
    let told = |index: usize| {
        let environment =
            &endpoint.inside().submissions[index]["containerOverrides"]["environment"];
        environment[1]["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(told(0), "s3://payloads/tasks/large.json");
    assert_eq!(
        endpoint.inside().objects["payloads/tasks/large.json"],
        large.container_overrides.environment[1].value
    );
    assert!(told(1).starts_with('{'), "what fits is handed over directly");
    assert_eq!(endpoint.inside().objects.len(), 1);

    let without = Lab::on(&endpoint.url).await;
    let refused = without.engine.submit(&large).await.unwrap_err();
    assert!(
        matches!(&refused, SubmitError::Permanent(words) if words.contains("payload_prefix")),
        "{refused:?}"
    );
    assert_eq!(endpoint.calls("submitjob"), 2);
}

fn with_task(name: &str, arn: &str, size: usize) -> SubmitJob {
    let mut job = job(name, arn);
    let value = json!({"padding": "x".repeat(size)}).to_string();
    job.container_overrides
        .environment
        .push(KeyValuePair { name: "DEMAND_TASK".to_owned(), value });
    job
}

#[tokio::test]
async fn requests_are_counted_as_they_leave_with_those_that_aws_had_no_room_for() {
    let endpoint = Endpoint::start().await;
    let described = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let proxy = Proxy::before(&endpoint.url, move |path| match path {
        "/v1/submitjob" => Fault::Answer(429, "{}"),
        // The first is refused for want of room; the SDK sends it once more.
        "/v1/describejobs" if described.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => {
            Fault::Answer(400, r#"{"__type": "ClientException", "message": "Too Many Requests"}"#)
        }
        _ => Fault::None,
    })
    .await;
    let lab = Lab::on(&proxy.url).await;
    let arn = lab.engine.define(&definition("image")).await.unwrap();
    lab.engine.submit(&job("work", &arn)).await.unwrap_err();
    let _ = lab.engine.describe(&["a-job".to_owned()]).await;
    lab.engine.describe(&["a-job".to_owned()]).await.unwrap();

    let registry = registry(|own| lab.engine.register(own));
    let metrics = text(&registry).unwrap();
    for series in [
        r#"demand_batch_requests_total{operation="SubmitJob",outcome="throttled"} 1"#,
        r#"demand_batch_requests_total{operation="DescribeJobs",outcome="throttled"} 1"#,
        r#"demand_batch_requests_total{operation="DescribeJobs",outcome="ok"}"#,
        r#"demand_batch_requests_total{operation="RegisterJobDefinition",outcome="ok"} 1"#,
        r#"demand_batch_request_duration_seconds_count{operation="SubmitJob"} 1"#,
    ] {
        assert!(metrics.contains(series), "no {series} in\n{metrics}");
    }
}
