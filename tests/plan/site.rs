//! Sites: what they take, and how their defaults lie under a demand's own words.

use demand_context_manager::plan::Site;
use serde_json::{Value, json};

use super::sample::{demand_json, demand_with, plan_on, site_json, site_with};

fn refusal(change: &Value) -> String {
    let mut site = site_json();
    for (key, value) in change.as_object().unwrap() {
        site[key] = value.clone();
    }
    serde_json::from_value::<Site>(site).unwrap_err().to_string()
}

#[test]
fn unusable_sites_are_refused_with_reasons() {
    assert!(refusal(&json!({"env_base": "staging"})).contains("`staging` is no env_base"));
    assert!(refusal(&json!({"env_base": "dev-"})).contains("`dev-` is no env_base"));
    let told = refusal(&json!({
        "file_system_configurations": {"shared": []},
        "context_manager_configuration": {"isolate_inputs": "perhaps"},
    }));
    assert!(told.contains("/file_system_configurations/shared"), "{told}");
    assert!(told.contains("/context_manager_configuration/isolate_inputs"), "{told}");
}

#[test]
fn defaults_lie_under_the_request_key_by_key() {
    let site = site_with(json!({
        "file_system_configurations": {
            "scratch": {"container_path": "/mnt/site"},
            "tmp": [{"container_path": "/mnt/tmp"}],
        },
        "context_manager_configuration": {
            "cleanup_inputs": false,
            "input_data_sync_configuration": {"force": true},
        },
    }));
    let request = demand_with(json!({
        "file_system_configurations": {"scratch": {"container_path": "/mnt/own"}},
        "context_manager_configuration": {
            "input_data_sync_configuration": {"size_only": false},
        },
    }));
    let plan = plan_on(&request, &site).unwrap();
    let context = &plan.submission.context;
    assert_eq!(context.container_working_path, "/mnt/own/run-1");
    assert_eq!(context.container_tmp_path, "/mnt/tmp");
    let input = &plan.setup_configs.data_sync_requests[0];
    assert!(input.force && !input.size_only);
    assert_eq!(plan.cleanup_configs.remove_data_paths_requests.len(), 1);
}

#[test]
fn a_request_may_do_without_the_sites_tmp() {
    let site = site_with(json!({"file_system_configurations": {"tmp": {}}}));
    assert_eq!(
        plan_on(&demand_json(), &site).unwrap().submission.context.container_tmp_path,
        "/opt/efs/tmp"
    );
    let without = demand_with(json!({"file_system_configurations": {"tmp": []}}));
    assert_eq!(
        plan_on(&without, &site).unwrap().submission.context.container_tmp_path,
        "/opt/efs/scratch/tmp"
    );
}

#[test]
fn this_service_differs_from_the_reference_unless_told() {
    let plan = plan_on(&demand_json(), &site_with(json!({}))).unwrap();
    assert!(!plan.setup_configs.batch_create_request.privileged);
    assert!(!plan.cleanup_configs.data_sync_requests[0].delete);
    let policy = json!({"plan": {"privileged": true, "mirror_outputs": true}});
    let plan = plan_on(&demand_json(), &site_with(policy)).unwrap();
    assert!(plan.setup_configs.batch_create_request.privileged);
    assert!(plan.cleanup_configs.data_sync_requests[0].delete);
}
