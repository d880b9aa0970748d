//! What the jobs of a demand are made of.

use demand_context_manager::plan::{
    Plan,
    definition::CONTENT_HASH_TAG,
    submission::{PlannedStep, Step, Task},
    worker,
};
use serde_json::json;

use super::sample::{demand_json, demand_with, params, plan, plan_on, site_with};

fn step(plan: &Plan, wanted: Step) -> &PlannedStep {
    plan.submission.steps.iter().find(|step| step.step == wanted).unwrap()
}

#[test]
fn a_step_with_nothing_to_do_does_not_exist() {
    let mut request = params(json!({"a": "x"}), &[], &[]);
    request["context_manager_configuration"] =
        json!({"env_file_write_mode": "NEVER", "cleanup_working_dir": false});
    let submission = plan(&request).unwrap().submission;
    let steps: Vec<Step> = submission.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps, [Step::Execute]);
    assert!(submission.clean_up.is_none());
}

#[test]
fn execute_submits_what_the_reference_would() {
    let plan = plan(&demand_with(json!({"resource_requirements": {"vcpus": 4}}))).unwrap();
    let create = &plan.setup_configs.batch_create_request;
    let execute = step(&plan, Step::Execute);
    assert!(execute.task.is_none());
    let job = &execute.submit_job;
    assert_eq!(job.job_name, create.job_name);
    assert_eq!(job.job_queue, "q1");
    assert_eq!(job.job_definition, create.job_definition_name);
    assert_eq!(job.container_overrides.command, create.command);
    assert_eq!(job.container_overrides.resource_requirements, create.resource_requirements);
    let environment = &job.container_overrides.environment;
    let sent: Vec<_> = environment.iter().map(|pair| (&pair.name, &pair.value)).collect();
    assert_eq!(sent, create.environment.iter().collect::<Vec<_>>());
    let properties = &execute.job_definition.register.container_properties;
    assert_eq!(properties.volumes, create.volumes);
    assert_eq!(properties.mount_points, create.mount_points);
    assert_eq!(properties.image, create.image);
}

#[test]
fn workers_find_their_task_in_the_environment() {
    let plan = plan(&demand_json()).unwrap();
    for step in plan.submission.steps.iter().chain(&plan.submission.clean_up) {
        let Some(task) = &step.task else { continue };
        let overrides = &step.submit_job.container_overrides;
        assert_eq!(overrides.command, worker::COMMAND);
        let sent = overrides.environment.iter().find(|pair| pair.name == worker::TASK_VARIABLE);
        let sent: Task = serde_json::from_str(&sent.unwrap().value).unwrap();
        assert_eq!(sent, *task);
        assert_eq!(task.step, step.step);
        assert_eq!(task.mounts, plan.submission.context.efs_mount_points);
    }
}

#[test]
fn workers_mount_the_same_volumes_and_may_write_to_all() {
    let plan = plan(&demand_json()).unwrap();
    let execute = &step(&plan, Step::Execute).job_definition.register.container_properties;
    let worker = &step(&plan, Step::StageIn).job_definition.register.container_properties;
    assert_eq!(worker.volumes, execute.volumes);
    let paths = |points: &[demand_context_manager::plan::submission::MountPoint]| {
        points.iter().map(|point| point.container_path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&worker.mount_points), paths(&execute.mount_points));
    assert!(execute.mount_points.iter().any(|point| point.read_only));
    assert!(worker.mount_points.iter().all(|point| !point.read_only));
    assert!(!worker.privileged);
}

#[test]
fn workers_remove_parents_only_and_nothing_shared() {
    let plan_with = |configuration| {
        let mut request = demand_json();
        request["context_manager_configuration"] = configuration;
        plan(&request).unwrap()
    };
    let removed = |plan: &Plan| -> Vec<String> {
        let task = step(plan, Step::WrapUp).task.clone().unwrap();
        task.remove_data_paths_requests.into_iter().flat_map(|request| request.paths).collect()
    };
    let working = "fs-00000001:/scratch/run-1";
    let both = plan_with(json!({}));
    assert_eq!(removed(&both), [working]);
    assert_eq!(both.cleanup_configs.remove_data_paths_requests.len(), 2);
    let inputs_only = plan_with(json!({"cleanup_working_dir": false}));
    let inputs = [format!("{working}/genome"), format!("{working}/reads")];
    assert_eq!(removed(&inputs_only), inputs);
    let shared = plan_with(json!({"isolate_inputs": false, "cleanup_working_dir": false}));
    assert!(removed(&shared).is_empty());
    assert!(!shared.cleanup_configs.remove_data_paths_requests[0].paths.is_empty());
}

#[test]
fn clean_up_removes_the_working_directory_alone() {
    let submission = plan(&demand_json()).unwrap().submission;
    let task = submission.clean_up.unwrap().task.unwrap();
    assert!(task.data_sync_requests.is_empty() && task.env_file.is_none());
    assert_eq!(task.remove_data_paths_requests[0].paths, ["fs-00000001:/scratch/run-1"]);
}

#[test]
fn definitions_are_told_apart_by_content_alone() {
    let hash = |plan: &Plan, which| step(plan, which).job_definition.content_hash.clone();
    let plain = plan(&demand_json()).unwrap();
    let again = plan(&demand_with(json!({
        "execution_id": "run-2",
        "execution_parameters": {"params": {"threads": 16}},
        "resource_requirements": {"memory": 4096},
    })))
    .unwrap();
    assert_eq!(hash(&plain, Step::Execute), hash(&again, Step::Execute));
    assert_eq!(hash(&plain, Step::StageIn), hash(&again, Step::WrapUp));
    let other = plan(&demand_with(json!({"execution_image": "other"}))).unwrap();
    assert_ne!(hash(&plain, Step::Execute), hash(&other, Step::Execute));
    assert_eq!(hash(&plain, Step::StageIn), hash(&other, Step::StageIn));
    for planned in &plain.submission.steps {
        let definition = &planned.job_definition;
        assert_eq!(definition.register.tags[CONTENT_HASH_TAG], definition.content_hash);
    }
}

#[test]
fn tags_reach_jobs_as_aws_takes_them() {
    let mut tags = json!({"project": "p1", "aws:x": "y", "odd#key": "tab\there", "": "nothing"});
    for n in 0..60 {
        tags[format!("k{n}")] = json!("v".repeat(300));
    }
    let plan = plan(&demand_with(json!({"execution_metadata": {"tags": tags}}))).unwrap();
    for step in &plan.submission.steps {
        let tags = &step.submit_job.tags;
        assert_eq!(tags["project"], "p1");
        assert_eq!(tags["aws_x"], "y");
        assert_eq!(tags["odd_key"], "tab_here");
        assert!(tags.len() <= 50 && tags.values().all(|value| value.chars().count() <= 256));
        assert!(!tags.contains_key(""));
    }
}

#[test]
fn timeouts_are_sent_with_submissions_and_make_no_definitions_of_their_own() {
    let timeouts = json!({"timeouts": {"stage_in": 60, "execute": 3600}});
    let request = demand_with(json!({}));
    let (timed, free) = (plan_on(&request, &site_with(timeouts)).unwrap(), plan(&request).unwrap());
    for (timed, free) in timed.submission.steps.iter().zip(&free.submission.steps) {
        let seconds = timed.submit_job.timeout.map(|timeout| timeout.attempt_duration_seconds);
        let expected = match timed.step {
            Step::StageIn => Some(60),
            Step::Execute => Some(3600),
            Step::WrapUp | Step::CleanUp => None,
        };
        assert_eq!(seconds, expected);
        assert_eq!(timed.job_definition, free.job_definition);
    }
}

#[test]
fn workers_run_where_and_as_the_site_says() {
    let site = site_with(json!({"data_sync": {
        "image": "registry/demand:1", "job_queue": "movers", "job_role": "role", "memory": 4096,
    }}));
    let plan = plan_on(&demand_json(), &site).unwrap();
    let stage_in = step(&plan, Step::StageIn);
    assert_eq!(stage_in.submit_job.job_queue, "movers");
    let properties = &stage_in.job_definition.register.container_properties;
    assert_eq!(properties.image, "registry/demand:1");
    assert_eq!(properties.job_role_arn.as_deref(), Some("role"));
    assert_eq!(properties.resource_requirements[0].value, "4096");
    assert_eq!(step(&plan, Step::Execute).submit_job.job_queue, "q1");
}

#[test]
fn budgets_measure_what_is_sent() {
    let plan = plan(&demand_json()).unwrap();
    let execute = step(&plan, Step::Execute);
    let used = |name: &str| execute.budgets.iter().find(|budget| budget.name == name).unwrap().used;
    let size = |text: String| text.len() as u64;
    let overrides = &execute.submit_job.container_overrides;
    assert_eq!(used("container_overrides"), size(serde_json::to_string(overrides).unwrap()));
    assert_eq!(used("submit_job"), size(serde_json::to_string(&execute.submit_job).unwrap()));
    assert_eq!(used("job_name"), size(execute.submit_job.job_name.clone()));
    assert!(execute.budgets.iter().all(|budget| budget.used <= budget.limit));
}

#[test]
fn keys_with_spaces_are_legal_and_carried_as_objects() {
    let input = json!({"local": "in", "remote": "s3://data-bucket/my key#1/"});
    let plan = plan(&params(json!({"in": input}), &["in"], &[])).unwrap();
    let request = &plan.setup_configs.data_sync_requests[0];
    assert_eq!(request.source_path, "s3://data-bucket/my key#1/");
    let carried = &plan.demand_execution["execution_parameters"]["params"]["in"];
    assert_eq!(carried["remote"], "s3://data-bucket/my key#1/");
    assert_eq!(carried["local"], "/opt/efs/scratch/run-1/in");
}
