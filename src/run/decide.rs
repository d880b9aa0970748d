//! What to do next for a demand, from its stored state and the time alone. PURE.
//!
//! The reconciler asks again after every change, so an answer names one effect at most; what is
//! left shows up in the next answer. After a restart the same question is asked of the same state,
//! which is why a restart needs no code of its own.

use jiff::{SignedDuration, Timestamp};

use super::state::{Phase, State, WorkingDirectory};
use super::step_run::{StepRun, Submission};
use crate::plan::submission::Step;

/// The next effect for one demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Store the intent, then submit this step's job.
    Submit(Step),
    /// Find out by the job's name whether a submission of unknown effect had one.
    LookUp(Step),
    /// Ask the engine to end these jobs, in this order.
    Terminate(Vec<(Step, String)>),
    /// Begin the removal of the working directory.
    BeginCleanUp,
    /// Nothing, before `until` or an observation or a user changes something.
    Wait {
        /// When to ask again at the latest.
        until: Option<Timestamp>,
    },
}

/// How long the effects' outcomes may take to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a submitted job may be invisible to a look-up by name.
    pub look_up_grace: SignedDuration,
    /// How long to wait for a job to end before asking for its end again.
    pub terminate_again: SignedDuration,
    /// When this process began to act: until then a call of the one before may have been under
    /// way. The reconciler sets it.
    pub acting_since: Timestamp,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            look_up_grace: SignedDuration::from_secs(30),
            terminate_again: SignedDuration::from_secs(60),
            acting_since: Timestamp::UNIX_EPOCH,
        }
    }
}

/// What to do next for a demand in this state.
pub fn decide(state: &State, now: Timestamp, timing: &Timing) -> Next {
    let mut until = Earliest(None);
    if let Some(next) = look_up(state, now, timing, &mut until) {
        return next;
    }
    if let Some(next) = end_jobs(state, now, timing, &mut until) {
        return next;
    }
    if let Some(next) = submit(state, now, &mut until) {
        return next;
    }
    if state.phase == Phase::Done
        && let Some(due) = state.clean_up_due
    {
        if due <= now {
            return Next::BeginCleanUp;
        }
        until.at_latest(due);
    }
    Next::Wait { until: until.0 }
}

/// How long to wait between two looks at a job: a twentieth of the time since it last changed, so
/// that what is young is seen quickly and what is old costs little.
pub fn observe_interval(
    since_change: SignedDuration,
    min: SignedDuration,
    max: SignedDuration,
) -> SignedDuration {
    (since_change / 20).clamp(min, max.max(min))
}

fn look_up(state: &State, now: Timestamp, timing: &Timing, until: &mut Earliest) -> Option<Next> {
    for run in &state.steps {
        let Submission::Intended { at, given_up_at } = run.submission else { continue };
        let under_way_until = at.max(given_up_at.unwrap_or(at)).max(timing.acting_since);
        let visible = later(under_way_until, timing.look_up_grace);
        if visible <= now {
            return Some(Next::LookUp(run.step));
        }
        until.at_latest(visible);
    }
    None
}

/// Jobs run on after the attempt's end was decided only where Batch does not end them itself: it
/// fails the dependents of a failed job, but knows nothing of cancellations, and cannot know of a
/// job that was refused or that it forgot.
fn end_jobs(state: &State, now: Timestamp, timing: &Timing, until: &mut Earliest) -> Option<Next> {
    let ended_by_us = state.canceled_at.is_some()
        || state
            .current()
            .any(|run| run.lost || matches!(run.submission, Submission::Rejected { .. }));
    if !ended_by_us {
        return None;
    }
    let mut jobs = Vec::new();
    for run in state.current().rev().filter(|run| run.is_live()) {
        let again = run.terminated_at.map(|at| later(at, timing.terminate_again));
        match (again, run.job_id()) {
            (Some(again), _) if again > now => until.at_latest(again),
            (_, Some(job_id)) => jobs.push((run.step, job_id.to_owned())),
            (_, None) => {}
        }
    }
    (!jobs.is_empty()).then_some(Next::Terminate(jobs))
}

fn submit(state: &State, now: Timestamp, until: &mut Earliest) -> Option<Next> {
    // A new attempt waits while the working directory of the one before is being removed.
    let removing = state.working_directory == WorkingDirectory::Removing;
    let run: &StepRun = if removing {
        state.clean_up()?
    } else if state.phase == Phase::Done || state.is_stopping() {
        return None;
    } else {
        state.current().find(|run| run.job_id().is_none())?
    };
    let Submission::Planned { not_before } = run.submission else { return None };
    match not_before {
        Some(not_before) if not_before > now => {
            until.at_latest(not_before);
            None
        }
        _ => Some(Next::Submit(run.step)),
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

struct Earliest(Option<Timestamp>);

impl Earliest {
    fn at_latest(&mut self, at: Timestamp) {
        self.0 = Some(self.0.map_or(at, |earlier| earlier.min(at)));
    }
}
