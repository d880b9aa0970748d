//! Jobs that ended long ago.

use std::path::Path;
use std::time::{Duration, Instant};

use demand_context_manager::engine::local::LocalEngine;
use demand_context_manager::engine::{Engine, LogsError};
use uuid::Uuid;

use crate::support::{Call, Machine, eventually, job, succeeds};

/// Ends when it is told to.
const PATIENT: &str = "while [ ! -e $OUT/go ]; do sleep 0.02; done";

fn forgetful(keep_jobs: Duration) -> Machine {
    let mut machine = Machine::with_slots(1);
    machine.keep_jobs = keep_jobs;
    machine
}

async fn known(engine: &LocalEngine, job_id: &str) -> bool {
    !engine.describe(&[job_id.to_owned()]).await.unwrap().is_empty()
}

async fn forgotten(machine: &Machine, engine: &LocalEngine, job_id: &str) {
    let traces = [machine.root().join(job_id), machine.root().join("forgotten").join(job_id)];
    eventually("a job forgotten", async || {
        let gone = !known(engine, job_id).await && !traces.iter().any(|trace| trace.exists());
        gone.then_some(())
    })
    .await;
}

/// Writes an ended job's record as if it had ended years ago.
fn age(record: &Path) {
    let mut end: serde_json::Value =
        serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    end["job"]["stopped_at"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(record, end.to_string()).unwrap();
}

#[tokio::test]
async fn a_job_is_forgotten_with_its_log_and_its_definition_some_time_after_its_end() {
    let machine = forgetful(Duration::from_secs(1));
    let engine = machine.open().await;
    let id = Call::bash("mkdir -p a/b; echo > a/b/c").submit(&engine).await;
    succeeds(&engine, &id).await;
    forgotten(&machine, &engine, &id).await;
    let log = engine.logs(&format!("{id}/1"), None, 10).await;
    assert!(matches!(log, Err(LogsError::UnknownStream(_))), "{log:?}");
    assert!(engine.find("a-queue", "a-job").await.unwrap().is_empty());
    eventually("its definition", async || (machine.definitions() == 0).then_some(())).await;
    let next = Call::bash("true").submit(&engine).await;
    succeeds(&engine, &next).await;
}

#[tokio::test]
async fn a_job_is_kept_while_another_depends_on_it() {
    let machine = forgetful(Duration::from_millis(200));
    let engine = machine.open().await;
    let first = Call::bash("true").submit(&engine).await;
    let running = Call::bash(PATIENT).submit(&engine).await;
    let dependent = Call::bash("true").after(&first).submit(&engine).await;
    let ended = succeeds(&engine, &first).await;
    // Another that ended later is gone before it would be.
    let other = Call::bash("true").submit(&engine).await;
    engine.terminate(&other, "not wanted").await.unwrap();
    forgotten(&machine, &engine, &other).await;
    assert_eq!(job(&engine, &first).await, ended);
    assert!(known(&engine, &running).await);
    assert!(machine.root().join(&first).exists());

    std::fs::write(machine.out("go"), "").unwrap();
    eventually("the dependent's run", async || {
        machine.try_dir(&dependent, 1).join("end.json").exists().then_some(())
    })
    .await;
    forgotten(&machine, &engine, &first).await;
    forgotten(&machine, &engine, &dependent).await;
}

#[tokio::test]
async fn an_end_that_nobody_has_seen_yet_is_told_however_long_ago_it_was() {
    let mut machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("true").submit(&engine).await;
    succeeds(&engine, &id).await;
    engine.close().await;
    age(&machine.root().join(&id).join("end.json"));

    machine.keep_jobs = Duration::from_secs(2);
    let engine = machine.open().await;
    let opened = Instant::now();
    forgotten(&machine, &engine, &id).await;
    assert!(opened.elapsed() >= Duration::from_secs(2), "{:?}", opened.elapsed());
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_finished_and_nothing_runs_again() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("echo run >> $OUT/runs").submit(&engine).await;
    succeeds(&engine, &id).await;
    engine.close().await;
    let half = machine.root().join("forgotten").join(&id);
    std::fs::create_dir_all(half.parent().unwrap()).unwrap();
    std::fs::rename(machine.root().join(&id), &half).unwrap();
    std::fs::remove_file(half.join("end.json")).unwrap();
    std::fs::remove_dir_all(half.join("try-1")).unwrap();

    let engine = machine.open().await;
    forgotten(&machine, &engine, &id).await;
    let next = Call::bash("true").submit(&engine).await;
    succeeds(&engine, &next).await;
    assert_eq!(machine.lines("runs").len(), 1);
}

#[tokio::test]
async fn ten_thousand_ended_jobs_are_taken_up_at_once_and_forgotten_in_the_background() {
    let mut machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let model = Call::bash("true").submit(&engine).await;
    succeeds(&engine, &model).await;
    engine.close().await;
    let record = machine.root().join(&model).join("end.json");
    age(&record);
    let text = std::fs::read_to_string(&record).unwrap();
    let mut last = model.clone();
    for _ in 0..10_000 {
        last = Uuid::now_v7().to_string();
        let dir = machine.root().join(&last);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("end.json"), text.replace(&model, &last)).unwrap();
    }

    machine.keep_jobs = Duration::from_millis(200);
    let begun = Instant::now();
    let engine = machine.open().await;
    let taken = begun.elapsed();
    eprintln!("10,000 ended jobs were taken up in {taken:?}");
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    assert!(known(&engine, &last).await);
    forgotten(&machine, &engine, &model).await;
    let begun = Instant::now();
    let id = Call::bash("true").submit(&engine).await;
    eventually("a job meanwhile", async || {
        machine.try_dir(&id, 1).join("end.json").exists().then_some(())
    })
    .await;
    eprintln!("a job meanwhile took {:?}", begun.elapsed());
    assert!(known(&engine, &last).await, "all were forgotten at one blow");
}
