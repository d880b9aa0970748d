//! The lifecycle: how a demand's state moves, what is decided from it, and how it is stored.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is a test's report"
)]

mod deciding;
mod moving;
mod peer;
mod reconciling;
mod storing;

use demand_context_manager::engine::job::{Job, JobStatus, Try};
use demand_context_manager::plan::submission::Step;
use demand_context_manager::run::history::Entry;
use demand_context_manager::run::state::State;
use demand_context_manager::run::transition::{Event, Illegal, Retention};
use jiff::{SignedDuration, Timestamp};

/// A point in time, some seconds after an arbitrary one.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn steps() -> Vec<(Step, String)> {
    named("1")
}

fn named(attempt: &str) -> Vec<(Step, String)> {
    [Step::StageIn, Step::Execute, Step::WrapUp]
        .map(|step| (step, format!("{}-{attempt}", step.as_str())))
        .to_vec()
}

fn job(job_id: &str, status: JobStatus) -> Job {
    let started =
        !matches!(status, JobStatus::Submitted | JobStatus::Pending | JobStatus::Runnable);
    let ended = status.is_terminal();
    let exit_code = ended.then_some(i32::from(status == JobStatus::Failed));
    Job {
        job_id: job_id.to_owned(),
        job_name: String::new(),
        job_definition: "definition:1".to_owned(),
        status,
        status_reason: None,
        container_reason: None,
        exit_code,
        log_stream: started.then(|| format!("{job_id}/1")),
        created_at: at(0),
        started_at: started.then(|| at(1)),
        stopped_at: ended.then(|| at(2)),
        tries: if ended {
            vec![Try {
                started_at: Some(at(1)),
                stopped_at: Some(at(2)),
                exit_code,
                status_reason: None,
                container_reason: None,
                log_stream: None,
            }]
        } else {
            Vec::new()
        },
    }
}

/// A demand under test, moved event by event.
struct Story {
    state: State,
    retention: Retention,
    now: i64,
    history: Vec<Entry>,
}

impl Story {
    fn accepted() -> Self {
        let (state, entry) = State::accepted(steps(), true, at(0));
        Self { state, retention: Retention::default(), now: 0, history: vec![entry] }
    }

    fn with_failed_retention(mut self, retention: SignedDuration) -> Self {
        self.retention.failed = retention;
        self
    }

    fn now(&self) -> Timestamp {
        at(self.now)
    }

    fn try_event(&mut self, event: &Event) -> Result<(), Illegal> {
        self.now += 1;
        let (state, entries) = self.state.apply(event, &self.retention, self.now())?;
        self.state = state;
        self.history.extend(entries);
        Ok(())
    }

    #[allow(clippy::needless_pass_by_value, reason = "events are written where they happen")]
    fn event(mut self, event: Event) -> Self {
        self.try_event(&event).unwrap();
        self
    }

    fn submitted(self, step: Step) -> Self {
        let attempt = self.state.attempt;
        self.event(Event::Intended { step }).event(Event::JobSubmitted {
            step,
            job_id: format!("{}-{attempt}", step.as_str()),
            adopted: false,
        })
    }

    fn all_submitted(self) -> Self {
        [Step::StageIn, Step::Execute, Step::WrapUp].into_iter().fold(self, Self::submitted)
    }

    fn seen(self, step: Step, status: JobStatus) -> Self {
        let id = format!("{}-{}", step.as_str(), self.state.attempt);
        self.event(Event::JobSeen { job: Box::new(job(&id, status)) })
    }

    fn canceled(self) -> Self {
        self.event(Event::CancelRequested { by: None })
    }

    fn retried(self) -> Self {
        let steps = named(&(self.state.attempt + 1).to_string());
        self.event(Event::RetryRequested { by: None, steps })
    }

    /// Executed and failed: the dependent fails with it, as Batch has it.
    fn failed_in_execute(self) -> Self {
        self.all_submitted()
            .seen(Step::StageIn, JobStatus::Succeeded)
            .seen(Step::Execute, JobStatus::Failed)
            .seen(Step::WrapUp, JobStatus::Failed)
    }
}
