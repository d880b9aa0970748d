//! What an operator allows: each rule refuses what it does not name, with its name and the place.

#![allow(clippy::unwrap_used, reason = "in a test's own functions it fails the test, as it should")]

use demand_context_manager::demand::{Demand, Fault, Faults};
use demand_context_manager::plan::{Site, plan};
use demand_context_manager::policy::{Allowed, Policy, Rules};
use serde_json::{Value, json};

fn site() -> Site {
    let access_point = |name: &str, id: &str| {
        json!({
            "AccessPointId": id, "FileSystemId": "fs-00000001", "Name": name,
            "RootDirectory": {"Path": format!("/{name}")},
            "Tags": [{"Key": "env_base", "Value": "dev"}],
        })
    };
    serde_json::from_value(json!({
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
            ],
        },
    }))
    .unwrap()
}

fn demand() -> Value {
    json!({
        "execution_id": "run-1",
        "execution_type": "align",
        "execution_image": "ghcr.io/lab/align:1.2",
        "execution_parameters": {
            "command": ["align"],
            "params": {
                "bucket": "lab-data",
                "reads": "s3://${BUCKET}/reads/",
                "out": "out @ s3://lab-results/run-1",
            },
            "inputs": ["reads"],
            "outputs": ["out"],
        },
        "execution_platform": {
            "aws_batch": {"job_queue_name": "lab-gpu", "job_role": "arn:aws:iam::1:role/lab/align"},
        },
    })
}

fn names(globs: &[&str]) -> Allowed {
    Allowed::names(globs.iter().map(|glob| (*glob).to_owned()).collect()).unwrap()
}

fn paths(globs: &[&str]) -> Allowed {
    Allowed::paths(globs.iter().map(|glob| (*glob).to_owned()).collect()).unwrap()
}

fn faults(policy: &Policy, request: &Value) -> Vec<Fault> {
    let demand = Demand::parse(request).unwrap();
    let plan = plan(&demand, &site()).unwrap();
    policy.check(&demand, &plan).err().map(Faults::into_vec).unwrap_or_default()
}

fn under(rules: Rules, request: &Value) -> Vec<Fault> {
    faults(&Policy { rules, ..Policy::default() }, request)
}

/// Rules that name nothing of the demand's.
fn elsewhere() -> Rules {
    Rules {
        job_queues: names(&["other"]),
        images: paths(&["ghcr.io/other"]),
        job_roles: names(&["arn:aws:iam::2:*"]),
        input_prefixes: paths(&["s3://lab-results"]),
        output_prefixes: paths(&["s3://lab-data"]),
    }
}

#[test]
fn without_rules_everything_is_allowed() {
    assert_eq!(under(Rules::default(), &demand()), []);
}

#[test]
fn every_rule_broken_is_told_at_once_with_its_name_and_the_place() {
    let told: Vec<(String, String)> = under(elsewhere(), &demand())
        .into_iter()
        .map(|fault| {
            assert_eq!(serde_json::to_value(fault.code).unwrap(), "not_allowed");
            let rule = fault.detail.split("policy.").nth(1).unwrap();
            (fault.pointer, rule.split(',').next().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("/execution_platform/aws_batch/job_queue_name", "job_queues"),
        ("/execution_image", "images"),
        ("/execution_platform/aws_batch/job_role", "job_roles"),
        ("/execution_parameters/params/reads", "input_prefixes"),
        ("/execution_parameters/params/out", "output_prefixes"),
    ];
    let told: Vec<(&str, &str)> = told.iter().map(|(at, rule)| (&**at, &**rule)).collect();
    assert_eq!(told, expected);
}

#[test]
fn places_are_those_of_the_request_as_it_was_sent() {
    let mut sent = demand();
    let platform = json!({"awsBatch": {"jobQueueName": "lab-gpu"}});
    sent.as_object_mut().unwrap().remove("execution_platform");
    sent["executionPlatform"] = platform;
    let wrapped = json!({"demand_execution": sent});
    let told = under(elsewhere(), &wrapped);
    assert_eq!(told[0].pointer, "/demand_execution/executionPlatform/awsBatch/jobQueueName");
    assert_eq!(told[1].pointer, "/demand_execution/execution_image");
    assert_eq!(told.len(), 4, "a demand without a role breaks no rule about roles");
}

#[test]
fn what_the_rules_name_is_allowed() {
    let rules = Rules {
        job_queues: names(&["cpu", "lab-*"]),
        images: paths(&["ghcr.io/lab/*:1.*"]),
        job_roles: names(&["arn:aws:iam::1:role/*"]),
        input_prefixes: paths(&["s3://lab-data/reads"]),
        output_prefixes: paths(&["s3://lab-*"]),
    };
    assert_eq!(under(rules, &demand()), []);
}

#[test]
fn an_input_is_judged_by_where_it_really_comes_from() {
    let mut request = demand();
    request["execution_parameters"]["params"]["bucket"] = "somebody-elses".into();
    let rules = Rules { input_prefixes: paths(&["s3://lab-data"]), ..Rules::default() };
    let told = under(rules, &request);
    assert_eq!(told.len(), 1);
    assert!(told[0].detail.contains("`s3://somebody-elses/reads"), "{}", told[0].detail);
}

#[test]
fn a_path_is_allowed_by_whole_segments_and_with_all_below_it() {
    let rule = paths(&["s3://lab/reads/", "s3://*/public", "*.example.org/tools"]);
    for allowed in [
        "s3://lab/reads",
        "s3://lab/reads/",
        "s3://lab/reads/a/b.txt",
        "s3://any/public/x",
        "hub.example.org/tools/align:1",
    ] {
        assert!(rule.allows(allowed), "{allowed}");
    }
    for refused in [
        "s3://lab/reads2",
        "s3://lab",
        "s3://any/private/public/x",
        "elsewhere.net/x.example.org/tools/align:1",
        "hub.example.org/tools2",
    ] {
        assert!(!rule.allows(refused), "{refused}");
    }
    assert!(paths(&["*"]).allows("s3://any/thing/at/all"));
    assert!(paths(&["s3://lab/**/final"]).allows("s3://lab/a/b/final/x"));
}

#[test]
fn a_name_is_allowed_as_a_whole() {
    let rule = names(&["lab-*", "arn:aws:batch:*:1:job-queue/gpu"]);
    for allowed in ["lab-gpu", "lab-", "arn:aws:batch:us-west-2:1:job-queue/gpu"] {
        assert!(rule.allows(allowed), "{allowed}");
    }
    for refused in ["lab", "my-lab-gpu", "LAB-gpu", "arn:aws:batch:us-west-2:1:job-queue/gpu/x"] {
        assert!(!rule.allows(refused), "{refused}");
    }
}

#[test]
fn a_task_too_large_for_a_job_needs_a_place_of_its_own() {
    let mut request = demand();
    let parameters = &mut request["execution_parameters"];
    for number in 0..60 {
        let name = format!("reads_{number}");
        parameters["params"][&name] =
            format!("s3://lab-data/a/rather/long/path/to/reads/{number}").into();
        parameters["inputs"].as_array_mut().unwrap().push(name.into());
    }
    assert_eq!(faults(&Policy::default(), &request), []);
    let tight = Policy { tasks_must_fit: true, ..Policy::default() };
    let told = faults(&tight, &request);
    assert_eq!(told.len(), 1, "the other steps fit: {told:?}");
    assert_eq!(told[0].pointer, "/execution_parameters/params");
    assert_eq!(serde_json::to_value(told[0].code).unwrap(), "too_large");
    for words in ["stage_in", "8192", "data_sync.payload_prefix"] {
        assert!(told[0].detail.contains(words), "{}", told[0].detail);
    }
    assert_eq!(faults(&tight, &demand()), []);
}
