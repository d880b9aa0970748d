//! A site and a demand to vary.

use demand_context_manager::{
    demand::{Demand, Faults},
    plan::{self, Plan, Site},
};
use serde_json::{Value, json};

/// One file system with access points `scratch`, `shared` and `tmp`.
pub fn site_json() -> Value {
    let access_point = |name: &str, id: &str| {
        json!({
            "AccessPointId": id, "FileSystemId": "fs-00000001", "Name": name,
            "RootDirectory": {"Path": format!("/{name}")},
            "Tags": [{"Key": "env_base", "Value": "dev"}],
        })
    };
    json!({
        "env_base": "dev",
        "region": "us-west-2",
        "catalog": {
            "file_systems": [{
                "FileSystemId": "fs-00000001", "Name": "dev-efs",
                "Tags": [{"Key": "env_base", "Value": "dev"}],
            }],
            "access_points": [
                access_point("scratch", "fsap-00000001"),
                access_point("shared", "fsap-00000002"),
                access_point("tmp", "fsap-00000003"),
            ],
        },
    })
}

pub fn site() -> Site {
    site_with(json!({}))
}

/// The site with members of `more` over its own.
pub fn site_with(more: Value) -> Site {
    let mut site = site_json();
    merge(&mut site, more);
    serde_json::from_value(site).unwrap()
}

/// Two inputs, one with a filter, and an output.
pub fn demand_json() -> Value {
    json!({
        "execution_id": "run-1",
        "execution_type": "align",
        "execution_image": "ghcr.io/acme/align:1.2",
        "execution_parameters": {
            "command": ["align", "${READS}", "-o", "${OUT}"],
            "params": {
                "reads": "s3://data-bucket/reads/ @ reads",
                "genome": {"local": "genome", "remote": "s3://data-bucket/hg38/", "exclude": ".*\\.tmp"},
                "out": "out",
                "threads": 8,
            },
            "inputs": ["reads", "genome"],
            "outputs": ["out"],
            "output_s3_prefix": "s3://out-bucket/run-1",
        },
        "execution_platform": {"aws_batch": {"job_queue_name": "q1"}},
        "execution_metadata": {"user": "ana", "tags": {"project": "p1"}},
    })
}

/// The demand with members of `more` over its own; `null` takes a member away.
pub fn demand_with(more: Value) -> Value {
    let mut demand = demand_json();
    merge(&mut demand, more);
    demand
}

/// The demand with these parameters, all of its others gone.
pub fn params(params: Value, inputs: &[&str], outputs: &[&str]) -> Value {
    let mut demand = demand_json();
    let parameters = &mut demand["execution_parameters"];
    parameters["params"] = params;
    parameters["inputs"] = json!(inputs);
    parameters["outputs"] = json!(outputs);
    demand
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, more) => *into = more,
    }
}

pub fn plan(request: &Value) -> Result<Plan, Faults> {
    plan_on(request, &site())
}

pub fn plan_on(request: &Value, site: &Site) -> Result<Plan, Faults> {
    plan::plan(&Demand::parse(request)?, site)
}

/// `pointer code` of every fault, sorted.
pub fn faults(request: &Value) -> Vec<String> {
    faults_on(request, &site())
}

pub fn faults_on(request: &Value, site: &Site) -> Vec<String> {
    let Err(faults) = plan_on(request, site) else { return Vec::new() };
    let mut told: Vec<String> = faults
        .into_vec()
        .into_iter()
        .map(|fault| {
            let code = serde_json::to_value(fault.code).unwrap();
            format!("{} {}", fault.pointer, code.as_str().unwrap())
        })
        .collect();
    told.sort();
    told
}
