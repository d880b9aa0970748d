//! An engine in memory that does what engines do to callers: it loses answers, refuses, has no
//! room, forgets, and takes its time. Jobs succeed as soon as those they depend on have.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use demand_context_manager::engine::job::{EngineKind, Job, JobStatus, LogPage};
use demand_context_manager::engine::{Engine, EngineError, LogsError, SubmitError};
use demand_context_manager::plan::submission::{JobDefinition, SubmitJob};
use jiff::Timestamp;
use tokio::sync::{Notify, RwLock};

/// What happens to a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is taken, and the answer arrives.
    Taken,
    /// It is taken, and the answer is lost.
    AnswerLost,
    /// It is lost on the way.
    CallLost,
    /// There is no room.
    NoRoom,
    /// It is refused.
    Refused,
}

/// When, around an effect, the caller dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

#[derive(Default)]
struct Inside {
    jobs: Vec<(Job, SubmitJob)>,
    definitions: Vec<String>,
    fates: VecDeque<Fate>,
    calls: usize,
    crash: Option<(usize, Moment)>,
    described: Vec<usize>,
    forgetful: bool,
    idle: bool,
}

/// The engine; cheap to clone.
#[derive(Clone, Default)]
pub struct Peer {
    inside: Arc<Mutex<Inside>>,
    /// Told when the caller is to die.
    pub crashing: Arc<Notify>,
    /// Whoever holds it for writing holds up all definitions, and so all submissions.
    pub gate: Arc<RwLock<()>>,
}

impl Peer {
    /// The fates of the next submissions; those after them are taken.
    pub fn with_fates(fates: impl IntoIterator<Item = Fate>) -> Self {
        let peer = Self::default();
        peer.inside.lock().unwrap().fates = fates.into_iter().collect();
        peer
    }

    /// Hangs at the `call`-th call from now on, before or after its effect.
    pub fn crash_at(&self, call: usize, moment: Moment) {
        let mut inside = self.inside.lock().unwrap();
        inside.calls = 0;
        inside.crash = Some((call, moment));
    }

    /// Leaves jobs as they are from now on.
    pub fn idle(&self) {
        self.inside.lock().unwrap().idle = true;
    }

    /// Knows no job from now on.
    pub fn forget(&self) {
        self.inside.lock().unwrap().forgetful = true;
    }

    /// Every job ever taken.
    pub fn jobs(&self) -> Vec<Job> {
        self.inside.lock().unwrap().jobs.iter().map(|(job, _)| job.clone()).collect()
    }

    pub fn definitions(&self) -> usize {
        self.inside.lock().unwrap().definitions.len()
    }

    /// How many ids each DescribeJobs had.
    pub fn described(&self) -> Vec<usize> {
        self.inside.lock().unwrap().described.clone()
    }

    /// Puts a job there that somebody else submitted.
    pub fn plant(&self, job: Job) {
        let submission = SubmitJob {
            job_name: job.job_name.clone(),
            job_queue: "queue".to_owned(),
            job_definition: job.job_definition.clone(),
            depends_on: Vec::new(),
            container_overrides: demand_context_manager::plan::submission::ContainerOverrides {
                command: Vec::new(),
                environment: Vec::new(),
                resource_requirements: Vec::new(),
            },
            retry_strategy: demand_context_manager::plan::submission::RetryStrategy {
                attempts: 1,
                evaluate_on_exit: Vec::new(),
            },
            timeout: None,
            tags: indexmap::IndexMap::new(),
            propagate_tags: false,
        };
        self.inside.lock().unwrap().jobs.push((job, submission));
    }

    async fn call(&self, moment: Moment) {
        let crash = {
            let mut inside = self.inside.lock().unwrap();
            if moment == Moment::Before {
                inside.calls += 1;
            }
            inside.crash == Some((inside.calls, moment))
        };
        if crash {
            self.inside.lock().unwrap().crash = None;
            self.crashing.notify_one();
            std::future::pending::<()>().await;
        }
    }

    fn take(&self, submission: &SubmitJob) -> String {
        let mut inside = self.inside.lock().unwrap();
        let job_id = format!("job-{}", inside.jobs.len() + 1);
        let mut job = super::job(&job_id, JobStatus::Submitted);
        job.job_name.clone_from(&submission.job_name);
        job.job_definition.clone_from(&submission.job_definition);
        job.created_at = Timestamp::now();
        inside.jobs.push((job, submission.clone()));
        job_id
    }
}

#[async_trait]
impl Engine for Peer {
    fn kind(&self) -> EngineKind {
        EngineKind::Local
    }

    async fn define(&self, definition: &JobDefinition) -> Result<String, SubmitError> {
        self.call(Moment::Before).await;
        let _passed = self.gate.read().await;
        let index = {
            let mut inside = self.inside.lock().unwrap();
            let hash = &definition.content_hash;
            let known = inside.definitions.iter().position(|other| other == hash);
            known.unwrap_or_else(|| {
                inside.definitions.push(hash.clone());
                inside.definitions.len() - 1
            })
        };
        self.call(Moment::After).await;
        Ok(format!("{}:{}", definition.register.job_definition_name, index + 1))
    }

    async fn submit(&self, job: &SubmitJob) -> Result<String, SubmitError> {
        self.call(Moment::Before).await;
        let fate = self.inside.lock().unwrap().fates.pop_front().unwrap_or(Fate::Taken);
        let answer = match fate {
            Fate::Taken => Ok(self.take(job)),
            Fate::AnswerLost => {
                self.take(job);
                Err(SubmitError::Ambiguous("connection reset".to_owned()))
            }
            Fate::CallLost => Err(SubmitError::Ambiguous("connection reset".to_owned())),
            Fate::NoRoom => Err(SubmitError::Retryable("Too Many Requests".to_owned())),
            Fate::Refused => Err(SubmitError::Permanent("no such queue".to_owned())),
        };
        self.call(Moment::After).await;
        answer
    }

    async fn find(&self, _: &str, job_name: &str) -> Result<Vec<Job>, EngineError> {
        self.call(Moment::Before).await;
        Ok(self.jobs().into_iter().filter(|job| job.job_name == job_name).collect())
    }

    async fn describe(&self, job_ids: &[String]) -> Result<Vec<Job>, EngineError> {
        let mut inside = self.inside.lock().unwrap();
        inside.described.push(job_ids.len());
        if inside.forgetful {
            return Ok(Vec::new());
        }
        let known: Vec<(String, JobStatus)> =
            inside.jobs.iter().map(|(job, _)| (job.job_id.clone(), job.status)).collect();
        let status =
            |id: &str| known.iter().find(|(other, _)| other == id).map(|(_, status)| *status);
        let idle = inside.idle;
        for (job, submission) in &mut inside.jobs {
            if idle || job.status.is_terminal() {
                continue;
            }
            let of_others: Vec<_> =
                submission.depends_on.iter().map(|other| status(&other.job_id)).collect();
            let ends = if of_others.contains(&Some(JobStatus::Failed)) {
                JobStatus::Failed
            } else if of_others.iter().all(|other| *other == Some(JobStatus::Succeeded)) {
                JobStatus::Succeeded
            } else {
                continue;
            };
            end(job, ends);
        }
        let jobs = inside.jobs.iter().map(|(job, _)| job);
        Ok(jobs.filter(|job| job_ids.contains(&job.job_id)).cloned().collect())
    }

    async fn terminate(&self, job_id: &str, reason: &str) -> Result<(), EngineError> {
        let mut inside = self.inside.lock().unwrap();
        let job = inside.jobs.iter_mut().map(|(job, _)| job).find(|job| job.job_id == job_id);
        if let Some(job) = job.filter(|job| !job.status.is_terminal()) {
            end(job, JobStatus::Failed);
            job.status_reason = Some(reason.to_owned());
        }
        Ok(())
    }

    async fn logs(&self, _: &str, _: Option<&str>, _: usize) -> Result<LogPage, LogsError> {
        Ok(LogPage { lines: Vec::new(), next_cursor: String::new() })
    }

    async fn ready(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
}

fn end(job: &mut Job, status: JobStatus) {
    let ended = super::job(&job.job_id, status);
    *job = Job {
        job_name: job.job_name.clone(),
        job_definition: job.job_definition.clone(),
        created_at: job.created_at,
        ..ended
    };
}
