//! What holds for every request: no panic, one plan for one demand, and no path that leaves its
//! directory.

use demand_context_manager::{
    demand::{Demand, Faults, json},
    plan::{self, Plan},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::sample::{demand_json, site};

/// Any JSON, with keys and texts that mean something to the reader now and then.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "local",
            "remote",
            "include",
            "exclude",
            "action",
            "params",
            "inputs",
            "outputs",
            "command",
            "tags",
            "tag",
            "aws_batch",
            "scratch",
            "shared",
            "tmp",
            "a",
            "b",
            "A",
        ])
        .prop_map(str::to_owned),
        text(),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "s3://bucket/",
        "key",
        "/",
        "..",
        ".",
        " @ ",
        "${A}",
        "${B}",
        "${",
        "}",
        "//",
        "a",
        "é",
        "😀",
        " ",
        "\n",
        "'",
        "\"",
        "\\",
        "\u{0}",
        "(",
        "[",
        "*",
        "~",
        "1",
        "_",
    ]);
    prop_oneof![
        prop::collection::vec(parts, 0..6).prop_map(|parts| parts.concat()),
        any::<String>(),
    ]
}

/// The places of a request that arbitrary values are put in.
fn place() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(vec![
        vec!["execution_id"],
        vec!["execution_type"],
        vec!["execution_image"],
        vec!["execution_parameters"],
        vec!["execution_parameters", "command"],
        vec!["execution_parameters", "params"],
        vec!["execution_parameters", "params", "reads"],
        vec!["execution_parameters", "params", "genome"],
        vec!["execution_parameters", "params", "out"],
        vec!["execution_parameters", "params", "A"],
        vec!["execution_parameters", "params", "B"],
        vec!["execution_parameters", "inputs"],
        vec!["execution_parameters", "outputs"],
        vec!["execution_parameters", "outputs_metadata"],
        vec!["execution_parameters", "output_s3_prefix"],
        vec!["execution_parameters", "param_pairs"],
        vec!["execution_metadata"],
        vec!["execution_metadata", "tags"],
        vec!["execution_platform"],
        vec!["resource_requirements"],
        vec!["resource_requirements", "gpu"],
        vec!["file_system_configurations"],
        vec!["file_system_configurations", "scratch"],
        vec!["context_manager_configuration"],
        vec!["context_manager_configuration", "isolate_inputs"],
    ])
}

fn put(request: &mut Value, place: &[&str], value: Value) {
    let mut at = request;
    for key in place {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[*key];
    }
    *at = value;
}

fn request() -> impl Strategy<Value = Value> {
    prop::collection::vec((place(), any_json()), 0..4).prop_map(|changes| {
        let mut request = demand_json();
        for (place, value) in changes {
            put(&mut request, &place, value);
        }
        request
    })
}

/// Local paths of all kinds, likely to make a plan or to be refused for where they lead.
fn local_path() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec!["a", "b", "..", ".", "", "/", "opt", "efs", "scratch"]);
    prop::collection::vec(parts, 0..6).prop_map(|parts| parts.join("/"))
}

fn planned(request: &Value) -> Result<Plan, Faults> {
    Demand::parse(request).and_then(|demand| plan::plan(&demand, &site()))
}

/// The paths a plan moves and removes, on EFS.
fn local_ends(plan: &Plan) -> Vec<String> {
    let before = plan.setup_configs.data_sync_requests.iter().map(|r| &r.destination_path);
    let after = plan.cleanup_configs.data_sync_requests.iter().map(|r| &r.source_path);
    let listed = &plan.cleanup_configs.remove_data_paths_requests;
    let tasks = plan.submission.steps.iter().filter_map(|step| step.task.as_ref());
    let removed = tasks.flat_map(|task| &task.remove_data_paths_requests).chain(listed);
    let removed = removed.flat_map(|request| &request.paths);
    before.chain(after).chain(removed).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_json_never_panics(value in any_json()) {
        let _ = planned(&value);
        let _ = planned(&json!({"demand_execution": value}));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        let _ = json::read(&bytes);
    }

    #[test]
    fn one_demand_has_one_plan(request in request()) {
        let (first, second) = (planned(&request), planned(&request));
        prop_assert_eq!(&first, &second);
        if let Ok(plan) = first {
            let text = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        }
    }

    #[test]
    fn faults_point_into_the_request(request in request()) {
        if let Err(faults) = planned(&request) {
            prop_assert!(!faults.as_slice().is_empty());
            for fault in faults.as_slice() {
                let parent = fault.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                // What is missing is pointed at where it would be, at most two levels down.
                let known = request.pointer(&fault.pointer).is_some()
                    || request.pointer(parent).is_some()
                    || parent.rsplit_once('/').is_some_and(|(up, _)| request.pointer(up).is_some());
                prop_assert!(known, "{} is not in {request}", fault.pointer);
                prop_assert!(!fault.detail.is_empty());
            }
        }
    }

    #[test]
    fn no_planned_path_leaves_its_directory(
        reads in local_path(), out in local_path(), isolate in any::<bool>(),
    ) {
        let mut request = demand_json();
        let params = &mut request["execution_parameters"]["params"];
        params["reads"] = json!({"local": reads, "remote": "s3://data-bucket/x"});
        params["out"] = json!({"local": out, "remote": "s3://out-bucket/x"});
        request["context_manager_configuration"] = json!({"isolate_inputs": isolate});
        if let Ok(plan) = planned(&request) {
            for path in local_ends(&plan) {
                let working = "fs-00000001:/scratch/run-1";
                let inside = path == working || path.starts_with(&format!("{working}/"));
                let shared = !isolate && path.starts_with("fs-00000001:/shared/");
                prop_assert!(inside || shared, "{path}");
                prop_assert!(!path.contains("/.."), "{path}");
            }
        }
    }
}
