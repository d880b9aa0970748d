//! The jobs in memory and what may happen next to them. No I/O: the engine keeps on disk what
//! this decides, and tells it what came of it.
//!
//! Jobs are taken in the order of their submission. The first that has no room holds up those
//! behind it, so that a large job is not passed by small ones for ever.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::record::{EndedJob, Submission, TryEnd};
use super::verdict::{self, Verdict};
use crate::engine::job::{Job, JobStatus, Try};
use crate::plan::submission::JobDependency;

/// Batch's `statusReason` of a job that never ran because of another one.
const DEPENDENCY_FAILED: &str = "Dependent Job failed";

/// A job that has not ended.
#[derive(Debug)]
pub(super) struct LiveJob {
    pub submission: Arc<Submission>,
    /// Every try so far, the one under way included.
    pub tries: Vec<Try>,
    pub stage: Stage,
    /// Why its end was asked for, where it was.
    pub terminate_reason: Option<String>,
}

/// How far a job that has not ended is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// For the jobs it depends on, or for room.
    Waiting,
    /// A supervisor is being started.
    Starting,
    /// The command runs.
    Running,
    /// It will not run again; its end is being recorded.
    Ending,
}

/// Something the engine is to do now.
#[derive(Debug)]
pub(super) enum Move {
    /// Start a try, the `number`th, counted from 1.
    Start { submission: Arc<Submission>, number: usize },
    /// Record the end of a job that will never run.
    End(Box<EndedJob>),
}

/// What became of a job whose try ended.
#[derive(Debug)]
pub(super) enum AfterTry {
    /// It waits for its next try.
    Again,
    /// It has ended.
    End(Box<EndedJob>),
}

/// Every job.
#[derive(Debug)]
pub(super) struct JobTable {
    slots: usize,
    /// By id; ids are UUIDs of version 7, so this is the order of submission.
    live: BTreeMap<String, LiveJob>,
    ended: HashMap<String, Ended>,
    /// What the jobs depend on, by their ids, whose submissions are being recorded.
    expected: HashMap<String, Vec<JobDependency>>,
}

/// A job that has ended.
#[derive(Debug)]
struct Ended {
    job_queue: String,
    job: Job,
    /// Since when this engine can tell of the end.
    known_since: Timestamp,
}

impl JobTable {
    pub fn new(slots: usize) -> Self {
        Self {
            slots: slots.max(1),
            live: BTreeMap::new(),
            ended: HashMap::new(),
            expected: HashMap::new(),
        }
    }

    /// Announces a job, so that what it depends on is there when the job comes. The id of what is
    /// not, where something is not.
    pub fn expect(&mut self, job_id: &str, depends_on: &[JobDependency]) -> Result<(), String> {
        let known = |dependency: &&JobDependency| !self.knows(&dependency.job_id);
        if let Some(unknown) = depends_on.iter().find(known) {
            return Err(unknown.job_id.clone());
        }
        self.expected.insert(job_id.to_owned(), depends_on.to_vec());
        Ok(())
    }

    /// The job will not come.
    pub fn no_longer_expect(&mut self, job_id: &str) {
        self.expected.remove(job_id);
    }

    pub fn insert_live(&mut self, job: LiveJob) {
        self.expected.remove(&job.submission.job_id);
        self.live.insert(job.submission.job_id.clone(), job);
    }

    /// The job has ended and its end is on record.
    pub fn insert_ended(&mut self, end: EndedJob, now: Timestamp) {
        let EndedJob { job_queue, job } = end;
        self.live.remove(&job.job_id);
        self.ended.insert(job.job_id.clone(), Ended { job_queue, job, known_since: now });
    }

    /// The jobs that ended before one moment and are known to have since another, oldest first.
    pub fn ended_before(&self, ended: Timestamp, known: Timestamp) -> Vec<String> {
        let old = self.ended.values().filter(|end| {
            end.known_since < known && end.job.stopped_at.is_some_and(|stopped| stopped < ended)
        });
        let mut ids: Vec<String> = old.map(|end| end.job.job_id.clone()).collect();
        ids.sort();
        ids
    }

    /// Forgets those of these ended jobs that no live one depends on, and answers which.
    pub fn forget(&mut self, job_ids: &[String]) -> Vec<String> {
        let live = self.live.values().map(|job| &job.submission.submit_job.depends_on);
        let needed: HashSet<&str> = live
            .chain(self.expected.values())
            .flatten()
            .map(|dependency| dependency.job_id.as_str())
            .collect();
        let ended = &mut self.ended;
        let free = job_ids.iter().filter(|job_id| !needed.contains(job_id.as_str()));
        free.filter(|job_id| ended.remove(*job_id).is_some()).cloned().collect()
    }

    /// The ids of the definitions that the jobs run on.
    pub fn definitions(&self) -> HashSet<String> {
        let live = self.live.values().map(|job| &job.submission.definition_id);
        live.chain(self.ended.values().map(|end| &end.job.job_definition)).cloned().collect()
    }

    /// The jobs that have a try under way, as far as is known, with its number.
    pub fn placed(&self) -> Vec<(Arc<Submission>, usize)> {
        self.in_slots().map(|job| (Arc::clone(&job.submission), job.tries.len())).collect()
    }

    pub fn knows(&self, job_id: &str) -> bool {
        self.live.contains_key(job_id) || self.ended.contains_key(job_id)
    }

    pub fn is_live(&self, job_id: &str) -> bool {
        self.live.contains_key(job_id)
    }

    /// The job as reported.
    pub fn job(&self, job_id: &str) -> Option<Job> {
        match self.live.get(job_id) {
            Some(job) => Some(self.describe(job)),
            None => self.ended.get(job_id).map(|end| end.job.clone()),
        }
    }

    /// The jobs of a queue with a name, oldest first.
    pub fn named(&self, job_queue: &str, job_name: &str) -> Vec<Job> {
        let ended = self.ended.values().filter(|end| end.job_queue == job_queue);
        let live = self.live.values().filter(|job| {
            let call = &job.submission.submit_job;
            call.job_queue == job_queue && call.job_name == job_name
        });
        let mut jobs: Vec<Job> = ended
            .filter(|end| end.job.job_name == job_name)
            .map(|end| end.job.clone())
            .chain(live.map(|job| self.describe(job)))
            .collect();
        jobs.sort_by(|one, other| one.job_id.cmp(&other.job_id));
        jobs
    }

    /// What can be done now. Each move is given once; the jobs concerned are no longer waiting.
    pub fn moves(&mut self, now: Timestamp) -> Vec<Move> {
        let mut free = self.slots.saturating_sub(self.taken());
        let mut held_up = false;
        let waiting: Vec<String> = self
            .live
            .iter()
            .filter(|(_, job)| job.stage == Stage::Waiting)
            .map(|(job_id, _)| job_id.clone())
            .collect();
        let mut moves = Vec::new();
        for job_id in waiting {
            let Some(job) = self.live.get(&job_id) else { continue };
            // Asked for before an earlier service ended, which came no further.
            if let Some(reason) = job.terminate_reason.clone() {
                moves.extend(self.give_up(&job_id, &reason, now).map(Move::End));
                continue;
            }
            match self.dependencies(job) {
                Dependencies::Failed => {
                    moves.extend(self.give_up(&job_id, DEPENDENCY_FAILED, now).map(Move::End));
                }
                Dependencies::Succeeded if !held_up => {
                    let slots = self.slots_of(job);
                    held_up = slots > free;
                    if !held_up {
                        free -= slots;
                        moves.extend(self.start(&job_id));
                    }
                }
                Dependencies::Succeeded | Dependencies::Unfinished => {}
            }
        }
        moves
    }

    fn start(&mut self, job_id: &str) -> Option<Move> {
        let job = self.live.get_mut(job_id)?;
        job.stage = Stage::Starting;
        let submission = Arc::clone(&job.submission);
        Some(Move::Start { submission, number: job.tries.len() + 1 })
    }

    /// The try's command runs.
    pub fn try_started(&mut self, job_id: &str, number: usize, running: Try) {
        if let Some(job) = self.live.get_mut(job_id) {
            job.stage = Stage::Running;
            job.tries.truncate(number - 1);
            job.tries.push(running);
        }
    }

    /// The try has ended. Nothing where the job is not known.
    pub fn try_ended(
        &mut self,
        job_id: &str,
        number: usize,
        ended: Try,
        end: &TryEnd,
    ) -> Option<AfterTry> {
        let job = self.live.get_mut(job_id)?;
        job.tries.truncate(number - 1);
        job.tries.push(ended);
        let strategy = &job.submission.submit_job.retry_strategy;
        let (status, reason) =
            match verdict::judge(strategy, number, end, job.terminate_reason.as_deref()) {
                Verdict::Again => {
                    job.stage = Stage::Waiting;
                    return Some(AfterTry::Again);
                }
                Verdict::Succeeded => (JobStatus::Succeeded, end.status_reason().to_owned()),
                Verdict::Failed(reason) => (JobStatus::Failed, reason),
            };
        job.stage = Stage::Ending;
        self.end(job_id, status, reason, end.stopped_at).map(AfterTry::End)
    }

    /// Somebody wants the job ended. The end, where it has not started.
    pub fn terminate(
        &mut self,
        job_id: &str,
        reason: &str,
        now: Timestamp,
    ) -> Option<Box<EndedJob>> {
        let job = self.live.get_mut(job_id)?;
        job.terminate_reason = Some(reason.to_owned());
        if job.stage == Stage::Waiting { self.give_up(job_id, reason, now) } else { None }
    }

    fn give_up(&mut self, job_id: &str, reason: &str, now: Timestamp) -> Option<Box<EndedJob>> {
        self.live.get_mut(job_id)?.stage = Stage::Ending;
        self.end(job_id, JobStatus::Failed, reason.to_owned(), now)
    }

    fn end(
        &self,
        job_id: &str,
        status: JobStatus,
        reason: String,
        stopped_at: Timestamp,
    ) -> Option<Box<EndedJob>> {
        let live = self.live.get(job_id)?;
        let job = Job {
            status,
            status_reason: Some(reason),
            stopped_at: Some(stopped_at),
            ..self.describe(live)
        };
        let job_queue = live.submission.submit_job.job_queue.clone();
        Some(Box::new(EndedJob { job_queue, job }))
    }

    fn describe(&self, job: &LiveJob) -> Job {
        let last = job.tries.last();
        Job {
            job_id: job.submission.job_id.clone(),
            job_name: job.submission.submit_job.job_name.clone(),
            job_definition: job.submission.definition_id.clone(),
            status: self.status(job),
            status_reason: None,
            container_reason: last.and_then(|last| last.container_reason.clone()),
            exit_code: last.and_then(|last| last.exit_code),
            log_stream: last.and_then(|last| last.log_stream.clone()),
            created_at: job.submission.created_at,
            started_at: last.and_then(|last| last.started_at),
            stopped_at: None,
            tries: job.tries.clone(),
        }
    }

    fn status(&self, job: &LiveJob) -> JobStatus {
        match job.stage {
            Stage::Waiting | Stage::Ending if job.tries.is_empty() => {
                match self.dependencies(job) {
                    Dependencies::Succeeded => JobStatus::Runnable,
                    Dependencies::Unfinished | Dependencies::Failed => JobStatus::Pending,
                }
            }
            Stage::Waiting => JobStatus::Runnable,
            Stage::Starting => JobStatus::Starting,
            Stage::Running | Stage::Ending => JobStatus::Running,
        }
    }

    /// A job that is not known any more cannot succeed.
    fn dependencies(&self, job: &LiveJob) -> Dependencies {
        let mut all = Dependencies::Succeeded;
        for dependency in &job.submission.submit_job.depends_on {
            match self.ended.get(&dependency.job_id) {
                Some(end) if end.job.status == JobStatus::Succeeded => {}
                None if self.is_live(&dependency.job_id) => all = Dependencies::Unfinished,
                Some(_) | None => return Dependencies::Failed,
            }
        }
        all
    }

    fn taken(&self) -> usize {
        self.in_slots().map(|job| self.slots_of(job)).sum()
    }

    fn in_slots(&self) -> impl Iterator<Item = &LiveJob> {
        self.live.values().filter(|job| matches!(job.stage, Stage::Starting | Stage::Running))
    }

    /// A job that wants more than there is takes all.
    fn slots_of(&self, job: &LiveJob) -> usize {
        job.submission.slots().min(self.slots)
    }
}

enum Dependencies {
    Succeeded,
    Unfinished,
    Failed,
}
