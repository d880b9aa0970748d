//! The OpenAPI document: committed, true, and fit to build clients on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a test's report")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use demand_context_manager::http::document;
use serde_json::{Value, json};

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json")
}

fn built() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{method} {path}"), operation.clone()))
        })
        .collect()
}

#[test]
fn the_committed_document_is_the_one_the_code_makes() {
    let read = std::fs::read_to_string(committed()).unwrap_or_default();
    let committed: Value = serde_json::from_str(&read).unwrap_or_default();
    assert!(
        committed == built(),
        "openapi/openapi.json has drifted; `cargo run -- openapi > openapi/openapi.json` renews it"
    );
}

#[test]
fn it_says_what_it_is() {
    let document = built();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(!document["info"]["title"].as_str().unwrap().is_empty());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_operation_is_named_tagged_and_described_once() {
    let document = built();
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut ids = BTreeSet::new();
    for (place, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} names two operations");
        assert!(operation["summary"].is_string(), "{place} has no summary");
        for tag in operation["tags"].as_array().unwrap() {
            assert!(tags.contains(tag.as_str().unwrap()), "{place}: {tag} is not described");
        }
    }
}

#[test]
fn every_error_answer_is_a_problem_document() {
    for (place, operation) in operations(&built()) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let is_error = status.starts_with(['4', '5']);
            // Readiness tells which part is not ready.
            if is_error && place != "get /health/ready" {
                let content = response["content"].as_object().unwrap();
                assert!(content.contains_key("application/problem+json"), "{place} {status}");
            }
        }
    }
}

#[test]
fn every_operation_that_asks_who_calls_says_which_scope_it_needs_and_what_is_refused_without() {
    let document = built();
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    for (place, operation) in operations(&document) {
        let asks_who_calls = operation["tags"][0] == "demands" || place == "get /metrics";
        let scope = if place.starts_with("get ") { "demands:read" } else { "demands:write" };
        let expected = if asks_who_calls { json!([{"bearer": [scope]}]) } else { json!([]) };
        assert_eq!(operation["security"], expected, "{place}");
        for status in ["401", "403"].iter().filter(|_| asks_who_calls) {
            assert!(operation["responses"][status].is_object(), "{place} {status}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    if let (true, Some(target)) = (key == "$ref", member.as_str()) {
                        found.push(target.to_owned());
                    }
                    references(member, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = built();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    }
}

#[test]
fn every_body_has_an_example_and_every_parameter_a_description() {
    for (place, operation) in operations(&built()) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for parameter in parameters {
            assert!(parameter["description"].is_string(), "{place}: {}", parameter["name"]);
        }
        let request = [&operation["requestBody"]].into_iter().filter(|body| !body.is_null());
        let answers = operation["responses"].as_object().unwrap().values();
        for body in request.chain(answers) {
            for (media_type, content) in body["content"].as_object().into_iter().flatten() {
                let examples = content["examples"].as_object();
                let shown = examples.into_iter().flatten().map(|(_, example)| &example["value"]);
                let told: Vec<&Value> = shown.filter(|value| !value.is_null()).collect();
                assert!(!told.is_empty(), "{place}: {} as {media_type}", body["description"]);
            }
        }
    }
}

#[test]
fn every_shape_and_each_of_its_members_is_described() {
    for (name, schema) in built()["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name}");
        for (member, shape) in schema["properties"].as_object().into_iter().flatten() {
            // What may be null has its description beside it.
            let of_either = shape["oneOf"].as_array().into_iter().flatten();
            let is_described = [shape].into_iter().chain(of_either).any(|shape| {
                assert!(shape["properties"].is_null(), "{name}.{member} has no name of its own");
                shape["description"].is_string()
            });
            assert!(is_described, "{name}.{member}");
        }
    }
}
