//! Several jobs: definitions, dependencies, slots, retries, names.

use std::collections::BTreeSet;
use std::sync::Arc;

use demand_context_manager::engine::job::JobStatus;
use demand_context_manager::engine::{Engine, SubmitError};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Call, Machine, definition, fails, job, reaches, succeeds};

/// Says when it starts and ends, and takes its time between.
const SLOW: &str = "echo + >> $OUT/trace; sleep 0.2; echo - >> $OUT/trace";

/// The most jobs a trace shows at once.
fn most_at_once(trace: &[String]) -> i32 {
    let running = trace.iter().scan(0, |running, line| {
        *running += if line == "+" { 1 } else { -1 };
        Some(*running)
    });
    running.max().unwrap_or(0)
}

#[tokio::test]
async fn a_definition_keeps_its_revision_and_other_content_gets_the_next() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    assert_eq!(engine.define(&definition("image:1")).await.unwrap(), "work:1");
    assert_eq!(engine.define(&definition("image:2")).await.unwrap(), "work:2");
    assert_eq!(engine.define(&definition("image:1")).await.unwrap(), "work:1");
    engine.close().await;
    let engine = machine.open().await;
    assert_eq!(engine.define(&definition("image:2")).await.unwrap(), "work:2");
    assert_eq!(engine.define(&definition("image:3")).await.unwrap(), "work:3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_many_register_at_once_has_one_revision() {
    let machine = Machine::with_slots(1);
    let engine = Arc::new(machine.open().await);
    let mut registered = JoinSet::new();
    for number in 0..40 {
        let engine = Arc::clone(&engine);
        let content = definition(&format!("image:{}", number % 2));
        registered.spawn(async move { engine.define(&content).await.unwrap() });
    }
    let ids: BTreeSet<String> = registered.join_all().await.into_iter().collect();
    assert_eq!(ids, ["work:1", "work:2"].map(str::to_owned).into());
    assert_eq!(machine.definitions(), 2);
}

#[tokio::test]
async fn what_cannot_run_is_refused() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let without_definition = engine.submit(&Call::bash("true").0).await;
    assert!(matches!(without_definition, Err(SubmitError::Permanent(_))));
    engine.define(&definition("image:1")).await.unwrap();
    let without_dependency = engine.submit(&Call::bash("true").after("no-such-job").0).await;
    assert!(matches!(without_dependency, Err(SubmitError::Permanent(_))));
    let without_command = engine.submit(&Call::of(&[]).0).await;
    assert!(matches!(without_command, Err(SubmitError::Permanent(_))));
    assert!(engine.find("a-queue", "a-job").await.unwrap().is_empty());
    engine.ready().await.unwrap();
}

#[tokio::test]
async fn jobs_are_found_by_their_exact_name_in_their_queue() {
    let machine = Machine::with_slots(2);
    let engine = machine.open().await;
    let ended = Call::bash("true").named("Name").submit(&engine).await;
    succeeds(&engine, &ended).await;
    let live = Call::bash("sleep 300").named("Name").submit(&engine).await;
    Call::bash("true").named("name").submit(&engine).await;
    let found = engine.find("a-queue", "Name").await.unwrap();
    let ids: Vec<String> = found.into_iter().map(|job| job.job_id).collect();
    assert_eq!(ids, [ended, live.clone()]);
    assert!(engine.find("another-queue", "Name").await.unwrap().is_empty());
    engine.terminate(&live, "test over").await.unwrap();
    fails(&engine, &live).await;
}

#[tokio::test]
async fn a_dependent_runs_after_what_it_depends_on() {
    let machine = Machine::with_slots(4);
    let engine = machine.open().await;
    let first = Call::bash("sleep 0.3; echo first >> $OUT/trace").submit(&engine).await;
    let second = Call::bash("echo second >> $OUT/trace").after(&first).submit(&engine).await;
    let third = Call::bash("echo third >> $OUT/trace").after(&first).after(&second);
    let third = third.submit(&engine).await;
    assert_eq!(job(&engine, &third).await.status, JobStatus::Pending);
    succeeds(&engine, &third).await;
    assert_eq!(machine.lines("trace"), ["first", "second", "third"]);
}

#[tokio::test]
async fn a_failed_job_fails_all_that_depend_on_it() {
    let machine = Machine::with_slots(2);
    let engine = machine.open().await;
    let first = Call::bash("exit 1").submit(&engine).await;
    let second = Call::bash("touch $OUT/second").after(&first).submit(&engine).await;
    let third = Call::bash("touch $OUT/third").after(&second).submit(&engine).await;
    for id in [&second, &third] {
        let job = fails(&engine, id).await;
        assert_eq!(job.status_reason.as_deref(), Some("Dependent Job failed"));
        assert!(job.tries.is_empty() && job.started_at.is_none() && job.stopped_at.is_some());
    }
    let late = Call::bash("touch $OUT/late").after(&third).submit(&engine).await;
    fails(&engine, &late).await;
    assert!(!machine.out("second").exists() && !machine.out("third").exists());
    assert!(!machine.out("late").exists());
}

#[tokio::test]
async fn jobs_take_no_more_slots_than_there_are() {
    let machine = Machine::with_slots(2);
    let engine = machine.open().await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(Call::bash(SLOW).vcpus("0.5").submit(&engine).await);
    }
    for id in &ids {
        succeeds(&engine, id).await;
    }
    let trace = machine.lines("trace");
    assert_eq!(trace.len(), 12);
    assert_eq!(most_at_once(&trace), 2, "{trace:?}");
}

#[tokio::test]
async fn an_oversized_job_takes_all_slots_and_is_not_passed() {
    let machine = Machine::with_slots(2);
    let engine = machine.open().await;
    let named =
        |name: &str| format!("echo +{name} >> $OUT/trace; sleep 0.2; echo -{name} >> $OUT/trace");
    let mut ids = vec![Call::bash(&named("a")).submit(&engine).await];
    ids.push(Call::bash(&named("large")).vcpus("96").submit(&engine).await);
    ids.push(Call::bash(&named("b")).submit(&engine).await);
    for id in &ids {
        succeeds(&engine, id).await;
    }
    assert_eq!(machine.lines("trace"), ["+a", "-a", "+large", "-large", "+b", "-b"]);
}

#[tokio::test]
async fn an_oversized_job_runs_alone_and_before_all_that_came_after_it() {
    let machine = Machine::with_slots(4);
    let engine = machine.open().await;
    let small =
        |kind: &str| format!("echo +{kind} >> $OUT/trace; sleep 0.1; echo -{kind} >> $OUT/trace");
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(Call::bash(&small("early")).submit(&engine).await);
    }
    ids.push(Call::bash(&small("large")).vcpus("5").submit(&engine).await);
    for _ in 0..24 {
        ids.push(Call::bash(&small("late")).submit(&engine).await);
    }
    for id in &ids {
        succeeds(&engine, id).await;
    }
    let trace = machine.lines("trace");
    let at = trace.iter().position(|line| line == "+large").unwrap();
    assert_eq!(trace[at + 1], "-large", "{trace:?}");
    assert_eq!(at, 16, "every earlier job ended and no later one began: {trace:?}");
    let marks: Vec<String> = trace.iter().map(|line| line[..1].to_owned()).collect();
    assert_eq!(most_at_once(&marks), 4);
}

#[tokio::test]
async fn a_job_is_run_again_as_its_strategy_says() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let script = "echo run >> $OUT/runs; exit $(wc -l < $OUT/runs)";
    let rules = json!([
        {"action": "RETRY", "onExitCode": "1"},
        {"action": "EXIT", "onExitCode": "3"},
    ]);
    let id = Call::bash(script).retried(9, rules).submit(&engine).await;
    let job = fails(&engine, &id).await;
    let codes: Vec<Option<i32>> = job.tries.iter().map(|known| known.exit_code).collect();
    assert_eq!(codes, [Some(1), Some(2), Some(3)]);
    assert_eq!(job.log_stream.as_deref(), Some(format!("{id}/3").as_str()));
    assert_eq!(machine.lines("runs").len(), 3);
}

#[tokio::test]
async fn a_retry_that_succeeds_lets_dependents_run() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let flaky = Call::bash("[ -e $OUT/been ] || { touch $OUT/been; exit 1; }");
    let flaky = flaky.retried(2, json!([])).submit(&engine).await;
    let dependent = Call::bash("true").after(&flaky).submit(&engine).await;
    succeeds(&engine, &dependent).await;
    assert_eq!(job(&engine, &flaky).await.tries.len(), 2);
}

#[tokio::test]
async fn fifty_quick_jobs_all_succeed() {
    let machine = Machine::with_slots(8);
    let engine = machine.open().await;
    let mut ids = Vec::new();
    for number in 0..50 {
        let script = format!("echo {number} >> $OUT/trace");
        ids.push(Call::bash(&script).submit(&engine).await);
    }
    for id in &ids {
        reaches(&engine, id, JobStatus::Succeeded).await;
    }
    let mut trace = machine.lines("trace");
    trace.sort_by_key(|line| line.parse::<u32>().unwrap());
    assert_eq!(trace, (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
}
