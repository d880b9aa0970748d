//! When variables reach the command through a file, and which.

use demand_context_manager::plan::{Plan, submission::Step};
use serde_json::{Value, json};

use super::sample::{params, plan, plan_on, site, site_with};

fn with_mode(mut request: Value, mode: &str) -> Plan {
    request["context_manager_configuration"] = json!({"env_file_write_mode": mode});
    plan(&request).unwrap()
}

#[test]
fn variables_the_command_names_are_passed_directly_the_rest_by_file() {
    let mut request = params(json!({"named": "1", "braced": "2", "other": "3"}), &[], &[]);
    request["execution_parameters"]["command"] = json!(["run", "$NAMED", "x${BRACED}y"]);
    let plan = with_mode(request, "ALWAYS");
    let file = plan.submission.env_file.unwrap();
    assert_eq!(file.path, "/opt/efs/scratch/run-1/.demand.env");
    let names: Vec<&str> = file.environment.keys().map(String::as_str).collect();
    assert_eq!(names, ["EXECUTION_ID", "OTHER"]);
    let job = plan.setup_configs.batch_create_request;
    let names: Vec<&str> = job.environment.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["NAMED", "BRACED", "WORKING_DIR", "TMPDIR", "_ENVIRONMENT_FILE", "ENV_BASE", "AWS_REGION"]
    );
    assert!(job.command[2].contains(" && . ${_ENVIRONMENT_FILE} && run"), "{}", job.command[2]);
}

#[test]
fn a_file_exists_where_it_is_required_only() {
    let small = params(json!({"a": "x"}), &[], &[]);
    assert!(with_mode(small.clone(), "IF_REQUIRED").submission.env_file.is_none());
    assert!(with_mode(small.clone(), "NEVER").submission.env_file.is_none());
    assert!(with_mode(small, "ALWAYS").submission.env_file.is_some());
    let large = params(json!({"a": "x".repeat(7500)}), &[], &[]);
    assert!(with_mode(large, "IF_REQUIRED").submission.env_file.is_some());
}

#[test]
fn what_is_small_in_python_but_large_as_sent_is_written_too() {
    // Escaped, each of these characters is six bytes of JSON and one of memory.
    let request = params(json!({"a": "\u{1}".repeat(2000)}), &[], &[]);
    assert!(with_mode(request, "IF_REQUIRED").submission.env_file.is_some());
}

#[test]
fn the_file_is_a_task_of_stage_in_even_without_inputs() {
    let plan = plan(&params(json!({"a": "x"}), &[], &[])).unwrap();
    let steps: Vec<Step> = plan.submission.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps, [Step::StageIn, Step::Execute, Step::WrapUp]);
    let task = plan.submission.steps[0].task.as_ref().unwrap();
    assert_eq!(task.env_file, plan.submission.env_file);
    assert!(task.data_sync_requests.is_empty());
}

#[test]
fn a_service_may_default_to_if_required() {
    let request = params(json!({"a": "x"}), &[], &[]);
    let defaults = json!({"context_manager_configuration": {"env_file_write_mode": "IF_REQUIRED"}});
    let planned = plan_on(&request, &site_with(defaults)).unwrap();
    assert!(planned.submission.env_file.is_none());
    assert!(plan_on(&request, &site()).unwrap().submission.env_file.is_some());
}
