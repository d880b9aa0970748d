//! Ten thousand jobs in flight: what one pass over them costs in calls, transactions and memory.

use std::path::Path;
use std::time::Duration;

use demand_context_manager::engine::job::JobStatus;
use demand_context_manager::plan::submission::Step;
use demand_context_manager::run::Observation;
use demand_context_manager::run::record::{NewDemand, Record};
use demand_context_manager::run::state::{Phase, State, Status};
use demand_context_manager::run::step_run::Submission;
use demand_context_manager::run::transition::{Event, Retention};
use demand_context_manager::store::Store;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use crate::endpoint::Endpoint;
use crate::eventually;
use crate::service::Service;

/// With two jobs each that are not over.
const DEMANDS: usize = 5_000;
const CHANGED: usize = 500;

/// Tells the process that is measured where the database and the endpoint are.
const MEASURED: &str = "DEMAND_TEST_MEASURED";

/// A demand whose first step has succeeded and whose other jobs are under way, by its number.
async fn seed(store: &Store, number: usize) {
    let id = format!("demand-{number:05}");
    let at = Timestamp::now();
    let steps = [Step::StageIn, Step::Execute, Step::WrapUp];
    let named = steps.map(|step| (step, format!("{}-{number}", step.as_str()))).to_vec();
    let (mut state, accepted) = State::accepted(named, true, at);
    for step in steps {
        let job_id = job_id(step, number);
        for event in
            [Event::Intended { step }, Event::JobSubmitted { step, job_id, adopted: false }]
        {
            state = state.apply(&event, &Retention::default(), at).unwrap().0;
        }
    }
    let seen = serde_json::from_value(json!({
        "job_id": job_id(Step::StageIn, number), "job_name": "", "job_definition": "arn:1",
        "status": "SUCCEEDED", "created_at": at, "started_at": at, "stopped_at": at, "tries": [],
    }));
    let seen = Event::JobSeen { job: Box::new(seen.unwrap()) };
    state = state.apply(&seen, &Retention::default(), at).unwrap().0;
    let record = Record {
        execution_id: id,
        created_at: at,
        version: 1,
        execution_type: "test".to_owned(),
        user: None,
        submitted_by: None,
        job_queue: "queue".to_owned(),
        tags: IndexMap::new(),
        content_hash: String::new(),
        traceparent: None,
        state,
    };
    let demand = NewDemand {
        record,
        request: "{}".to_owned(),
        plan: "{}".to_owned(),
        accepted,
        idempotency_key: None,
    };
    assert!(store.insert(demand).await.unwrap());
}

fn job_id(step: Step, number: usize) -> String {
    format!("{}-{number:05}-0a1b2c3d-4e5f-6789", step.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_over_ten_thousand_jobs_takes_a_hundred_calls_and_little_memory() {
    let endpoint = Endpoint::start().await;
    let directory = TempDir::new().unwrap();
    let database = directory.path().join("db");
    let store = Store::open(&database).await.unwrap();
    let seeds = futures::future::join_all((0..DEMANDS).map(|number| seed(&store, number)));
    seeds.await;
    {
        let mut inside = endpoint.inside();
        inside.idle = true;
        for number in 0..DEMANDS {
            for step in [Step::Execute, Step::WrapUp] {
                inside.plant(json!({
                    "jobId": job_id(step, number), "jobName": step.as_str(), "jobQueue": "queue",
                    "jobDefinition": "arn:aws:batch:us-west-2:123456789012:job-definition/d:1",
                    "status": if step == Step::Execute { "RUNNING" } else { "PENDING" },
                    "createdAt": 1_700_000_000_000_i64, "startedAt": 1_700_000_000_000_i64,
                    "container": {"image": "image", "command": ["x".repeat(500)]},
                }));
            }
        }
    }
    store.close().await;

    let mut measured = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_flight::the_process_that_is_measured", "--nocapture"])
        .env(MEASURED, format!("{}\n{}", database.display(), endpoint.url))
        .kill_on_drop(true)
        .spawn()
        .unwrap();

    // The first pass sees every job for the first time: a change for every demand, both of its
    // jobs in one.
    let calls = || endpoint.inside().described.len();
    eventually(|| async { (calls() >= 100).then_some(()) }).await;
    let changes = eventually(|| async {
        let changes = versions(&database).await;
        (changes.iter().all(|(_, version)| *version >= 2)).then_some(changes)
    })
    .await;
    assert!(changes.iter().all(|(_, version)| *version == 2), "one change a demand");
    assert_eq!(endpoint.inside().described, vec![100; 100]);

    // The second finds what has changed meanwhile, in as many calls.
    for number in 0..CHANGED {
        let mut inside = endpoint.inside();
        inside.end(&job_id(Step::Execute, number), "SUCCEEDED", "done", Some(0));
        inside.end(&job_id(Step::WrapUp, number), "SUCCEEDED", "done", Some(0));
    }
    eventually(|| async { (calls() >= 200).then_some(()) }).await;
    let later = eventually(|| async {
        let demands = versions(&database).await;
        let moved = demands.iter().filter(|(_, version)| *version > 2).count();
        (moved == CHANGED).then_some(demands)
    })
    .await;
    assert!(later.iter().all(|(_, version)| *version <= 3), "one change a demand");
    assert_eq!(endpoint.inside().described, vec![100; 200]);

    let peak = peak_memory(measured.id().unwrap());
    println!("peak memory: {} MiB", peak / 1024);
    assert!(peak < 150 * 1024, "{peak} KiB");
    measured.kill().await.unwrap();

    let store = Store::open(&database).await.unwrap();
    let ended = store.get("demand-00000").await.unwrap().unwrap();
    assert_eq!((ended.state.phase, ended.state.status()), (Phase::Done, Status::Completed));
    let running = store.get("demand-04999").await.unwrap().unwrap();
    let execute = running.state.steps.iter().find(|run| run.step == Step::Execute).unwrap();
    assert!(matches!(execute.submission, Submission::Submitted { .. }));
    assert_eq!(execute.job.as_ref().unwrap().status, JobStatus::Running);
    store.close().await;
}

/// Run by the test above in a process of its own, whose memory is then nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_measured() {
    let Ok(places) = std::env::var(MEASURED) else { return };
    let (database, endpoint) = places.split_once('\n').unwrap();
    let apart = Duration::from_secs(10);
    let observation = Observation { min: apart, max: apart, lost_grace: Duration::from_mins(5) };
    let _service = Service::start(Path::new(database), endpoint, observation).await;
    std::future::pending::<()>().await;
}

/// Every demand and its version, read beside the process that owns the database.
async fn versions(database: &Path) -> Vec<(String, i64)> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).read_only(true);
    let mut connection =
        <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    let versions = sqlx::query_as("SELECT execution_id, version FROM demands")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    versions
}

/// The most memory the process ever had resident, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
