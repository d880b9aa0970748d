//! Which requests have the same content.

use demand_context_manager::demand::Demand;
use serde_json::{Value, json};

use super::sample::{demand_json, demand_with};

fn hash(request: &Value) -> String {
    Demand::parse(request).unwrap().content_hash().to_owned()
}

#[test]
fn order_envelope_and_spelling_do_not_matter() {
    let bare = demand_json();
    let reversed = Value::Object(bare.as_object().unwrap().clone().into_iter().rev().collect());
    assert_eq!(hash(&bare), hash(&reversed));
    assert_eq!(hash(&bare), hash(&json!({"demand_execution": bare})));
    let mut camel = demand_json();
    let moved = camel.as_object_mut().unwrap().remove("execution_platform").unwrap();
    camel["executionPlatform"] = json!({"awsBatch": moved["aws_batch"]});
    assert_eq!(hash(&bare), hash(&camel));
    let with_unknown = demand_with(json!({"unknown": 1, "execution_id": "another"}));
    assert_eq!(hash(&bare), hash(&with_unknown));
}

#[test]
fn siblings_count_in_either_shape() {
    let mut bare = demand_json();
    bare["context_manager_configuration"] = json!({"isolate_inputs": false});
    let wrapped = json!({
        "demand_execution": demand_json(),
        "contextManagerConfiguration": {"isolateInputs": false},
    });
    assert_eq!(hash(&bare), hash(&wrapped));
    assert_ne!(hash(&bare), hash(&demand_json()));
}

#[test]
fn other_content_has_another_hash() {
    let plain = hash(&demand_json());
    for change in [
        json!({"execution_image": "other"}),
        json!({"execution_parameters": {"params": {"threads": 9}}}),
        json!({"execution_parameters": {"params": {"threads": "8"}}}),
        json!({"resource_requirements": {"vcpus": 0}}),
        json!({"execution_parameters": {"verbosity": false}}),
    ] {
        assert_ne!(hash(&demand_with(change.clone())), plain, "{change}");
    }
}
