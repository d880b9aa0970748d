//! The reconciler against an engine that fails in every way, and against its own death at every
//! moment around an effect.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use demand_context_manager::engine::job::JobStatus;
use demand_context_manager::plan::Site;
use demand_context_manager::policy::Policy;
use demand_context_manager::run::decide::Timing;
use demand_context_manager::run::reason::ReasonCode;
use demand_context_manager::run::record::Record;
use demand_context_manager::run::state::{Phase, Status};
use demand_context_manager::run::{Accepted, Observation, Runs, Settings};
use demand_context_manager::store::Store;
use demand_context_manager::telemetry::metrics::{registry, text};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::peer::{Fate, Moment, Peer};

struct Service {
    directory: TempDir,
    peer: Peer,
    store: Store,
    runs: Runs,
    reconciler: JoinHandle<()>,
}

fn site() -> Site {
    let access_point = |name: &str, id: &str| {
        json!({
            "AccessPointId": id,
            "FileSystemId": "fs-00000001",
            "Name": name,
            "RootDirectory": {"Path": format!("/{name}")},
            "Tags": [{"Key": "Name", "Value": name}, {"Key": "env_base", "Value": "test"}],
        })
    };
    serde_json::from_value(json!({
        "env_base": "test",
        "region": "us-west-2",
        "catalog": {
            "file_systems": [{
                "FileSystemId": "fs-00000001",
                "Name": "test-efs",
                "Tags": [{"Key": "Name", "Value": "test-efs"}, {"Key": "env_base", "Value": "test"}],
            }],
            "access_points": [
                access_point("scratch", "fsap-00000001"),
                access_point("shared", "fsap-00000002"),
            ],
        },
    }))
    .unwrap()
}

fn settings() -> Settings {
    Settings {
        timing: Timing { look_up_grace: SignedDuration::from_millis(50), ..Timing::default() },
        observation: Observation {
            min: Duration::from_millis(10),
            max: Duration::from_millis(50),
            lost_grace: Duration::from_millis(200),
        },
        ..Settings::default()
    }
}

fn request(id: &str) -> Value {
    json!({
        "execution_id": id,
        "execution_type": "test",
        "execution_image": "image",
        "execution_parameters": {
            "command": ["true"],
            "params": {"data": "s3://lab/data", "out": "out @ s3://lab/out"},
            "inputs": ["data"],
            "outputs": ["out"],
        },
        "execution_platform": {"aws_batch": {"job_queue_name": "queue"}},
    })
}

impl Service {
    async fn start(peer: Peer) -> Self {
        let directory = TempDir::new().unwrap();
        let (store, runs, reconciler) = run(directory.path().join("db"), &peer).await;
        Self { directory, peer, store, runs, reconciler }
    }

    /// The service dies where it stands; another takes its place.
    async fn die_and_start_again(&mut self) {
        self.reconciler.abort();
        let _ = (&mut self.reconciler).await;
        self.store.close().await;
        let path = self.directory.path().join("db");
        (self.store, self.runs, self.reconciler) = run(path, &self.peer).await;
    }

    async fn accept(&self, id: &str) {
        let accepted = self.runs.accept(&request(id), None, None).await.unwrap();
        assert!(matches!(accepted, Accepted::New(_)));
    }

    async fn until(&self, id: &str, wanted: impl Fn(&Record) -> bool) -> Record {
        tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let mut changes = self.runs.subscribe(id);
                let record = self.runs.get(id).await.unwrap().unwrap();
                if wanted(&record) {
                    return record;
                }
                changes.changed().await;
            }
        })
        .await
        .expect("the demand gets there")
    }

    async fn ended(&self, id: &str) -> Record {
        self.until(id, |record| record.state.phase == Phase::Done).await
    }

    /// The jobs that were not ended as surplus, by name.
    fn jobs_by_name(&self) -> HashMap<String, usize> {
        let mut names = HashMap::new();
        for job in self.peer.jobs() {
            *names.entry(job.job_name).or_default() += 1;
        }
        names
    }
}

async fn run(path: PathBuf, peer: &Peer) -> (Store, Runs, JoinHandle<()>) {
    let store = Store::open(&path).await.unwrap();
    let engine = Arc::new(peer.clone());
    let (runs, reconciler) =
        Runs::new(store.clone(), engine, Arc::new(site()), Policy::default(), settings());
    let task = tokio::spawn(reconciler.run(CancellationToken::new()));
    (store, runs, task)
}

#[tokio::test]
async fn a_demand_is_driven_to_its_end_with_one_job_a_step() {
    let service = Service::start(Peer::default()).await;
    service.accept("plain").await;
    let record = service.ended("plain").await;
    assert_eq!(record.state.status(), Status::Completed);
    let jobs = service.jobs_by_name();
    assert_eq!(jobs.len(), 3);
    assert!(jobs.values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_job_whose_answer_was_lost_is_adopted_and_not_repeated() {
    let service = Service::start(Peer::with_fates([Fate::AnswerLost; 3])).await;
    service.accept("lost-answers").await;
    let record = service.ended("lost-answers").await;
    assert_eq!(record.state.status(), Status::Completed);
    assert!(service.jobs_by_name().values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_submission_that_never_arrived_is_made_again() {
    let service = Service::start(Peer::with_fates([Fate::CallLost, Fate::CallLost])).await;
    service.accept("lost-calls").await;
    assert_eq!(service.ended("lost-calls").await.state.status(), Status::Completed);
    assert!(service.jobs_by_name().values().all(|count| *count == 1));
}

#[tokio::test]
async fn an_engine_without_room_is_asked_again() {
    let service = Service::start(Peer::with_fates([Fate::NoRoom])).await;
    service.accept("throttled").await;
    assert_eq!(service.ended("throttled").await.state.status(), Status::Completed);
}

#[tokio::test]
async fn a_refused_job_fails_the_demand_and_ends_those_before_it() {
    let peer = Peer::with_fates([Fate::Taken, Fate::Refused]);
    peer.idle();
    let service = Service::start(peer).await;
    service.accept("refused").await;
    let record = service.ended("refused").await;
    assert_eq!(record.state.status(), Status::Failed);
    assert_eq!(record.state.reason.unwrap().code, ReasonCode::SubmissionRejected);
    assert!(service.peer.jobs().iter().all(|job| job.status.is_terminal()));
}

#[tokio::test]
async fn whenever_the_service_dies_around_an_effect_each_step_has_one_job() {
    for moment in [Moment::Before, Moment::After] {
        for call in 1.. {
            let peer = Peer::default();
            peer.crash_at(call, moment);
            let mut service = Service::start(peer.clone()).await;
            service.accept("crashed").await;
            let crashed = tokio::select! {
                () = peer.crashing.notified() => true,
                _ = service.ended("crashed") => false,
            };
            if !crashed {
                assert!(call > 6, "three definitions and three submissions were crashed");
                break;
            }
            service.die_and_start_again().await;
            let record = service.ended("crashed").await;
            assert_eq!(record.state.status(), Status::Completed, "{moment:?} call {call}");
            let jobs = service.jobs_by_name();
            assert_eq!(jobs.len(), 3, "{moment:?} call {call}");
            assert!(jobs.values().all(|count| *count == 1), "{moment:?} call {call}: {jobs:?}");
        }
    }
}

#[tokio::test]
async fn a_job_of_the_same_name_that_is_not_ours_is_not_adopted() {
    let service = Service::start(Peer::default()).await;
    service.accept("model").await;
    service.ended("model").await;
    let ours = service.peer.jobs().remove(0);

    // Two of the name that the next demand's first job will have, found when its answer is lost:
    // one on another definition, one from an hour ago.
    let plan = service.runs.plan(&request("wary")).await.unwrap();
    let name = plan.submission.names(1).remove(0).1;
    let now = jiff::Timestamp::now();
    let another = |job_id: &str| {
        let mut job = ours.clone();
        job.job_id = job_id.to_owned();
        job.job_name = name.clone();
        job.created_at = now;
        job.status = JobStatus::Succeeded;
        job
    };
    let mut elsewhere = another("elsewhere");
    elsewhere.job_definition = "another:1".to_owned();
    let mut old = another("old");
    old.created_at = now - SignedDuration::from_hours(1);
    let peer = Peer::with_fates([Fate::CallLost]);
    peer.plant(elsewhere);
    peer.plant(old);
    let service = Service::start(peer).await;
    service.accept("wary").await;
    let record = service.ended("wary").await;
    assert_eq!(record.state.status(), Status::Completed);
    let adopted = record.state.steps[0].job_id().unwrap();
    assert!(!["elsewhere", "old"].contains(&adopted));
}

#[tokio::test]
async fn jobs_the_engine_forgot_are_lost_after_the_grace_and_not_before() {
    let peer = Peer::default();
    peer.idle();
    let service = Service::start(peer.clone()).await;
    service.accept("forgotten").await;
    service.until("forgotten", |record| record.state.live().count() == 3).await;
    let begun = tokio::time::Instant::now();
    peer.forget();
    let record = service.ended("forgotten").await;
    assert!(begun.elapsed() >= settings().observation.lost_grace);
    assert_eq!(record.state.reason.unwrap().code, ReasonCode::Lost);
}

#[tokio::test]
async fn a_cancellation_during_a_submission_ends_the_job_that_comes_of_it() {
    let peer = Peer::default();
    peer.idle();
    // The first submission hangs after it was taken, as a slow answer does.
    peer.crash_at(2, Moment::After);
    let mut service = Service::start(peer.clone()).await;
    service.accept("raced").await;
    peer.crashing.notified().await;
    service.runs.cancel("raced", None).await.unwrap();
    service.die_and_start_again().await;
    let record = service.ended("raced").await;
    assert_eq!(record.state.status(), Status::Aborted);
    let jobs = peer.jobs();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].status, JobStatus::Failed);
}

#[tokio::test]
async fn jobs_are_observed_in_hundreds_across_demands() {
    let peer = Peer::default();
    peer.idle();
    let service = Service::start(peer.clone()).await;
    for n in 0..100 {
        service.accept(&format!("many-{n}")).await;
    }
    for n in 0..100 {
        service.until(&format!("many-{n}"), |record| record.state.live().count() == 3).await;
    }
    tokio::time::timeout(Duration::from_secs(10), async {
        while !peer.described().contains(&100) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a full call is made");
    assert!(peer.described().iter().all(|ids| *ids <= 100));
    assert_eq!(peer.definitions(), 2, "one for the commands, one for the workers");
}

#[tokio::test]
async fn a_look_that_finds_nothing_new_writes_nothing() {
    let peer = Peer::default();
    peer.idle();
    let service = Service::start(peer.clone()).await;
    service.accept("quiet").await;
    let record = service.until("quiet", |record| record.state.live().count() == 3).await;
    // The first look tells SUBMITTED; from then on there is nothing new.
    let version = record.version;
    let seen = peer.described().len();
    tokio::time::timeout(Duration::from_secs(10), async {
        while peer.described().len() < seen + 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it is looked at again and again");
    let after = service.runs.get("quiet").await.unwrap().unwrap().version;
    assert!(after <= version + 3, "one change a job at most: {version} to {after}");
}

/// The value of one of the reconciler's metrics.
fn measured(service: &Service, name: &str) -> f64 {
    let text = text(&registry(|own| service.runs.register(own))).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn who_waits_longest_comes_first_and_the_wait_is_measured() {
    let service = Service::start(Peer::default()).await;
    let held_up = service.peer.gate.clone().write_owned().await;
    // As many as are acted on at once.
    for number in 0..32 {
        service.accept(&format!("m-{number:02}")).await;
    }
    let waiting = async |count: f64| {
        let depth = || measured(&service, "demand_reconcile_queue_depth");
        while (depth() - count).abs() > 0.5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // The later, the smaller the id, which is no reason to come first.
    let ids: Vec<String> = (0..40).rev().map(|number| format!("w-{number:02}")).collect();
    let mut oldest = 0.0;
    for (id, count) in ids.iter().zip(1_u8..) {
        service.accept(id).await;
        tokio::time::timeout(Duration::from_secs(30), waiting(count.into())).await.unwrap();
        let age = measured(&service, "demand_reconcile_oldest_due_seconds");
        // Another look at the store does not make the oldest younger.
        assert!(age > oldest, "{age} after {oldest}");
        oldest = age;
    }

    drop(held_up);
    let mut jobs = Vec::new();
    for id in [&ids[0], &ids[39]] {
        let record = service.ended(id).await;
        let job_id = record.state.steps[0].job_id().unwrap().to_owned();
        jobs.push(job_id.trim_start_matches("job-").parse::<usize>().unwrap());
    }
    assert!(
        jobs[0] < jobs[1],
        "the first demand's job was number {}, the last's {}",
        jobs[0],
        jobs[1]
    );
    assert!(measured(&service, "demand_reconcile_lag_seconds_sum") > oldest);
}
