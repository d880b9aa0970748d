//! Traces, as a collector gets them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::service::{Service, demand, eventually};

/// A collector on loopback, and the spans it was sent.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    async fn start() -> Self {
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let kept = Arc::clone(&spans);
        let take = move |body: Bytes| async move {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
            kept.lock().unwrap().extend(scopes.flat_map(|it| it.spans));
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, spans }
    }

    /// The spans of a trace by their names.
    fn of(&self, trace_id: &str) -> HashMap<String, Vec<Span>> {
        let mut named: HashMap<String, Vec<Span>> = HashMap::new();
        for span in self.spans.lock().unwrap().iter() {
            if hex(&span.trace_id) == trace_id {
                named.entry(span.name.clone()).or_default().push(span.clone());
            }
        }
        named
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

async fn service(collector: &Collector) -> Service {
    let delay = ("OTEL_BSP_SCHEDULE_DELAY", "50");
    Service::start_with(&[("DEMAND_TRACES__ENDPOINT", &collector.url), delay]).await
}

#[tokio::test]
async fn a_demand_is_one_trace_from_its_request_to_its_end_across_a_restart() {
    let collector = Collector::start().await;
    let mut service = service(&collector).await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let sent = service
        .post("/demands")
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))
        .json(&demand("traced", "while [ ! -e ../go ]; do sleep 0.02; done"))
        .send();
    assert_eq!(sent.await.unwrap().status(), 201);
    let running = service.until("traced", |look| look["phase"] == "EXECUTING").await;
    assert_eq!(service.stop().await, Some(0));
    service.start_again().await;
    let go = service.site.working_directory("traced").parent().unwrap().join("go");
    std::fs::write(go, "").unwrap();
    let ended = service.ended("traced").await;
    assert_eq!(ended["status"], "COMPLETED", "{ended:#}");
    eventually("the last span", || collector.of(trace_id).contains_key("demand")).await;

    let spans = collector.of(trace_id);
    let request = &spans["POST /demands"][0];
    assert_eq!(hex(&request.parent_span_id), "00f067aa0ba902b7", "it goes on with the sender's");
    // One that was put off is there more than once.
    assert!(spans["submit"].len() >= running["steps"].as_array().unwrap().len());
    for name in ["submit", "execute", "wrap_up", "demand"] {
        for span in &spans[name] {
            assert_eq!(hex(&span.parent_span_id), hex(&request.span_id), "{name}");
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{name}");
            let is_named = span.attributes.iter().any(|attribute| {
                attribute.key == "execution.id" && format!("{attribute:?}").contains("traced")
            });
            assert!(is_named, "{name}: {:?}", span.attributes);
        }
    }
    let whole = &spans["demand"][0];
    assert!(whole.start_time_unix_nano <= spans["execute"][0].start_time_unix_nano);
    assert!(whole.end_time_unix_nano >= spans["wrap_up"][0].end_time_unix_nano);
}

#[tokio::test]
async fn a_failure_is_one_in_the_trace_too_and_a_collector_that_is_gone_harms_nothing() {
    let collector = Collector::start().await;
    let service = service(&collector).await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let sent = service
        .post("/demands")
        .header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"))
        .json(&demand("failing", "exit 3"))
        .send();
    assert_eq!(sent.await.unwrap().status(), 201);
    service.ended("failing").await;
    eventually("the last span", || collector.of(trace_id).contains_key("demand")).await;
    for name in ["execute", "demand"] {
        let status = collector.of(trace_id)[name][0].status.clone().unwrap();
        assert_eq!(status.code, 2, "{name}: {status:?}");
    }

    let nowhere = Service::start_with(&[("DEMAND_TRACES__ENDPOINT", "http://127.0.0.1:9")]).await;
    let id = nowhere.accepted(&demand("untraced", "true")).await;
    assert_eq!(nowhere.ended(&id).await["status"], "COMPLETED");
}
