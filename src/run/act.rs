//! Acts on what [`decide`](super::decide) answers: submissions, look-ups, terminations, removals.
//!
//! Intent before effect: what is about to be submitted is stored first, so that whatever happens
//! between the engine's taking a job and the store's taking its id, the next look at the store
//! shows a step whose job may exist, and a look-up by name settles it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use super::decide::{Next, Timing, decide};
use super::step_run::Submission;
use super::transition::Event;
use super::transitions::{TransitionError, Transitions};
use crate::engine::job::Job;
use crate::engine::{Engine, EngineError, SubmitError};
use crate::plan::submission::{JobDependency, PlannedStep, Step, SubmitJob};
use crate::run::record::Record;
use crate::store::StoreError;
use crate::telemetry::{chain, traces};

/// A job created longer than this before the intent belongs to something else of the same name;
/// the clocks of service and engine differ by less.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The longest wait before a submission that found no room is tried again.
const LONGEST_DEFERRAL: Duration = Duration::from_mins(1);

#[derive(Debug, thiserror::Error)]
pub(super) enum ActError {
    #[error(transparent)]
    Transition(#[from] TransitionError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the plan of demand {execution_id} has no step {step}")]
    NoStep { execution_id: String, step: &'static str },
}

/// Acts for one demand at a time; cheap to clone.
#[derive(Clone)]
pub(super) struct Actor {
    pub(super) transitions: Transitions,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) timing: Timing,
}

impl Actor {
    /// Does what there is to do for the demand now. Gives the version it has dealt with and when
    /// to look again at the latest; nothing if the demand is not there.
    pub(super) async fn act(
        &self,
        execution_id: &str,
    ) -> Result<Option<(i64, Option<Timestamp>)>, ActError> {
        loop {
            let Some(record) = self.transitions.store.get(execution_id).await? else {
                return Ok(None);
            };
            match decide(&record.state, Timestamp::now(), &self.timing) {
                Next::Wait { until } => return Ok(Some((record.version, until))),
                Next::Submit(step) => {
                    let span = in_trace_of(&record, step, || info_span!("submit"));
                    self.submit(&record, step).instrument(span).await?;
                }
                Next::LookUp(step) => {
                    let span = in_trace_of(&record, step, || info_span!("look_up"));
                    self.look_up(&record, step).instrument(span).await?;
                }
                Next::Terminate(jobs) => self.terminate(&record, jobs).await?,
                Next::BeginCleanUp => self.begin_clean_up(&record).await?,
            }
        }
    }

    async fn submit(&self, record: &Record, step: Step) -> Result<(), ActError> {
        let id = &record.execution_id;
        let planned = self.planned(id, step).await?;
        let record = match self.transitions.apply_one(id, Event::Intended { step }).await {
            Ok(record) => record,
            // Canceled meanwhile, for one; the next decision knows.
            Err(TransitionError::Illegal(illegal)) => {
                debug!(execution.id = %id, step = step.as_str(), %illegal, "not submitted");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let Some(job) = submission(&record, step, planned.submit_job) else {
            return Ok(());
        };
        let submitted = match self.engine.define(&planned.job_definition).await {
            Ok(job_definition) => self.engine.submit(&SubmitJob { job_definition, ..job }).await,
            // A definition may be registered twice without harm: nothing was submitted.
            Err(SubmitError::Ambiguous(why)) => Err(SubmitError::Retryable(why)),
            Err(error) => Err(error),
        };
        let event = match submitted {
            Ok(job_id) => {
                info!(execution.id = %id, step = step.as_str(), job.id = %job_id, "submitted");
                Event::JobSubmitted { step, job_id, adopted: false }
            }
            Err(SubmitError::Retryable(detail)) => {
                let until = later(deferral(&record, step));
                warn!(execution.id = %id, step = step.as_str(), %detail, %until, "deferred");
                Event::Deferred { step, until, detail }
            }
            Err(SubmitError::Permanent(detail)) => {
                warn!(execution.id = %id, step = step.as_str(), %detail, "rejected");
                Event::Rejected { step, detail }
            }
            Err(SubmitError::Ambiguous(detail)) => {
                warn!(execution.id = %id, step = step.as_str(), %detail, "outcome unknown");
                Event::OutcomeUnknown { step, detail }
            }
        };
        self.transitions.apply_one(id, event).await?;
        Ok(())
    }

    async fn look_up(&self, record: &Record, step: Step) -> Result<(), ActError> {
        let id = &record.execution_id;
        let Some(run) = record.state.steps.iter().rfind(|run| run.step == step) else {
            return Ok(());
        };
        let Submission::Intended { at, .. } = run.submission else { return Ok(()) };
        let planned = self.planned(id, step).await?;
        // By name, not revision: the job was submitted on the revision of that time, and another
        // may have been registered since.
        let definition = planned.job_definition.register.job_definition_name.as_str();
        let oldest = at.saturating_sub(CLOCK_SKEW).unwrap_or(Timestamp::MIN);
        let mut found: Vec<Job> = self
            .engine
            .find(&planned.submit_job.job_queue, &run.job_name)
            .await?
            .into_iter()
            .filter(|job| {
                job.job_name == run.job_name
                    && definition_name(&job.job_definition) == definition
                    && job.created_at >= oldest
            })
            .collect();
        found.sort_by_key(|job| (job.created_at, job.job_id.clone()));
        let mut found = found.into_iter();
        let Some(job) = found.next() else {
            info!(execution.id = %id, step = step.as_str(), "nothing had been submitted");
            self.transitions.apply_one(id, Event::NothingSubmitted { step }).await?;
            return Ok(());
        };
        for surplus in found.filter(|job| !job.status.is_terminal()) {
            warn!(execution.id = %id, job.id = %surplus.job_id, "ending a surplus job");
            self.engine.terminate(&surplus.job_id, "submitted more than once").await?;
        }
        info!(execution.id = %id, step = step.as_str(), job.id = %job.job_id, "adopted");
        let event = Event::JobSubmitted { step, job_id: job.job_id, adopted: true };
        self.transitions.apply_one(id, event).await?;
        Ok(())
    }

    async fn terminate(&self, record: &Record, jobs: Vec<(Step, String)>) -> Result<(), ActError> {
        let why = if record.state.canceled_at.is_some() {
            "the demand was canceled"
        } else {
            "another step of the demand cannot run"
        };
        for (step, job_id) in jobs {
            self.engine.terminate(&job_id, why).await?;
            info!(execution.id = %record.execution_id, job.id = %job_id, "termination requested");
            self.transitions.apply_one(&record.execution_id, Event::Terminated { step }).await?;
        }
        Ok(())
    }

    async fn begin_clean_up(&self, record: &Record) -> Result<(), ActError> {
        let id = &record.execution_id;
        let submission = self.transitions.submission(id).await?;
        let job_name = submission.job_names.job_name(Step::CleanUp, record.state.attempt);
        match self.transitions.apply_one(id, Event::CleanUpBegun { job_name }).await {
            // A retry came first.
            Ok(_) | Err(TransitionError::Illegal(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn planned(&self, execution_id: &str, step: Step) -> Result<PlannedStep, ActError> {
        let submission = self.transitions.submission(execution_id).await?;
        submission
            .steps
            .into_iter()
            .chain(submission.clean_up)
            .find(|planned| planned.step == step)
            .ok_or_else(|| ActError::NoStep {
                execution_id: execution_id.to_owned(),
                step: step.as_str(),
            })
    }
}

/// A span of the demand's trace, where it has one.
fn in_trace_of(record: &Record, step: Step, span: impl FnOnce() -> Span) -> Span {
    if record.traceparent.is_none() {
        return Span::none();
    }
    let span = span();
    traces::continue_trace(&span, record.traceparent.as_deref());
    traces::describe(&span, [("execution.id", &record.execution_id), ("step", step.as_str())]);
    span
}

/// The name in `name:revision`, or in the ARN that ends so.
fn definition_name(job_definition: &str) -> &str {
    let named = job_definition.rsplit('/').next().unwrap_or(job_definition);
    named.rsplit_once(':').map_or(named, |(name, _)| name)
}

/// The call that submits the step's job in the current attempt, but for its definition's revision.
fn submission(record: &Record, step: Step, planned: SubmitJob) -> Option<SubmitJob> {
    let run = record.state.steps.iter().rfind(|run| run.step == step)?;
    let depends_on = record
        .state
        .current()
        .take_while(|before| before.step != step)
        .last()
        .and_then(|before| before.job_id())
        .filter(|_| step != Step::CleanUp)
        .map(|job_id| JobDependency { job_id: job_id.to_owned() });
    Some(SubmitJob {
        job_name: run.job_name.clone(),
        depends_on: depends_on.into_iter().collect(),
        ..planned
    })
}

/// Doubles from one second with every time there was no room, and spreads by half.
fn deferral(record: &Record, step: Step) -> Duration {
    let before =
        record.state.steps.iter().rfind(|run| run.step == step).map_or(0, |run| run.deferrals);
    backoff(before)
}

/// The wait after `failures` failures of the same thing.
pub(super) fn backoff(failures: u32) -> Duration {
    let whole =
        Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_DEFERRAL);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

fn later(by: Duration) -> Timestamp {
    Timestamp::now().saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Reports what made acting fail; the demand is tried again.
pub(super) fn report_failure(execution_id: &str, failed: &ActError) {
    if let ActError::Engine(_) = failed {
        warn!(execution.id = %execution_id, error = %chain(failed), "the engine failed");
    } else {
        error!(execution.id = %execution_id, error = %chain(failed), "acting failed");
    }
}
