//! Requests as large as a body may be take no more than linear work, or little more.

use std::time::{Duration, Instant};

use demand_context_manager::demand::{Demand, s3::S3Path};
use serde_json::{Map, Value, json};

use super::sample::{params, plan};

/// Far more than is needed, far less than what quadratic work would take.
const ENOUGH: Duration = Duration::from_secs(20);

#[test]
fn many_parameters_inputs_and_pairs_are_no_burden() {
    let names: Vec<String> = (0..10_000).map(|n| format!("p{n}")).collect();
    let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
    let values: Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!("s3://bbb/k @ a"))).collect();
    let mut request = params(Value::Object(values), &inputs, &[]);
    let mentions: Vec<String> = names.iter().map(|name| format!("${name}")).collect();
    request["execution_parameters"]["command"] = json!(mentions);
    let pairs: Vec<Value> = names.iter().map(|name| json!({"input": name})).collect();
    request["execution_parameters"]["param_pairs"] = json!(pairs);
    request["context_manager_configuration"] = json!({"cleanup_working_dir": false});
    let start = Instant::now();
    let faults = plan(&request).unwrap_err();
    assert!(faults.to_string().contains("AWS Batch takes"), "{faults}");
    request["execution_type"] = json!(1);
    assert!(Demand::parse(&request).is_err());
    assert!(start.elapsed() < ENOUGH, "{:?}", start.elapsed());
}

#[test]
fn unfinished_references_are_no_burden() {
    let text = "${".repeat(60_000);
    let start = Instant::now();
    assert!(Demand::parse(&params(json!({"a": text}), &[], &[])).is_ok());
    assert!(start.elapsed() < ENOUGH, "{:?}", start.elapsed());
}

#[test]
fn long_keys_are_no_burden() {
    let key = "a!/".repeat(300_000);
    let start = Instant::now();
    let path = S3Path::parse(&format!("s3://bucket/{key}\u{e9}#")).unwrap();
    assert_eq!(path.bucket(), "bucket");
    assert!(path.key().ends_with("é#"));
    assert!(start.elapsed() < ENOUGH, "{:?}", start.elapsed());
}
