//! The examples of the OpenAPI document: requests that the service takes and what it answered to
//! them. They are files in `openapi/examples`; the tests of `http` send the requests and compare.

use serde_json::Value;
use utoipa::openapi::content::Content;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, RefOr};

use super::accept::{EVENT_STREAM, JSON};
use super::problem::PROBLEM_JSON;

/// One example of a body.
struct Shown {
    operation: &'static str,
    /// The status code of the answer, or nothing for a request.
    status: Option<&'static str>,
    name: &'static str,
    summary: &'static str,
    json: &'static str,
}

macro_rules! shown {
    ($operation:literal, $status:expr, $name:literal, $summary:literal) => {
        Shown {
            operation: $operation,
            status: $status,
            name: $name,
            summary: $summary,
            json: include_str!(concat!("../../openapi/examples/", $name, ".json")),
        }
    };
}

const BODIES: &[Shown] = &[
    shown!("submitDemand", None, "demand", "An input, a command, an output"),
    shown!("submitDemand", None, "short-demand", "No more than is needed"),
    shown!("submitDemand", Some("201"), "accepted", "Stored"),
    shown!("submitDemand", Some("200"), "completed", "Stored before, and done meanwhile"),
    shown!("planDemand", None, "demand", "An input, a command, an output"),
    shown!("planDemand", Some("200"), "plan", "On AWS"),
    shown!("listDemands", Some("200"), "list", "The first page"),
    shown!("getDemand", Some("200"), "completed", "Done"),
    shown!("getDemand", Some("200"), "failed", "Failed, and why"),
    shown!("cancelDemand", Some("202"), "canceling", "While its command runs"),
    shown!("retryDemand", None, "retry", "After the first attempt"),
    shown!("retryDemand", Some("202"), "retried", "The second attempt begins"),
    shown!("listDemandEvents", Some("200"), "events", "From the beginning"),
    shown!("getDemandPlan", Some("200"), "plan", "On AWS"),
    shown!("getDemandLogs", Some("200"), "logs", "What a command wrote"),
    shown!("getLiveness", Some("200"), "live", "It lives"),
    shown!("getReadiness", Some("200"), "ready", "All parts are ready"),
    shown!("getReadiness", Some("503"), "unready", "A part is not"),
    shown!("getOpenApi", Some("200"), "openapi", "Its first members"),
];

const METRICS_TYPE: &str = "application/openmetrics-text";

/// Problems by operation and status code: `{"getDemand": {"404": …}, "*": {…}}`, the last for
/// operations that have none of their own.
const PROBLEMS: &str = include_str!("../../openapi/examples/problems.json");

/// Some of what `/metrics` answers.
const METRICS: &str = "# HELP demand_executions Demands under way, by phase.
# TYPE demand_executions gauge
demand_executions{phase=\"EXECUTING\"} 3
# EOF
";

/// The summary of a problem's example.
const PROBLEM: &str = "What is wrong, and what to do";

/// Gives the operations their examples.
pub(super) fn show(document: &mut OpenApi) {
    let problems: Value = serde_json::from_str(PROBLEMS).unwrap_or_default();
    for (path, item) in &mut document.paths.paths {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            show_bodies(operation);
            show_problems(operation, path, &problems);
        }
    }
}

fn show_bodies(operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    if let Some(text) = content(operation, "200", METRICS_TYPE) {
        add(text, "metrics", "One of the metrics", METRICS.into());
    }
    for shown in BODIES.iter().filter(|shown| shown.operation == id) {
        let value: Value = serde_json::from_str(shown.json).unwrap_or_default();
        if let (Some(live), Some("200")) = (content(operation, "200", EVENT_STREAM), shown.status) {
            add(live, shown.name, shown.summary, as_stream(&value).into());
        }
        let body = match (shown.status, &mut operation.request_body) {
            (Some(status), _) => content(operation, status, JSON),
            (None, Some(RefOr::T(body))) => body.content.get_mut(JSON).and_then(here),
            (None, _) => None,
        };
        if let Some(body) = body {
            add(body, shown.name, shown.summary, value);
        }
    }
}

fn show_problems(operation: &mut Operation, path: &str, problems: &Value) {
    let own = operation.operation_id.as_deref().map(|id| &problems[id]);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let Some(body) = response.content.get_mut(PROBLEM_JSON).and_then(here) else { continue };
        let problem = own.and_then(|own| own.get(status)).or_else(|| problems["*"].get(status));
        if let Some(problem) = problem {
            let mut problem = problem.clone();
            problem["instance"] = path.replace("{execution_id}", "shout-1").into();
            add(body, "problem", PROBLEM, problem);
        }
    }
}

/// The body of an answer of this status and media type.
fn content<'a>(
    operation: &'a mut Operation,
    status: &str,
    media_type: &str,
) -> Option<&'a mut Content> {
    here(operation.responses.responses.get_mut(status)?)?.content.get_mut(media_type).and_then(here)
}

/// What stands in its place, and is not referred to.
fn here<T>(part: &mut RefOr<T>) -> Option<&mut T> {
    match part {
        RefOr::T(part) => Some(part),
        RefOr::Ref(_) => None,
    }
}

fn add(body: &mut Content, name: &str, summary: &str, value: Value) {
    let example = ExampleBuilder::new().summary(summary).value(Some(value)).build();
    body.examples.insert(name.to_owned(), RefOr::T(example));
}

/// The first entries of a history as a stream tells them.
fn as_stream(history: &Value) -> String {
    let entries = history["events"].as_array().into_iter().flatten().take(3);
    let told = entries.map(|entry| format!("id: {}\ndata: {entry}\n\n", entry["seq"]));
    told.collect::<Vec<_>>().concat()
}
