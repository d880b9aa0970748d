//! Histories told live.

use std::fs;
use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::service::{Service, demand};

async fn stream(service: &Service, id: &str, last: Option<&str>) -> Response {
    let mut request = service.get(&format!("/demands/{id}/events"));
    request = request.header("Accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    request.send().await.unwrap()
}

/// The events of a stream up to its end or to `most`: id and data.
async fn events(mut response: Response, most: usize) -> Vec<(String, Value)> {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    loop {
        let events: Vec<(String, Value)> = text
            .split_inclusive("\n\n")
            .filter(|event| event.ends_with("\n\n") && !event.starts_with(':'))
            .map(|event| {
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned()
                };
                (field("id: "), serde_json::from_str(&field("data: ")).unwrap())
            })
            .collect();
        if events.len() >= most {
            return events;
        }
        match response.chunk().await.unwrap() {
            Some(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            None => return events,
        }
    }
}

#[tokio::test]
async fn a_stream_tells_what_happens_as_it_happens_and_ends_with_the_demand() {
    let service = Service::start().await;
    let go = service.site.directory().join("go");
    let command = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    let id = service.accepted(&demand("told", &command)).await;
    let first = events(stream(&service, &id, None).await, 2).await;
    assert_eq!(first[0].1["type"], "accepted");
    // Broken off and resumed: nothing is lost, nothing is told twice.
    let resumed = stream(&service, &id, Some(&first[1].0)).await;
    service.until(&id, |document| document["steps"][0]["status"] == "RUNNING").await;
    let latest = service.events(&id).await.last().unwrap()["seq"].to_string();
    let quiet = timeout(Duration::from_secs(20), stream(&service, &id, Some(&latest))).await;
    assert_eq!(quiet.expect("it is answered before anything happens").status(), StatusCode::OK);
    fs::write(&go, "").unwrap();
    let rest = events(resumed, usize::MAX).await;
    let told: Vec<Value> = first.into_iter().take(2).chain(rest).map(|(_, data)| data).collect();
    service.ended(&id).await;
    let listed = service.events(&id).await;
    assert_eq!(told[..], listed[..told.len()]);
    assert!(told.iter().any(|entry| entry["type"] == "phase" && entry["to"] == "DONE"));
    let ids: Vec<i64> = told.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=i64::try_from(told.len()).unwrap()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_with_nothing_to_follow_says_so() {
    let service = Service::start().await;
    let id = service.accepted(&demand("over", "true")).await;
    service.ended(&id).await;
    let all = service.events(&id).await;
    let last = all.last().unwrap()["seq"].to_string();
    let response = stream(&service, &id, Some(&last)).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let told = events(stream(&service, &id, None).await, usize::MAX).await;
    assert_eq!(told.len(), all.len());
    let bad = stream(&service, &id, Some("seven")).await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    let unknown = stream(&service, "nobody", None).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_service_that_stops_ends_its_streams() {
    let mut service = Service::start().await;
    let id = service.accepted(&demand("cut-off", "sleep 600")).await;
    let response = stream(&service, &id, None).await;
    let reading = tokio::spawn(events(response, usize::MAX));
    assert_eq!(service.stop().await, Some(0));
    assert!(!reading.await.unwrap().is_empty());
}
