//! The one function that moves a demand's [`State`]. PURE.
//!
//! [`State::apply`] checks that an event is legal where the demand stands, makes the move, and
//! tells what to write into the history. Whatever follows from the move (the phase, the end, its
//! reason) is derived in the same step, so that no stored state ever waits for a second commit to
//! become true.

use jiff::Timestamp;

use super::history::{Entry, EntryKind};
use super::reason::{self, Reason, ReasonCode};
use super::state::{Outcome, Phase, State, WorkingDirectory};
use super::step_run::{StepRun, Submission};
use crate::engine::job::Job;
use crate::plan::submission::Step;

/// What happened to a demand.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A step's job is about to be submitted.
    Intended {
        /// Which step.
        step: Step,
    },
    /// The engine had no room; nothing happened.
    Deferred {
        /// Which step.
        step: Step,
        /// When to try again.
        until: Timestamp,
        /// Why, in the engine's words.
        detail: String,
    },
    /// The engine took the job.
    JobSubmitted {
        /// Which step.
        step: Step,
        /// The job's id.
        job_id: String,
        /// Whether it was found by its name instead of answered to the submission.
        adopted: bool,
    },
    /// The submission ended without telling whether the engine took the job.
    OutcomeUnknown {
        /// Which step.
        step: Step,
        /// What went wrong.
        detail: String,
    },
    /// A look-up after the grace found no job of that name: the submission had no effect.
    NothingSubmitted {
        /// Which step.
        step: Step,
    },
    /// The engine refused the job.
    Rejected {
        /// Which step.
        step: Step,
        /// Why, in the engine's words.
        detail: String,
    },
    /// A job was seen.
    JobSeen {
        /// What was seen.
        job: Box<Job>,
    },
    /// A job that had not ended is unknown to the engine, past the grace.
    JobLost {
        /// Its id.
        job_id: String,
    },
    /// The engine was asked to end a job.
    Terminated {
        /// Which step's.
        step: Step,
    },
    /// Somebody wants the demand's end.
    CancelRequested {
        /// Who.
        by: Option<String>,
    },
    /// Somebody wants another attempt.
    RetryRequested {
        /// Who.
        by: Option<String>,
        /// The steps of the plan, and the names of their jobs in the new attempt.
        steps: Vec<(Step, String)>,
    },
    /// The working directory's time is over.
    CleanUpBegun {
        /// The name of the job that removes it.
        job_name: String,
    },
}

/// An event that makes no sense where the demand stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} is not possible: {why}")]
pub struct Illegal {
    /// The event's name.
    pub event: &'static str,
    /// Why not.
    pub why: &'static str,
}

/// How often the wait between removals that fail is doubled at most: from an hour to some days.
const LONGEST_DOUBLING: u32 = 6;

/// How long things are kept after a bad end, as the operator set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long the working directory of a failed or canceled demand is kept.
    pub failed: jiff::SignedDuration,
    /// How long after a failed removal the next one is tried; doubles with every failure. Longer than the window in which an
    /// older job of the same name could be taken for the new one.
    pub clean_up_again: jiff::SignedDuration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            failed: jiff::SignedDuration::from_hours(72),
            clean_up_again: jiff::SignedDuration::from_hours(1),
        }
    }
}

impl State {
    /// Makes one move, or says why it is illegal here. Gives the new state and what goes into the
    /// history; a move that changes nothing gives an empty history.
    pub fn apply(
        &self,
        event: &Event,
        retention: &Retention,
        at: Timestamp,
    ) -> Result<(Self, Vec<Entry>), Illegal> {
        let mut next = self.clone();
        let mut history = next.transition(event, at)?;
        if !history.is_empty() {
            next.updated_at = at;
            history.extend(next.settle(retention, at));
        }
        Ok((next, history))
    }

    fn transition(&mut self, event: &Event, at: Timestamp) -> Result<Vec<Entry>, Illegal> {
        match event {
            Event::Intended { step } => self.intended(*step, at),
            Event::Deferred { step, until, detail } => {
                let run = self.open_run(*step, "deferred")?;
                run.submission = Submission::Planned { not_before: Some(*until) };
                run.deferrals = run.deferrals.saturating_add(1);
                Ok(vec![Entry::of_run(EntryKind::SubmissionDeferred, at, run).detail(detail)])
            }
            Event::JobSubmitted { step, job_id, adopted } => {
                let run = self.open_run(*step, "job_submitted")?;
                run.submission = Submission::Submitted { job_id: job_id.clone(), at };
                let kind = if *adopted { EntryKind::JobAdopted } else { EntryKind::JobSubmitted };
                Ok(vec![Entry::of_run(kind, at, run).detail(job_id)])
            }
            Event::OutcomeUnknown { step, detail } => {
                let run = self.open_run(*step, "outcome_unknown")?;
                let Submission::Intended { at: intended_at, .. } = run.submission else {
                    return Err(Illegal { event: "outcome_unknown", why: "nothing was intended" });
                };
                run.submission = Submission::Intended { at: intended_at, given_up_at: Some(at) };
                Ok(vec![Entry::of_run(EntryKind::SubmissionUnknown, at, run).detail(detail)])
            }
            Event::NothingSubmitted { step } => {
                let stopping = self.is_stopping();
                let run = self.open_run(*step, "nothing_submitted")?;
                run.submission = if stopping && run.step != Step::CleanUp {
                    Submission::Skipped
                } else {
                    Submission::Planned { not_before: None }
                };
                Ok(vec![Entry::of_run(EntryKind::NothingSubmitted, at, run)])
            }
            Event::Rejected { step, detail } => {
                let run = self.open_run(*step, "rejected")?;
                run.submission = Submission::Rejected { detail: detail.clone() };
                Ok(vec![Entry::of_run(EntryKind::SubmissionRejected, at, run).detail(detail)])
            }
            Event::JobSeen { job } => Ok(self.job_seen(job, at)),
            Event::JobLost { job_id } => Ok(self.job_lost(job_id, at)),
            Event::Terminated { step } => {
                let Some(run) =
                    self.steps.iter_mut().rfind(|run| run.step == *step && run.is_live())
                else {
                    return Ok(Vec::new());
                };
                run.terminated_at = Some(at);
                Ok(vec![Entry::of_run(EntryKind::TerminationRequested, at, run)])
            }
            Event::CancelRequested { by } => self.cancel_requested(by.as_deref(), at),
            Event::RetryRequested { by, steps } => self.retry_requested(by.as_deref(), steps, at),
            Event::CleanUpBegun { job_name } => self.clean_up_begun(job_name, at),
        }
    }

    fn intended(&mut self, step: Step, at: Timestamp) -> Result<Vec<Entry>, Illegal> {
        if step != Step::CleanUp && self.is_stopping() {
            return Err(Illegal { event: "intended", why: "the attempt is ending" });
        }
        let run = self.open_run(step, "intended")?;
        if !matches!(run.submission, Submission::Planned { .. }) {
            return Err(Illegal { event: "intended", why: "the step's job may exist already" });
        }
        run.submission = Submission::Intended { at, given_up_at: None };
        Ok(vec![Entry::of_run(EntryKind::SubmissionIntended, at, run).detail(&run.job_name)])
    }

    fn job_seen(&mut self, job: &Job, at: Timestamp) -> Vec<Entry> {
        let Some(run) = self.steps.iter_mut().find(|run| run.job_id() == Some(&job.job_id)) else {
            return Vec::new();
        };
        // An ended job never changes; a late or reordered observation must not revive it.
        if run.job.as_ref() == Some(job) || run.has_ended() {
            return Vec::new();
        }
        let from = run.job.as_ref().map(|seen| seen.status);
        run.job = Some(job.clone());
        let mut entry = Entry::of_run(EntryKind::JobStatus, at, run).to(job.status.as_str());
        if let Some(from) = from {
            entry = entry.from(from.as_str());
        }
        if let Some(why) = job.status_reason.as_deref() {
            entry = entry.detail(why);
        }
        let makes_it = run.has_started() && run.step != Step::CleanUp;
        if makes_it {
            self.working_directory = WorkingDirectory::Present;
        }
        vec![entry]
    }

    fn job_lost(&mut self, job_id: &str, at: Timestamp) -> Vec<Entry> {
        let Some(run) =
            self.steps.iter_mut().find(|run| run.job_id() == Some(job_id) && run.is_live())
        else {
            return Vec::new();
        };
        run.lost = true;
        let entry = Entry::of_run(EntryKind::JobLost, at, run).detail(job_id);
        // It may have run unseen.
        if run.step != Step::CleanUp {
            self.working_directory = WorkingDirectory::Present;
        }
        vec![entry]
    }

    fn cancel_requested(&mut self, by: Option<&str>, at: Timestamp) -> Result<Vec<Entry>, Illegal> {
        if self.canceled_at.is_some() {
            return Ok(Vec::new());
        }
        if self.phase == Phase::Done {
            return Err(Illegal { event: "cancel", why: "the demand has ended" });
        }
        self.canceled_at = Some(at);
        Ok(vec![Entry::new(EntryKind::CancelRequested, at, self.attempt).maybe_detail(by)])
    }

    fn retry_requested(
        &mut self,
        by: Option<&str>,
        planned: &[(Step, String)],
        at: Timestamp,
    ) -> Result<Vec<Entry>, Illegal> {
        if self.phase != Phase::Done {
            return Err(Illegal { event: "retry", why: "the demand has not ended" });
        }
        if self.outcome == Some(Outcome::Completed) {
            return Err(Illegal { event: "retry", why: "the demand has completed" });
        }
        let from = self.first_to_repeat(planned);
        self.attempt += 1;
        self.phase = Phase::Accepted;
        self.phase_since = Some(at);
        self.outcome = None;
        self.reason = None;
        self.canceled_at = None;
        self.clean_up_due = None;
        self.finished_at = None;
        let attempt = self.attempt;
        self.steps.extend(
            planned[from..]
                .iter()
                .map(|(step, name)| StepRun::planned(*step, attempt, name.clone())),
        );
        let entry = Entry::new(EntryKind::RetryRequested, at, attempt)
            .from(Phase::Done.as_str())
            .to(Phase::Accepted.as_str())
            .maybe_detail(by);
        Ok(vec![entry])
    }

    fn clean_up_begun(&mut self, job_name: &str, at: Timestamp) -> Result<Vec<Entry>, Illegal> {
        if self.phase != Phase::Done || self.clean_up_due.is_none() {
            return Err(Illegal { event: "clean_up", why: "no removal is due" });
        }
        self.clean_up_due = None;
        self.working_directory = WorkingDirectory::Removing;
        let attempt = self.attempt;
        let same = |run: &StepRun| run.step == Step::CleanUp && run.attempt == attempt;
        let failures = self.steps.iter().filter(|run| same(run)).map(|run| run.failures + 1).max();
        // A removal that fails for ever must not make the state grow for ever.
        self.steps.retain(|run| !same(run));
        self.steps.push(StepRun {
            failures: failures.unwrap_or_default(),
            ..StepRun::planned(Step::CleanUp, attempt, job_name.to_owned())
        });
        Ok(vec![Entry::new(EntryKind::CleanUpBegun, at, self.attempt)])
    }

    /// The index in `planned` of the first step that did not succeed on the working directory as
    /// it is; 0 when that directory is gone.
    fn first_to_repeat(&self, planned: &[(Step, String)]) -> usize {
        if self.working_directory != WorkingDirectory::Present {
            return 0;
        }
        // What succeeded before the directory was last begun anew is of no use.
        let begun = self
            .steps
            .iter()
            .filter(|run| planned.first().is_some_and(|(first, _)| run.step == *first))
            .map(|run| run.attempt)
            .max();
        // A removal that failed may have removed some of it.
        let touched =
            self.steps.iter().any(|run| run.step == Step::CleanUp && Some(run.attempt) >= begun);
        if touched {
            return 0;
        }
        let done = |step| {
            self.steps
                .iter()
                .any(|run| run.step == step && Some(run.attempt) >= begun && run.has_succeeded())
        };
        planned.iter().position(|(step, _)| !done(*step)).unwrap_or(0)
    }

    /// Draws the consequences of what is known of the jobs: phase, end, reason, removal.
    fn settle(&mut self, retention: &Retention, at: Timestamp) -> Vec<Entry> {
        let mut history = self.settle_clean_up(retention, at);
        if self.phase == Phase::Done {
            return history;
        }
        if self.is_stopping() {
            let attempt = self.attempt;
            for run in self.steps.iter_mut().filter(|run| run.attempt == attempt) {
                if matches!(run.submission, Submission::Planned { .. }) && run.step != Step::CleanUp
                {
                    run.submission = Submission::Skipped;
                }
            }
        }
        let before = self.phase;
        self.phase = self.phase_now();
        if self.phase == Phase::Done {
            self.end(retention, at);
        }
        if self.phase != before {
            self.phase_since = Some(at);
            let mut entry = Entry::new(EntryKind::Phase, at, self.attempt)
                .from(before.as_str())
                .to(self.phase.as_str());
            if let Some(reason) = &self.reason {
                entry = entry.detail(&format!("{}: {}", reason.code.as_str(), reason.message));
            }
            history.push(entry);
        }
        history
    }

    fn phase_now(&self) -> Phase {
        let Some(open) = self.current().find(|run| !run.has_ended()) else {
            return Phase::Done;
        };
        if self.canceled_at.is_some() {
            return Phase::Canceling;
        }
        let unsubmitted = self.current().any(|run| {
            matches!(run.submission, Submission::Planned { .. } | Submission::Intended { .. })
        });
        // A job that runs is worth more to a reader than one that is not submitted yet.
        if unsubmitted && !self.current().any(StepRun::has_started) {
            return Phase::Accepted;
        }
        Phase::of_step(open.step)
    }

    fn end(&mut self, retention: &Retention, at: Timestamp) {
        let succeeded = self.current().next_back().is_none_or(StepRun::has_succeeded)
            && !self.current().any(StepRun::has_failed);
        self.finished_at = Some(at);
        if succeeded {
            self.outcome = Some(Outcome::Completed);
            if self.removes_working_directory {
                self.working_directory = WorkingDirectory::Gone;
            }
            return;
        }
        if self.canceled_at.is_some() {
            self.outcome = Some(Outcome::Aborted);
            self.reason =
                Some(Reason::new(ReasonCode::Canceled, "the demand was canceled".to_owned()));
        } else {
            self.outcome = Some(Outcome::Failed);
            self.reason = reason::root_cause(self.current());
        }
        if self.removes_working_directory && self.working_directory == WorkingDirectory::Present {
            self.clean_up_due = Some(at.saturating_add(retention.failed).unwrap_or(Timestamp::MAX));
        }
    }

    fn settle_clean_up(&mut self, retention: &Retention, at: Timestamp) -> Vec<Entry> {
        if self.working_directory != WorkingDirectory::Removing {
            return Vec::new();
        }
        let Some(run) = self.steps.iter().rfind(|run| run.step == Step::CleanUp) else {
            return Vec::new();
        };
        if !run.has_ended() {
            return Vec::new();
        }
        let entry = Entry::of_run(EntryKind::WorkingDirectory, at, run).from("removing");
        if run.has_succeeded() {
            self.working_directory = WorkingDirectory::Gone;
            return vec![entry.to("gone")];
        }
        let again = retention.clean_up_again * 2_i32.pow(run.failures.min(LONGEST_DOUBLING));
        self.working_directory = WorkingDirectory::Present;
        if self.phase == Phase::Done {
            self.clean_up_due = Some(at.saturating_add(again).unwrap_or(Timestamp::MAX));
        }
        vec![entry.to("present")]
    }

    /// The run of `step` that an event about its submission means: the last one, not yet ended
    /// and without a job.
    fn open_run(&mut self, step: Step, event: &'static str) -> Result<&mut StepRun, Illegal> {
        self.steps
            .iter_mut()
            .rfind(|run| run.step == step)
            .filter(|run| !run.has_ended() && run.job_id().is_none())
            .ok_or(Illegal { event, why: "the step has a job already, or has ended" })
    }
}
