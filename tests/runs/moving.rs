//! How a demand's state moves.

use demand_context_manager::engine::job::JobStatus;
use demand_context_manager::plan::submission::Step;
use demand_context_manager::run::history::EntryKind;
use demand_context_manager::run::reason::ReasonCode;
use demand_context_manager::run::state::{Phase, Status, WorkingDirectory};
use demand_context_manager::run::transition::Event;
use jiff::SignedDuration;

use crate::{Story, job};

#[test]
fn a_good_course_passes_every_phase_and_ends_completed() {
    let mut story = Story::accepted();
    let mut phases = vec![story.state.phase];
    story = story.all_submitted();
    phases.push(story.state.phase);
    for step in [Step::StageIn, Step::Execute, Step::WrapUp] {
        story = story.seen(step, JobStatus::Running).seen(step, JobStatus::Succeeded);
        phases.push(story.state.phase);
    }
    assert_eq!(
        phases,
        [Phase::Accepted, Phase::StagingIn, Phase::Executing, Phase::WrappingUp, Phase::Done]
    );
    assert_eq!(story.state.status(), Status::Completed);
    assert_eq!(story.state.working_directory, WorkingDirectory::Gone);
    assert_eq!(story.state.reason, None);
    assert!(!story.state.is_active());
    assert!(story.state.finished_at.is_some());
}

#[test]
fn every_phase_that_is_passed_is_told_in_the_history() {
    let story = Story::accepted()
        .all_submitted()
        .seen(Step::StageIn, JobStatus::Succeeded)
        .seen(Step::Execute, JobStatus::Succeeded)
        .seen(Step::WrapUp, JobStatus::Succeeded);
    let moves: Vec<(&str, &str)> = story
        .history
        .iter()
        .filter(|entry| entry.kind == EntryKind::Phase)
        .map(|entry| (entry.from.as_deref().unwrap(), entry.to.as_deref().unwrap()))
        .collect();
    assert_eq!(
        moves,
        [
            ("ACCEPTED", "STAGING_IN"),
            ("STAGING_IN", "EXECUTING"),
            ("EXECUTING", "WRAPPING_UP"),
            ("WRAPPING_UP", "DONE"),
        ]
    );
}

#[test]
fn a_failed_command_is_the_reason_and_its_working_directory_is_kept() {
    let story = Story::accepted().failed_in_execute();
    assert_eq!(story.state.status(), Status::Failed);
    let reason = story.state.reason.clone().unwrap();
    assert_eq!(reason.code, ReasonCode::CommandFailed);
    assert!(reason.message.contains("exit code 1"), "{}", reason.message);
    assert_eq!(story.state.working_directory, WorkingDirectory::Present);
    let kept = story.state.clean_up_due.unwrap().duration_since(story.now());
    assert_eq!(kept, SignedDuration::from_hours(72));
}

#[test]
fn the_earliest_failure_is_the_reason_whatever_follows_from_it() {
    let story = Story::accepted()
        .all_submitted()
        .seen(Step::StageIn, JobStatus::Failed)
        .seen(Step::WrapUp, JobStatus::Failed)
        .seen(Step::Execute, JobStatus::Failed);
    assert_eq!(story.state.reason.unwrap().code, ReasonCode::InputStagingFailed);
}

#[test]
fn a_demand_has_not_ended_while_a_job_of_it_has_not() {
    let story = Story::accepted()
        .all_submitted()
        .seen(Step::StageIn, JobStatus::Failed)
        .seen(Step::Execute, JobStatus::Failed);
    assert_ne!(story.state.phase, Phase::Done);
}

#[test]
fn what_was_not_submitted_before_a_failure_never_is() {
    let story = Story::accepted().submitted(Step::StageIn).seen(Step::StageIn, JobStatus::Failed);
    assert_eq!(story.state.phase, Phase::Done);
    assert_eq!(story.state.status(), Status::Failed);
}

#[test]
fn a_refused_job_is_the_reason_though_jobs_before_it_are_ended_on_its_account() {
    let story = Story::accepted()
        .submitted(Step::StageIn)
        .event(Event::Intended { step: Step::Execute })
        .event(Event::Rejected { step: Step::Execute, detail: "no such queue".to_owned() })
        .seen(Step::StageIn, JobStatus::Failed);
    let reason = story.state.reason.unwrap();
    assert_eq!(reason.code, ReasonCode::SubmissionRejected);
    assert!(reason.message.contains("no such queue"));
}

#[test]
fn a_demand_canceled_before_any_job_exists_is_aborted_at_once() {
    let story = Story::accepted().canceled();
    assert_eq!(story.state.status(), Status::Aborted);
    assert_eq!(story.state.reason.as_ref().unwrap().code, ReasonCode::Canceled);
    assert_eq!(story.state.working_directory, WorkingDirectory::None);
    assert!(!story.state.is_active());
}

#[test]
fn a_canceled_demand_is_canceling_until_its_jobs_have_ended() {
    let story =
        Story::accepted().all_submitted().seen(Step::StageIn, JobStatus::Running).canceled();
    assert_eq!(story.state.phase, Phase::Canceling);
    let story = story
        .seen(Step::WrapUp, JobStatus::Failed)
        .seen(Step::Execute, JobStatus::Failed)
        .seen(Step::StageIn, JobStatus::Failed);
    assert_eq!(story.state.status(), Status::Aborted);
    assert_eq!(story.state.working_directory, WorkingDirectory::Present);
}

#[test]
fn a_cancellation_that_comes_after_the_last_success_changes_nothing() {
    let story = Story::accepted()
        .all_submitted()
        .seen(Step::StageIn, JobStatus::Succeeded)
        .seen(Step::Execute, JobStatus::Succeeded)
        .canceled()
        .seen(Step::WrapUp, JobStatus::Succeeded);
    assert_eq!(story.state.status(), Status::Completed);
    assert_eq!(story.state.reason, None);
}

#[test]
fn canceling_twice_is_canceling_once() {
    let story = Story::accepted().all_submitted().canceled();
    let told = story.history.len();
    let again = story.canceled();
    assert_eq!(again.history.len(), told);
}

#[test]
fn a_job_id_that_arrives_after_the_cancellation_is_recorded() {
    let story = Story::accepted().event(Event::Intended { step: Step::StageIn }).canceled().event(
        Event::JobSubmitted { step: Step::StageIn, job_id: "late".to_owned(), adopted: false },
    );
    assert_eq!(story.state.phase, Phase::Canceling);
    assert_eq!(story.state.live().next().unwrap().job_id(), Some("late"));
}

#[test]
fn nothing_is_intended_once_the_demand_is_canceled() {
    let mut story = Story::accepted().submitted(Step::StageIn).canceled();
    assert!(story.try_event(&Event::Intended { step: Step::Execute }).is_err());
}

#[test]
fn a_completed_demand_can_neither_be_canceled_nor_retried() {
    let mut story = Story::accepted()
        .all_submitted()
        .seen(Step::StageIn, JobStatus::Succeeded)
        .seen(Step::Execute, JobStatus::Succeeded)
        .seen(Step::WrapUp, JobStatus::Succeeded);
    assert!(story.try_event(&Event::CancelRequested { by: None }).is_err());
    let retry = Event::RetryRequested { by: None, steps: crate::named("2") };
    assert!(story.try_event(&retry).is_err());
}

#[test]
fn a_late_observation_does_not_revive_an_ended_job() {
    let story = Story::accepted()
        .all_submitted()
        .seen(Step::StageIn, JobStatus::Succeeded)
        .seen(Step::StageIn, JobStatus::Running);
    assert!(story.state.steps[0].has_succeeded());
}

#[test]
fn a_retry_starts_at_the_first_step_that_did_not_succeed() {
    let story = Story::accepted().failed_in_execute().retried();
    assert_eq!(story.state.attempt, 2);
    assert_eq!(story.state.phase, Phase::Accepted);
    let steps: Vec<Step> = story.state.current().map(|run| run.step).collect();
    assert_eq!(steps, [Step::Execute, Step::WrapUp]);
    assert_eq!(story.state.clean_up_due, None, "what is used again is not removed");
}

#[test]
fn a_retry_starts_from_the_beginning_once_the_working_directory_is_gone() {
    let story = removed(Story::accepted().failed_in_execute()).retried();
    let steps: Vec<Step> = story.state.current().map(|run| run.step).collect();
    assert_eq!(steps, [Step::StageIn, Step::Execute, Step::WrapUp]);
}

#[test]
fn what_succeeded_on_a_directory_that_is_gone_is_done_again() {
    // Attempt 1 executes and fails to wrap up; the directory is removed; attempt 2 fails to
    // execute. Attempt 3 must execute, though attempt 1 once did.
    let story = Story::accepted()
        .all_submitted()
        .seen(Step::StageIn, JobStatus::Succeeded)
        .seen(Step::Execute, JobStatus::Succeeded)
        .seen(Step::WrapUp, JobStatus::Failed);
    let story = removed(story).retried().all_submitted();
    let story = story
        .seen(Step::StageIn, JobStatus::Succeeded)
        .seen(Step::Execute, JobStatus::Failed)
        .seen(Step::WrapUp, JobStatus::Failed)
        .retried();
    let steps: Vec<Step> = story.state.current().map(|run| run.step).collect();
    assert_eq!(steps, [Step::Execute, Step::WrapUp]);
}

#[test]
fn a_failed_removal_is_due_again_later() {
    let story = Story::accepted()
        .with_failed_retention(SignedDuration::ZERO)
        .failed_in_execute()
        .event(Event::CleanUpBegun { job_name: "clean_up".to_owned() })
        .submitted(Step::CleanUp)
        .seen(Step::CleanUp, JobStatus::Failed);
    assert_eq!(story.state.working_directory, WorkingDirectory::Present);
    assert!(story.state.clean_up_due.unwrap() > story.now());
    assert_eq!(story.state.reason.unwrap().code, ReasonCode::CommandFailed);
}

#[test]
fn a_job_the_engine_forgot_ends_the_attempt_as_lost() {
    let story = Story::accepted()
        .submitted(Step::StageIn)
        .event(Event::JobLost { job_id: "stage_in-1".to_owned() });
    assert_eq!(story.state.status(), Status::Failed);
    assert_eq!(story.state.reason.unwrap().code, ReasonCode::Lost);
}

#[test]
fn reasons_are_classed_by_what_the_engine_says() {
    let said = [
        ("OutOfMemoryError: Container killed due to memory usage", ReasonCode::OutOfMemory),
        ("CannotPullContainerError: pull access denied", ReasonCode::ImageUnavailable),
        ("CannotPullImageManifestError: Error response from daemon", ReasonCode::ImageUnavailable),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: …",
            ReasonCode::ImageUnavailable,
        ),
        ("Host EC2 (instance i-0) terminated.", ReasonCode::SpotInterrupted),
        ("Your Spot Task was interrupted.", ReasonCode::SpotInterrupted),
        ("CannotCreateVolumeError: Get http://127.0.0.1/ …", ReasonCode::VolumeMountFailed),
        ("Essential container in task exited", ReasonCode::CommandFailed),
        ("Job attempt duration exceeded timeout", ReasonCode::TimedOut),
        ("ResourceInitializationError: failed to invoke EFS utils", ReasonCode::VolumeMountFailed),
    ];
    for (words, code) in said {
        let mut failed = job("execute-1", JobStatus::Failed);
        failed.status_reason = Some(words.to_owned());
        let story = Story::accepted()
            .submitted(Step::StageIn)
            .submitted(Step::Execute)
            .seen(Step::StageIn, JobStatus::Succeeded)
            .event(Event::JobSeen { job: Box::new(failed) });
        let reason = story.state.reason.unwrap();
        assert_eq!(reason.code, code, "{words}");
        assert!(reason.message.contains(words), "the engine's words are kept: {reason:?}");
    }
}

#[test]
fn a_job_that_only_follows_another_or_was_ended_by_us_is_not_the_reason() {
    let mut followed = job("wrap_up-1", JobStatus::Failed);
    followed.status_reason = Some("Dependent Job failed".to_owned());
    let story = Story::accepted()
        .all_submitted()
        .event(Event::JobLost { job_id: "execute-1".to_owned() })
        .event(Event::Terminated { step: Step::StageIn })
        .seen(Step::StageIn, JobStatus::Failed)
        .event(Event::JobSeen { job: Box::new(followed) });
    assert_eq!(story.state.phase, Phase::Done);
    assert_eq!(story.state.reason.unwrap().code, ReasonCode::Lost);
}

fn removed(story: Story) -> Story {
    let story = story
        .event(Event::CleanUpBegun { job_name: "clean_up".to_owned() })
        .submitted(Step::CleanUp)
        .seen(Step::CleanUp, JobStatus::Succeeded);
    assert_eq!(story.state.working_directory, WorkingDirectory::Gone);
    story
}
