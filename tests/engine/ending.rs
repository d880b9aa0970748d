//! Ends brought about from outside: timeouts and terminate requests.

use demand_context_manager::engine::Engine;
use demand_context_manager::engine::job::JobStatus;
use serde_json::json;

use crate::support::{Call, Machine, eventually, fails, job, reaches, runs, succeeds};

/// Starts a child and a grandchild, and a program that leaves the process group, and never ends.
const FAMILY: &str = "\
    (sleep 300 & echo $! > $OUT/grandchild; sleep 300) & \
    timeout 300 bash -c 'echo $$ > $OUT/elsewhere; sleep 300; true' & \
    echo $$ > $OUT/command; wait";

async fn family(machine: &Machine) -> Vec<i32> {
    let mut pids = Vec::new();
    for name in ["command", "grandchild", "elsewhere"] {
        pids.push(machine.pid(name).await);
    }
    assert!(pids.iter().all(|pid| runs(*pid)));
    pids
}

#[tokio::test]
async fn a_timeout_ends_the_whole_family_and_is_not_retried() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(FAMILY).at_most(1).retried(3, json!([])).submit(&engine).await;
    let pids = family(&machine).await;
    let job = fails(&engine, &id).await;
    assert_eq!(job.status_reason.as_deref(), Some("Job attempt duration exceeded timeout"));
    assert_eq!(job.exit_code, Some(128 + 15));
    assert_eq!(job.tries.len(), 1);
    assert!(!pids.into_iter().any(runs));
}

#[tokio::test]
async fn a_terminated_job_dies_with_its_whole_family() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(FAMILY).retried(3, json!([])).submit(&engine).await;
    let pids = family(&machine).await;
    engine.terminate(&id, "no longer wanted").await.unwrap();
    let job = fails(&engine, &id).await;
    assert_eq!(job.status_reason.as_deref(), Some("no longer wanted"));
    assert_eq!(job.tries.len(), 1);
    assert!(!pids.into_iter().any(runs));
}

#[tokio::test]
async fn a_terminated_command_may_tidy_up_first() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let script = "trap 'echo tidy > $OUT/tidied; exit 0' TERM; touch $OUT/ready; \
                  while true; do sleep 0.02; done";
    let id = Call::bash(script).submit(&engine).await;
    eventually("the trap", async || machine.out("ready").exists().then_some(())).await;
    engine.terminate(&id, "enough").await.unwrap();
    let job = fails(&engine, &id).await;
    assert_eq!((job.exit_code, job.status_reason.as_deref()), (Some(0), Some("enough")));
    assert_eq!(machine.lines("tidied"), ["tidy"]);
}

#[tokio::test]
async fn a_command_that_ignores_the_request_is_killed() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let script = "trap '' TERM; echo $$ > $OUT/pid; while true; do sleep 0.02; done";
    let id = Call::bash(script).submit(&engine).await;
    let pid = machine.pid("pid").await;
    engine.terminate(&id, "enough").await.unwrap();
    let job = fails(&engine, &id).await;
    assert_eq!(job.exit_code, Some(128 + 9));
    assert!(!runs(pid));
}

#[tokio::test]
async fn a_job_terminated_before_it_starts_never_does() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let busy = Call::bash("while [ ! -e $OUT/go ]; do sleep 0.02; done").submit(&engine).await;
    let waiting = Call::bash("touch $OUT/ran").submit(&engine).await;
    let dependent = Call::bash("touch $OUT/ran").after(&busy).submit(&engine).await;
    reaches(&engine, &busy, JobStatus::Running).await;
    for id in [&waiting, &dependent] {
        engine.terminate(id, "changed my mind").await.unwrap();
        let job = fails(&engine, id).await;
        assert_eq!(job.status_reason.as_deref(), Some("changed my mind"));
        assert!(job.tries.is_empty());
    }
    std::fs::write(machine.out("go"), "").unwrap();
    succeeds(&engine, &busy).await;
    let last = Call::bash("true").submit(&engine).await;
    succeeds(&engine, &last).await;
    assert!(!machine.out("ran").exists());
}

#[tokio::test]
async fn terminating_a_job_at_any_moment_of_its_start_ends_it() {
    let machine = Machine::with_slots(4);
    let engine = machine.open().await;
    for delay in 0..12 {
        let id = Call::bash("sleep 300").submit(&engine).await;
        tokio::time::sleep(std::time::Duration::from_millis(delay * 4)).await;
        engine.terminate(&id, "at once").await.unwrap();
        let job = fails(&engine, &id).await;
        assert_eq!(job.status_reason.as_deref(), Some("at once"));
    }
}

#[tokio::test]
async fn terminating_what_has_ended_or_is_unknown_changes_nothing() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("true").submit(&engine).await;
    let before = succeeds(&engine, &id).await;
    engine.terminate(&id, "too late").await.unwrap();
    engine.terminate("no-such-job", "nobody").await.unwrap();
    assert_eq!(job(&engine, &id).await, before);
}
