//! What client and service agree on beside the documents: representations, methods, origins.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::service::{Service, demand};

const ORIGIN: &str = "https://lab.example.org";

async fn service() -> Service {
    Service::start_with(&[("DEMAND_HTTP__CORS_ORIGINS", ORIGIN)]).await
}

#[tokio::test]
async fn who_accepts_nothing_that_is_to_be_had_is_told_before_anything_happens() {
    let service = service().await;
    let request = service.post("/demands").header("Accept", "text/html");
    let refused = request.json(&demand("html", "true")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_ACCEPTABLE);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "urn:demand:problem:not-acceptable");
    let looked = service.get("/demands/html").send().await.unwrap();
    assert_eq!(looked.status(), StatusCode::NOT_FOUND);
    for (accept, status) in [
        ("application/json;q=0", StatusCode::NOT_ACCEPTABLE),
        ("*/*;q=0.1", StatusCode::OK),
        ("text/html, application/*;q=0.5", StatusCode::OK),
        ("application/json;q=0, */*", StatusCode::NOT_ACCEPTABLE),
    ] {
        let listed = service.get("/demands").header("Accept", accept).send().await.unwrap();
        assert_eq!(listed.status(), status, "{accept}");
    }
}

#[tokio::test]
async fn documents_are_compressed_for_who_asks_and_their_tags_still_spare_the_next_answer() {
    let service = service().await;
    let id = service.accepted(&demand("packed", "true")).await;
    service.ended(&id).await;
    let path = format!("/demands/{id}");
    let packed = service.get(&path).header("Accept-Encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let tag = packed.headers()["etag"].clone();
    assert!(tag.to_str().unwrap().starts_with("W/"), "{tag:?}");
    assert!(packed.bytes().await.unwrap().starts_with(&[0x1f, 0x8b]));
    let again = service.get(&path).header("If-None-Match", tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn head_answers_what_get_would_without_its_body() {
    let service = service().await;
    let id = service.accepted(&demand("headed", "true")).await;
    service.ended(&id).await;
    let url = format!("{}/demands/{id}", service.url);
    let get = service.client.get(&url).send().await.unwrap();
    let head = service.client.head(&url).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    for name in ["etag", "content-type", "cache-control", "content-length"] {
        assert_eq!(head.headers().get(name), get.headers().get(name), "{name}");
    }
    assert_eq!(head.text().await.unwrap(), "");
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_what_they_need_and_others_nothing() {
    let service = service().await;
    let preflight = |origin: &'static str| {
        let url = format!("{}/demands", service.url);
        let request = service.client.request(Method::OPTIONS, url).header("Origin", origin);
        let asked = "authorization,content-type,if-none-match,last-event-id,idempotency-key";
        request
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", asked)
            .send()
    };
    let allowed = preflight(ORIGIN).await.unwrap();
    assert!(allowed.status().is_success());
    assert_eq!(allowed.headers()["access-control-allow-origin"], ORIGIN);
    let text = |name: &str| allowed.headers()[name].to_str().unwrap().to_lowercase();
    for name in ["authorization", "content-type", "if-none-match", "last-event-id"] {
        assert!(text("access-control-allow-headers").contains(name), "{name}");
    }
    let foreign = preflight("https://elsewhere.example.org").await.unwrap();
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));

    let got = service.get("/demands").header("Origin", ORIGIN).send().await.unwrap();
    assert_eq!(got.headers()["access-control-allow-origin"], ORIGIN);
    let exposed = got.headers()["access-control-expose-headers"].to_str().unwrap().to_lowercase();
    for name in ["etag", "location", "retry-after", "x-request-id"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
    let refused = service.get("/nowhere").header("Origin", ORIGIN).send().await.unwrap();
    assert_eq!(refused.headers()["access-control-allow-origin"], ORIGIN, "errors are read too");
}

#[tokio::test]
async fn a_query_that_cannot_be_understood_names_its_parameter() {
    let service = service().await;
    for (query, name) in [
        ("limit=many", "`limit`"),
        ("limit=0", "limit"),
        ("created_after=yesterday", "`created_after`"),
        ("status=DONE", "`status"),
        ("colour=red", "colour"),
        ("cursor=%00", "cursor"),
    ] {
        let refused = service.get(&format!("/demands?{query}")).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{query}");
        let problem: Value = refused.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(name), "{query}: {problem}");
    }
}

#[tokio::test]
async fn every_error_is_a_problem_with_the_requests_id() {
    let service = service().await;
    for (method, path, status) in [
        (Method::GET, "/nowhere", StatusCode::NOT_FOUND),
        (Method::DELETE, "/demands", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/demands", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Method::GET, "/demands/x?wait=51", StatusCode::BAD_REQUEST),
    ] {
        let request = service.client.request(method, format!("{}{path}", service.url));
        let refused = request.header("X-Request-Id", "mine-1").send().await.unwrap();
        assert_eq!(refused.status(), status, "{path}");
        assert_eq!(refused.headers()["x-request-id"], "mine-1");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["request_id"], "mine-1");
        assert_eq!(problem["status"], status.as_u16());
    }
}

#[tokio::test]
async fn the_page_of_the_documentation_needs_no_other_host() {
    let service = service().await;
    let page = service.get("/docs/").header("Accept", "text/html").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();
    let parts: Vec<&str> = page
        .split(['"', '\''])
        .filter(|part| part.rsplit_once('.').is_some_and(|(_, end)| matches!(end, "js" | "css")))
        .collect();
    assert!(parts.len() >= 3, "{page}");
    for part in parts {
        assert!(!part.contains("//"), "{part}");
        let path = format!("/docs/{}", part.trim_start_matches("./"));
        let got = service.get(&path).send().await.unwrap();
        assert_eq!(got.status(), StatusCode::OK, "{path}");
        let text = got.text().await.unwrap();
        if path.contains("initializer") {
            assert!(text.contains("/openapi.json"), "{text}");
        }
    }
    let bare = service.get("/docs").send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::OK, "it leads to the page");
}

#[tokio::test]
async fn ids_are_taken_with_commas_and_one_by_one() {
    let service = Service::start().await;
    for id in ["one", "two", "three"] {
        let id = service.accepted(&demand(id, "true")).await;
        service.ended(&id).await;
    }
    for (query, expected) in [
        ("ids=one,three", ["three", "one"].as_slice()),
        ("ids=one&ids=three", &["three", "one"]),
        ("ids=one,two&ids=three,four", &["three", "two", "one"]),
        ("ids=four", &[]),
        ("ids=", &[]),
    ] {
        let listed = service.get(&format!("/demands?{query}")).send().await.unwrap();
        let page: Value = listed.json().await.unwrap();
        let ids: Vec<&str> = page["demands"]
            .as_array()
            .unwrap_or_else(|| panic!("{page:#}"))
            .iter()
            .map(|demand| demand["execution_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{query}");
    }
    let many: Vec<String> = (0..101).map(|number| format!("demand-{number}")).collect();
    let refused = service.get(&format!("/demands?ids={}", many.join(","))).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}
