//! What a demand's trace tells of it: its steps as they end, and the whole of it in the end.

use super::record::Record;
use super::state::{Phase, State};
use super::step_run::{StepRun, Submission};
use crate::plan::submission::Step;
use crate::telemetry::traces::{Past, tell};

/// The demand of `record` has become `to`.
pub(super) fn moved(record: &Record, to: &State) {
    let traceparent = record.traceparent.as_deref();
    if traceparent.is_none() {
        return;
    }
    let ended_before = |run: &StepRun| {
        let same = |old: &&StepRun| old.job_name == run.job_name && old.attempt == run.attempt;
        record.state.steps.iter().find(same).is_some_and(StepRun::has_ended)
    };
    for run in to.steps.iter().filter(|run| run.has_ended() && !ended_before(run)) {
        let job = run.job.as_ref();
        let why = match &run.submission {
            Submission::Rejected { detail } => detail,
            Submission::Skipped => continue,
            _ if run.lost => "the engine forgot the job",
            _ => job.and_then(|job| job.status_reason.as_deref()).unwrap_or("failed"),
        };
        tell(
            traceparent,
            Past {
                name: run.step.as_str(),
                begun: job.map_or(to.updated_at, |job| job.created_at),
                ended: job.and_then(|job| job.stopped_at).unwrap_or(to.updated_at),
                failure: (!run.has_succeeded()).then_some(why),
                attributes: vec![
                    ("execution.id", record.execution_id.clone()),
                    ("attempt", run.attempt.to_string()),
                    ("job.id", run.job_id().unwrap_or_default().to_owned()),
                    ("job.name", run.job_name.clone()),
                ],
            },
        );
    }
    if record.state.phase != Phase::Done && to.phase == Phase::Done {
        let reason = to.reason.as_ref();
        tell(
            traceparent,
            Past {
                name: "demand",
                begun: begun(record, to),
                ended: to.finished_at.unwrap_or(to.updated_at),
                failure: reason.map(|reason| reason.message.as_str()),
                attributes: vec![
                    ("execution.id", record.execution_id.clone()),
                    ("execution.type", record.execution_type.clone()),
                    ("attempt", to.attempt.to_string()),
                    ("status", to.status().as_str().to_owned()),
                    ("reason", reason.map_or("none", |reason| reason.code.as_str()).to_owned()),
                ],
            },
        );
    }
}

/// When the attempt that ended began, as far as its jobs tell.
fn begun(record: &Record, ended: &State) -> jiff::Timestamp {
    if ended.attempt == 1 {
        return record.created_at;
    }
    let own = ended.steps.iter().filter(|run| run.attempt == ended.attempt);
    let jobs = own.filter(|run| run.step != Step::CleanUp).filter_map(|run| run.job.as_ref());
    jobs.map(|job| job.created_at).min().unwrap_or(ended.updated_at)
}
