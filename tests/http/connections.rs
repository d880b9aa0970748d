//! Peers that are slow, gone, or in a hurry, and others that must not notice.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::service::{Service, demand};

async fn connect(service: &Service) -> TcpStream {
    let address = service.url.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

fn head(service: &Service, request_line: &str) -> String {
    let host = service.url.strip_prefix("http://").unwrap();
    format!("{request_line} HTTP/1.1\r\nHost: {host}\r\n")
}

#[tokio::test]
async fn slow_and_silent_peers_do_not_hold_up_others() {
    let service = Service::start().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(&service).await;
        stream.write_all(b"GET /dem").await.unwrap();
        slow.push(stream);
    }
    let mut sender = connect(&service).await;
    let announced = head(&service, "POST /demands")
        + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    sender.write_all(announced.as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        // A byte a second, for as long as the others are served.
        while sender.write_all(b" ").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    for n in 0..20 {
        let begun = Instant::now();
        let id = service.accepted(&demand(&format!("brisk-{n}"), "true")).await;
        let looked = service.get(&format!("/demands/{id}")).send().await.unwrap();
        assert_eq!(looked.status(), StatusCode::OK);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    dripping.abort();
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let service = Service::start().await;
    let mut stream = connect(&service).await;
    let one = head(&service, "GET /health/live") + "\r\n";
    let two = head(&service, "GET /demands/nobody") + "\r\n";
    let three = head(&service, "GET /demands?limit=1") + "Connection: close\r\n\r\n";
    stream.write_all((one + &two + &three).as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    let at = |text: &str| answers.find(text).unwrap_or_else(|| panic!("{text} in {answers}"));
    assert!(at("\"live\"") < at("urn:demand:problem:unknown-demand"));
    assert!(at("urn:demand:problem:unknown-demand") < at("\"demands\":[]"));
}

#[tokio::test]
async fn a_query_of_ten_thousand_characters_is_read_and_a_head_without_end_is_refused() {
    let service = Service::start().await;
    let long = format!("/demands?user={}", "u".repeat(10_000));
    assert_eq!(service.get(&long).send().await.unwrap().status(), StatusCode::OK);
    let mut stream = connect(&service).await;
    let endless = head(&service, "GET /demands") + "X: " + &"x".repeat(200_000) + "\r\n\r\n";
    // It may be answered and closed before all of it is sent.
    let _ = stream.write_all(endless.as_bytes()).await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let live = service.get("/health/live").send().await.unwrap();
    assert_eq!(live.status(), StatusCode::OK);
}

#[tokio::test]
async fn connections_that_do_nothing_make_room_for_those_that_come() {
    // Eight connections are held at once.
    let service = Service::start_with(&[("DEMAND_HTTP__MAX_CONCURRENCY", "2")]).await;
    let mut idle = Vec::new();
    for number in 0..8 {
        let mut connection = connect(&service).await;
        // Some have asked before, some never have.
        if number % 2 == 0 {
            let request = head(&service, "GET /health/live") + "\r\n";
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            connection.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
        idle.push(connection);
    }
    for _ in 0..20 {
        let fresh = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let asked = fresh.get(format!("{}/health/live", service.url)).send();
        let answer = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
    }
}
