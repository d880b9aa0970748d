//! A machine to run jobs on, jobs to run, and ways to wait for what becomes of them.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use demand_context_manager::engine::Engine;
use demand_context_manager::engine::job::{Job, JobStatus};
use demand_context_manager::engine::local::{LocalEngine, LocalSettings};
use demand_context_manager::plan::submission::{JobDefinition, SubmitJob};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take; far more than it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory for an engine, and one for what jobs write.
pub struct Machine {
    directory: TempDir,
    pub slots: usize,
    pub demand_binary: PathBuf,
    pub keep_jobs: Duration,
}

impl Machine {
    pub fn with_slots(slots: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("out")).unwrap();
        let demand_binary = PathBuf::from(env!("CARGO_BIN_EXE_demand"));
        let keep_jobs = Duration::from_hours(24);
        Self { directory, slots, demand_binary, keep_jobs }
    }

    /// An engine on what earlier ones left.
    pub async fn open(&self) -> LocalEngine {
        let pairs = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("HOME", "/".to_owned()),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9".to_owned()),
            ("OUT", self.out("").to_string_lossy().into_owned()),
        ];
        let settings = LocalSettings {
            root: self.root(),
            slots: self.slots,
            demand_binary: self.demand_binary.clone(),
            environment: pairs.map(|(name, value)| (name.to_owned(), value)).into(),
            terminate_grace: Duration::from_millis(500),
            keep_jobs: self.keep_jobs,
        };
        LocalEngine::open(settings).await.unwrap()
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().join("jobs")
    }

    /// How many definitions are on record.
    pub fn definitions(&self) -> usize {
        std::fs::read_dir(self.root().join("definitions")).unwrap().count()
    }

    /// The directory of a job's try.
    pub fn try_dir(&self, job_id: &str, number: usize) -> PathBuf {
        self.root().join(job_id).join(format!("try-{number}"))
    }

    /// A file that jobs write as `$OUT/<name>`.
    pub fn out(&self, name: &str) -> PathBuf {
        self.directory.path().join("out").join(name)
    }

    /// The lines of such a file; none where it does not exist.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let content = std::fs::read_to_string(self.out(name)).unwrap_or_default();
        content.lines().map(str::to_owned).collect()
    }

    /// The first line of such a file as a pid, as soon as there is one.
    pub async fn pid(&self, name: &str) -> i32 {
        eventually(name, async || self.lines(name).first()?.parse().ok()).await
    }

    /// The pid of a running try's supervisor.
    pub fn supervisor(&self, job_id: &str, number: usize) -> i32 {
        let record = std::fs::read(self.try_dir(job_id, number).join("process.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        record["family"]["supervisor"]["pid"].to_string().parse().unwrap()
    }
}

/// A definition; another `image` makes other content.
pub fn definition(image: &str) -> JobDefinition {
    let register = json!({
        "jobDefinitionName": "work",
        "type": "container",
        "containerProperties": {
            "image": image,
            "command": [],
            "resourceRequirements": [],
            "mountPoints": [],
            "volumes": [],
            "privileged": false,
        },
        "retryStrategy": {"attempts": 1, "evaluateOnExit": []},
        "tags": {},
    });
    serde_json::from_value(
        json!({"content_hash": format!("hash-of-{image}"), "register": register}),
    )
    .unwrap()
}

/// A job to submit.
#[derive(Clone)]
pub struct Call(pub SubmitJob);

impl Call {
    /// One that runs `script` under bash, once, on one slot.
    pub fn bash(script: &str) -> Self {
        Self::of(&["/bin/bash", "-c", script])
    }

    pub fn of(command: &[&str]) -> Self {
        let call = json!({
            "jobName": "a-job",
            "jobQueue": "a-queue",
            "jobDefinition": "work",
            "dependsOn": [],
            "containerOverrides": {
                "command": command,
                "environment": [],
                "resourceRequirements": [{"type": "VCPU", "value": "1"}],
            },
            "retryStrategy": {"attempts": 1, "evaluateOnExit": []},
            "tags": {},
            "propagateTags": true,
        });
        Self(serde_json::from_value(call).unwrap())
    }

    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.0.job_name);
        self
    }

    pub fn after(mut self, job_id: &str) -> Self {
        self.0.depends_on.push(serde_json::from_value(json!({"jobId": job_id})).unwrap());
        self
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        let pair = serde_json::from_value(json!({"name": name, "value": value})).unwrap();
        self.0.container_overrides.environment.push(pair);
        self
    }

    pub fn vcpus(mut self, vcpus: &str) -> Self {
        vcpus.clone_into(&mut self.0.container_overrides.resource_requirements[0].value);
        self
    }

    /// Up to `attempts` tries under the rules a plan sends: lost hosts only.
    pub fn retried_when_lost(self, attempts: u32) -> Self {
        let rules = json!([
            {"action": "RETRY", "onStatusReason": "Host EC2*"},
            {"action": "EXIT", "onStatusReason": "*"},
        ]);
        self.retried(attempts, rules)
    }

    pub fn retried(mut self, attempts: u32, rules: Value) -> Self {
        self.0.retry_strategy.attempts = attempts;
        self.0.retry_strategy.evaluate_on_exit = serde_json::from_value(rules).unwrap();
        self
    }

    pub fn at_most(mut self, seconds: u32) -> Self {
        let timeout = json!({"attemptDurationSeconds": seconds});
        self.0.timeout = Some(serde_json::from_value(timeout).unwrap());
        self
    }

    pub async fn submit(&self, engine: &LocalEngine) -> String {
        engine.define(&definition("image:1")).await.unwrap();
        engine.submit(&self.0).await.unwrap()
    }
}

/// What `look` finds, as soon as it finds something.
pub async fn eventually<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

pub async fn job(engine: &LocalEngine, job_id: &str) -> Job {
    engine.describe(&[job_id.to_owned()]).await.unwrap().pop().unwrap()
}

/// The job, as soon as it has this status; an end with another one is a failure.
pub async fn reaches(engine: &LocalEngine, job_id: &str, status: JobStatus) -> Job {
    eventually(&format!("{job_id} to be {status:?}"), async || {
        let job = job(engine, job_id).await;
        assert!(job.status == status || !job.status.is_terminal(), "ended so: {job:?}");
        (job.status == status).then_some(job)
    })
    .await
}

pub async fn succeeds(engine: &LocalEngine, job_id: &str) -> Job {
    reaches(engine, job_id, JobStatus::Succeeded).await
}

pub async fn fails(engine: &LocalEngine, job_id: &str) -> Job {
    reaches(engine, job_id, JobStatus::Failed).await
}

/// The whole log of a job's try.
pub async fn log(engine: &LocalEngine, job_id: &str, number: usize) -> Vec<String> {
    let page = engine.logs(&format!("{job_id}/{number}"), None, 10_000).await.unwrap();
    page.lines.into_iter().map(|line| line.message).collect()
}

/// Whether the process runs; a zombie does not.
pub fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

/// SIGKILL, and the end it brings.
pub async fn kill(pid: i32) {
    let target = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(target, rustix::process::Signal::KILL).unwrap();
    eventually("the end of a killed process", async || (!runs(pid)).then_some(())).await;
}
