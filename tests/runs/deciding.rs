//! What is decided from a demand's state.

use demand_context_manager::engine::job::JobStatus;
use demand_context_manager::plan::submission::Step;
use demand_context_manager::run::decide::{Next, Timing, decide, observe_interval};
use demand_context_manager::run::transition::Event;
use jiff::SignedDuration;

use crate::{Story, at};

fn next(story: &Story) -> Next {
    decide(&story.state, story.now(), &Timing::default())
}

fn next_at(story: &Story, seconds: i64) -> Next {
    decide(&story.state, at(seconds), &Timing::default())
}

#[test]
fn steps_are_submitted_in_order_without_waiting_for_each_other() {
    let story = Story::accepted();
    assert_eq!(next(&story), Next::Submit(Step::StageIn));
    let story = story.submitted(Step::StageIn);
    assert_eq!(next(&story), Next::Submit(Step::Execute));
    let story = story.submitted(Step::Execute);
    assert_eq!(next(&story), Next::Submit(Step::WrapUp));
    let story = story.submitted(Step::WrapUp);
    assert_eq!(next(&story), Next::Wait { until: None });
}

#[test]
fn a_submission_of_unknown_effect_is_looked_up_after_the_grace_and_not_before() {
    let story = Story::accepted().event(Event::Intended { step: Step::StageIn });
    let visible = story.now + 30;
    assert_eq!(next(&story), Next::Wait { until: Some(at(visible)) });
    assert_eq!(next_at(&story, visible), Next::LookUp(Step::StageIn));
}

#[test]
fn the_grace_of_a_look_up_begins_when_the_call_ended() {
    let mut story = Story::accepted().event(Event::Intended { step: Step::StageIn });
    story.now += 50;
    let detail = "timed out".to_owned();
    let story = story.event(Event::OutcomeUnknown { step: Step::StageIn, detail });
    let visible = story.now + 30;
    assert_eq!(next(&story), Next::Wait { until: Some(at(visible)) });
    assert_eq!(next_at(&story, visible), Next::LookUp(Step::StageIn));
    assert_eq!(story.history.last().unwrap().detail.as_deref(), Some("timed out"));
}

#[test]
fn the_grace_of_a_look_up_begins_anew_when_the_service_does() {
    let story = Story::accepted().event(Event::Intended { step: Step::StageIn });
    let timing = Timing { acting_since: at(1000), ..Timing::default() };
    let early = decide(&story.state, at(1029), &timing);
    assert_eq!(early, Next::Wait { until: Some(at(1030)) });
    assert_eq!(decide(&story.state, at(1030), &timing), Next::LookUp(Step::StageIn));
}

#[test]
fn nothing_further_is_submitted_while_a_submission_is_of_unknown_effect() {
    let story =
        Story::accepted().submitted(Step::StageIn).event(Event::Intended { step: Step::Execute });
    assert_eq!(next_at(&story, 1000), Next::LookUp(Step::Execute));
}

#[test]
fn a_submission_known_to_have_had_no_effect_is_made_again() {
    let story = Story::accepted()
        .event(Event::Intended { step: Step::StageIn })
        .event(Event::NothingSubmitted { step: Step::StageIn });
    assert_eq!(next(&story), Next::Submit(Step::StageIn));
}

#[test]
fn an_engine_without_room_is_asked_again_at_the_time_set() {
    let until = at(100);
    let story = Story::accepted()
        .event(Event::Intended { step: Step::StageIn })
        .event(Event::Deferred { step: Step::StageIn, until, detail: "throttled".to_owned() });
    assert_eq!(next(&story), Next::Wait { until: Some(until) });
    assert_eq!(next_at(&story, 100), Next::Submit(Step::StageIn));
}

#[test]
fn jobs_of_a_canceled_demand_are_ended_last_step_first_and_asked_again_later() {
    let story = Story::accepted().all_submitted().canceled();
    let order = |story: &Story, seconds| match next_at(story, seconds) {
        Next::Terminate(jobs) => jobs.into_iter().map(|(step, _)| step).collect(),
        other => panic!("{other:?}"),
    };
    let now = story.now;
    let order_now: Vec<Step> = order(&story, now);
    assert_eq!(order_now, [Step::WrapUp, Step::Execute, Step::StageIn]);
    let story = [Step::WrapUp, Step::Execute, Step::StageIn]
        .into_iter()
        .fold(story, |story, step| story.event(Event::Terminated { step }));
    assert!(matches!(next(&story), Next::Wait { until: Some(_) }));
    let later: Vec<Step> = order(&story, story.now + 61);
    assert_eq!(later.len(), 3);
}

#[test]
fn a_submission_in_flight_when_the_demand_is_canceled_is_looked_up_then_ended() {
    let story = Story::accepted().event(Event::Intended { step: Step::StageIn }).canceled();
    assert_eq!(next_at(&story, 1000), Next::LookUp(Step::StageIn));
    let story = story.event(Event::JobSubmitted {
        step: Step::StageIn,
        job_id: "found".to_owned(),
        adopted: true,
    });
    assert_eq!(next(&story), Next::Terminate(vec![(Step::StageIn, "found".to_owned())]));
}

#[test]
fn dependents_of_a_failed_job_are_left_to_the_engine() {
    let story = Story::accepted().all_submitted().seen(Step::StageIn, JobStatus::Failed);
    assert_eq!(next(&story), Next::Wait { until: None });
}

#[test]
fn jobs_before_a_refused_one_are_ended() {
    let story = Story::accepted()
        .submitted(Step::StageIn)
        .event(Event::Intended { step: Step::Execute })
        .event(Event::Rejected { step: Step::Execute, detail: String::new() });
    assert!(matches!(next(&story), Next::Terminate(jobs) if jobs.len() == 1));
}

#[test]
fn the_working_directory_of_a_failed_demand_is_removed_when_its_time_is_over() {
    let story = Story::accepted().failed_in_execute();
    let due = story.now + 72 * 3600;
    assert_eq!(next(&story), Next::Wait { until: Some(at(due)) });
    assert_eq!(next_at(&story, due), Next::BeginCleanUp);
}

#[test]
fn a_retry_waits_while_the_working_directory_is_being_removed() {
    let story = Story::accepted()
        .with_failed_retention(SignedDuration::ZERO)
        .failed_in_execute()
        .event(Event::CleanUpBegun { job_name: "clean_up".to_owned() });
    assert_eq!(next(&story), Next::Submit(Step::CleanUp));
    let story = story.submitted(Step::CleanUp).retried();
    assert_eq!(next(&story), Next::Wait { until: None });
    let removed = demand_context_manager::engine::job::JobStatus::Succeeded;
    let job = Box::new(crate::job("clean_up-1", removed));
    let story = story.event(Event::JobSeen { job });
    assert_eq!(next(&story), Next::Submit(Step::StageIn));
}

#[test]
fn looks_at_a_job_grow_apart_with_its_age_within_bounds() {
    let seconds = SignedDuration::from_secs;
    let interval = |age| observe_interval(seconds(age), seconds(2), seconds(60));
    assert_eq!(interval(0), seconds(2));
    assert_eq!(interval(600), seconds(30));
    assert_eq!(interval(1_000_000), seconds(60));
}
