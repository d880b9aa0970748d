//! Names of jobs.

use std::collections::BTreeSet;

use demand_context_manager::plan::{naming, submission::Step};

use super::sample::{demand_json, plan};

const STEPS: [Step; 4] = [Step::StageIn, Step::Execute, Step::WrapUp, Step::CleanUp];

#[test]
fn every_step_and_attempt_has_a_name_of_its_own_and_of_one_length() {
    let plan = plan(&demand_json()).unwrap();
    let first = &plan.setup_configs.batch_create_request.job_name;
    let names = &plan.submission.job_names;
    assert_eq!(names.job_name(Step::Execute, 1), *first);
    let all: BTreeSet<String> =
        (1..=20).flat_map(|attempt| STEPS.map(|step| names.job_name(step, attempt))).collect();
    assert_eq!(all.len(), 80);
    assert!(all.iter().all(|name| name.len() == first.len() && naming::is_job_name(name)));
}

#[test]
fn steps_are_submitted_under_the_names_of_attempt_one() {
    let submission = plan(&demand_json()).unwrap().submission;
    for step in submission.steps.iter().chain(&submission.clean_up) {
        assert_eq!(step.submit_job.job_name, submission.job_names.job_name(step.step, 1));
    }
}

#[test]
fn a_prefix_is_not_repeated() {
    assert_eq!(naming::prefixed("dev", &["x", "y"]), "dev-x-y");
    assert_eq!(naming::prefixed("dev", &["dev-x", "y"]), "dev-x-y");
    assert_eq!(naming::prefixed("dev", &["dev"]), "dev");
    assert_eq!(naming::prefixed("dev", &["develop"]), "dev-develop");
}
