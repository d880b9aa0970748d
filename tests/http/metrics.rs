//! What operators watch.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};

use crate::service::{PATIENCE, Service, demand};
use crate::tokens::Guarded;

async fn scraped(service: &Service) -> String {
    let answer = service.get("/metrics").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let media_type = answer.headers()["content-type"].to_str().unwrap();
    assert!(media_type.starts_with("application/openmetrics-text"), "{media_type}");
    answer.text().await.unwrap()
}

/// The value of the series written so.
fn value(metrics: &str, series: &str) -> f64 {
    let found = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {series} in\n{metrics}")).parse().unwrap()
}

/// Names and labels of all series.
fn series(metrics: &str) -> BTreeSet<String> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

#[tokio::test]
async fn the_course_of_demands_shows_in_the_metrics() {
    let service = Service::start().await;
    for (id, command) in [("good-1", "true"), ("good-2", "true"), ("bad", "exit 3")] {
        let id = service.accepted(&demand(id, command)).await;
        service.ended(&id).await;
    }
    let waiting = service.accepted(&demand("waiting", "sleep 60")).await;
    service.until(&waiting, |look| look["steps"][0]["status"] == "RUNNING").await;

    let failed = "demand_executions_ended_total{status=\"FAILED\",reason=\"COMMAND_FAILED\"}";
    let mut metrics = scraped(&service).await;
    while !metrics.contains(failed) {
        metrics = scraped(&service).await;
    }
    for (series, expected) in [
        ("demand_ready{part=\"store\"}", 1.0),
        ("demand_ready{part=\"reconciler\"}", 1.0),
        ("demand_ready{part=\"engine\"}", 1.0),
        (concat!("demand_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
        ("demand_executions{phase=\"EXECUTING\"}", 1.0),
        ("demand_executions{phase=\"ACCEPTED\"}", 0.0),
        ("demand_jobs{status=\"RUNNING\"}", 1.0),
        ("demand_jobs{status=\"RUNNABLE\"}", 0.0),
        ("demand_executions_accepted_total", 4.0),
        ("demand_executions_ended_total{status=\"COMPLETED\",reason=\"none\"}", 2.0),
        ("demand_executions_ended_total{status=\"FAILED\",reason=\"COMMAND_FAILED\"}", 1.0),
        ("demand_phase_duration_seconds_count{phase=\"ACCEPTED\"}", 4.0),
        ("demand_submissions_total{step=\"execute\",outcome=\"submitted\"}", 4.0),
        ("demand_reconcile_queue_depth", 0.0),
        ("demand_reconcile_oldest_due_seconds", 0.0),
        ("demand_store_commit_failures_total", 0.0),
        ("demand_http_requests_total{method=\"POST\",route=\"/demands\",status=\"201\"}", 4.0),
        ("demand_http_requests_under_way", 1.0),
    ] {
        assert!((value(&metrics, series) - expected).abs() < 0.1, "{series}\n{metrics}");
    }
    for positive in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "demand_reconcile_lag_seconds_count",
        "demand_reconcile_observation_duration_seconds_count",
        "demand_store_read_duration_seconds_count",
        "demand_store_write_duration_seconds_count",
        "demand_store_commit_duration_seconds_sum",
        "demand_store_changes_total",
        "demand_http_request_duration_seconds_sum{route=\"/demands\"}",
    ] {
        assert!(value(&metrics, positive) > 0.0, "{positive}\n{metrics}");
    }
    service.post(&format!("/demands/{waiting}/cancel")).send().await.unwrap();
    service.ended(&waiting).await;
    let ended = "demand_executions_ended_total{status=\"ABORTED\",reason=\"CANCELED\"} 1";
    // It is counted once it is stored, and so may be read a moment before.
    let counted = async {
        while !scraped(&service).await.contains(ended) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap();
}

#[tokio::test]
async fn whatever_clients_send_makes_no_series() {
    let service = Service::start().await;
    let ask = async |method: &str, path: String| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", service.url);
        service.client.request(method, url).send().await.unwrap();
    };
    let send = async |round: usize| {
        for at in 0..40 {
            let at = 100 * round + at;
            ask("GET", format!("/demands/unknown-{at}")).await;
            ask("GET", format!("/nothing/here/{at}")).await;
            ask(&format!("BREW{at}"), "/demands".to_owned()).await;
            ask("GET", format!("/demands?user={at}&limit=1")).await;
            let mut many = demand(&format!("demand-{at}"), "true");
            many["execution_type"] = format!("type-{at}").into();
            many["execution_platform"]["aws_batch"]["job_queue_name"] = format!("q{at}").into();
            service.post("/demands/plan").json(&many).send().await.unwrap();
        }
    };
    send(1).await;
    let before = series(&scraped(&service).await);
    send(2).await;
    let after = series(&scraped(&service).await);
    let new: Vec<&String> = after.difference(&before).collect();
    // The first scrape is counted after it was answered.
    let of_scrapes = |name: &&&String| name.contains("/metrics");
    assert_eq!(new.iter().filter(|name| !of_scrapes(name)).count(), 0, "{new:#?}");
}

#[tokio::test]
async fn metrics_are_for_those_who_may_look() {
    let guarded = Guarded::start().await;
    let anonymous = guarded.service.get("/metrics").send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    let token = guarded.new_token("prometheus", &["demands:read"]).await;
    let scrape = guarded.service.get("/metrics").bearer_auth(token).send().await.unwrap();
    assert_eq!(scrape.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_poll_that_finds_nothing_new_is_a_304_without_a_body_and_writes_nothing() {
    let service = Service::start().await;
    let id = service.accepted(&demand("polled", "true")).await;
    let version = service.ended(&id).await["version"].to_string();
    let changes = async || value(&scraped(&service).await, "demand_store_changes_total");
    // A scrape asks whether the store can be written, by writing.
    let (first, before) = (changes().await, changes().await);
    let of_scrape = before - first;
    for _ in 0..50 {
        let poll = service.get("/demands/polled").header("If-None-Match", format!("\"{version}\""));
        let answer = poll.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
        assert!(answer.bytes().await.unwrap().is_empty());
    }
    let written = changes().await - before - of_scrape;
    assert!(written < 0.5, "{written} changes were stored");
}
