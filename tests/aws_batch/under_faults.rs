//! Exactly one job a step, whatever happens to the calls that submit them and to the service.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use demand_context_manager::run::state::Status;
use tempfile::TempDir;

use crate::endpoint::Endpoint;
use crate::proxy::{Fault, Proxy};
use crate::service::{Service, often};

const DEMANDS: usize = 60;

/// Two submissions in three go wrong, each in one of many ways; other calls are throttled at times.
fn dice(path: &str) -> Fault {
    let throttle =
        Fault::Answer(429, r#"{"__type": "TooManyRequestsException", "message": "slower"}"#);
    if path != "/v1/submitjob" {
        return if fastrand::u8(..10) == 0 { throttle } else { Fault::None };
    }
    match fastrand::u8(..18) {
        0 | 1 => throttle,
        2 | 3 => Fault::Answer(500, r#"{"__type": "ServerException", "message": "oops"}"#),
        4 => Fault::Replace(500, r#"{"__type": "ServerException", "message": "oops"}"#),
        5 | 6 => Fault::DropAfter,
        7 => Fault::DropBefore,
        8 => Fault::Replace(200, "<html>"),
        9 => Fault::Replace(504, ""),
        10 => Fault::Delay(Duration::from_secs(1)),
        _ => Fault::None,
    }
}

fn one_job_a_step(endpoint: &Endpoint) {
    let inside = endpoint.inside();
    let mut names: HashMap<&str, usize> = HashMap::new();
    for job in &inside.jobs {
        *names.entry(job["jobName"].as_str().unwrap()).or_default() += 1;
        assert_eq!(job["status"], "SUCCEEDED");
    }
    let twice: Vec<_> = names.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "submitted more than once: {twice:?}");
    assert_eq!(names.len(), 3 * DEMANDS, "none is missing");
}

/// Every demand has contents of its own but for the workers', which are all of one. A service that
/// dies while it registers one may register it again, since the call has no token; it does no harm.
fn one_revision_a_content(endpoint: &Endpoint) {
    let inside = endpoint.inside();
    let revisions: HashSet<&str> =
        inside.definitions.iter().map(|it| it["jobDefinitionArn"].as_str().unwrap()).collect();
    assert_eq!(revisions.len(), inside.definitions.len());
    let contents: HashSet<String> =
        inside.definitions.iter().map(|it| it["tags"].to_string()).collect();
    assert_eq!(contents.len(), inside.definitions.len(), "no content has two revisions");
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_submissions_neither_lose_nor_double_a_job() {
    let endpoint = Endpoint::start().await;
    let proxy = Proxy::before(&endpoint.url, dice).await;
    let directory = TempDir::new().unwrap();
    let service = Service::start(&directory.path().join("db"), &proxy.url, often()).await;
    for number in 0..DEMANDS {
        service.accept(&format!("demand-{number}")).await;
    }
    for number in 0..DEMANDS {
        let ended = service.ended(&format!("demand-{number}")).await;
        assert_eq!(ended.state.status(), Status::Completed, "{:?}", ended.state.reason);
    }
    one_job_a_step(&endpoint);
    one_revision_a_content(&endpoint);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_dies_again_and_again_while_it_submits_submits_each_job_once() {
    let endpoint = Endpoint::start().await;
    // Answers take a moment, so that some calls are under way at each death.
    let proxy = Proxy::before(&endpoint.url, |_| Fault::Delay(Duration::from_millis(30))).await;
    let directory = TempDir::new().unwrap();
    let database = directory.path().join("db");
    let mut service = Service::start(&database, &proxy.url, often()).await;
    for number in 0..DEMANDS {
        service.accept(&format!("demand-{number}")).await;
    }
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..400))).await;
        service.die().await;
        service = Service::start(&database, &proxy.url, often()).await;
    }
    for number in 0..DEMANDS {
        let ended = service.ended(&format!("demand-{number}")).await;
        assert_eq!(ended.state.status(), Status::Completed, "{:?}", ended.state.reason);
    }
    one_job_a_step(&endpoint);
    service.stop().await;
}
