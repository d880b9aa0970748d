//! Services and supervisors that die while jobs run.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use demand_context_manager::engine::Engine;
use demand_context_manager::engine::job::JobStatus;

use crate::support::{Call, Machine, eventually, fails, job, kill, log, reaches, runs, succeeds};

/// Counts its runs, and ends when it is told to.
const PATIENT: &str = "echo run >> $OUT/runs; echo $$ > $OUT/pid; \
                       while [ ! -e $OUT/go ]; do sleep 0.02; done; echo done";

fn go(machine: &Machine) {
    std::fs::write(machine.out("go"), "").unwrap();
}

#[tokio::test]
async fn a_running_job_is_adopted_and_not_run_again() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(PATIENT).submit(&engine).await;
    let before = reaches(&engine, &id, JobStatus::Running).await;
    let pid = machine.pid("pid").await;
    drop(engine);

    assert!(runs(pid));
    let engine = machine.open().await;
    let adopted = reaches(&engine, &id, JobStatus::Running).await;
    assert_eq!(adopted.started_at, before.started_at);
    go(&machine);
    let ended = succeeds(&engine, &id).await;
    assert_eq!(ended.tries.len(), 1);
    assert_eq!(machine.lines("runs").len(), 1);
    assert_eq!(log(&engine, &id, 1).await[1..], ["done"]);
}

#[tokio::test]
async fn an_adopted_job_keeps_its_slot() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let running = Call::bash(PATIENT).submit(&engine).await;
    let waiting = Call::bash("ls $OUT/go").submit(&engine).await;
    reaches(&engine, &running, JobStatus::Running).await;
    engine.close().await;
    let engine = machine.open().await;
    assert_eq!(job(&engine, &waiting).await.status, JobStatus::Runnable);
    go(&machine);
    succeeds(&engine, &waiting).await;
    succeeds(&engine, &running).await;
}

#[tokio::test]
async fn a_job_that_ended_while_nobody_looked_is_not_run_again() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(PATIENT).submit(&engine).await;
    let dependent = Call::bash("echo dependent >> $OUT/runs").after(&id).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    engine.close().await;
    go(&machine);
    let end = machine.try_dir(&id, 1).join("end.json");
    eventually("the end on record", async || end.exists().then_some(())).await;

    let engine = machine.open().await;
    succeeds(&engine, &dependent).await;
    assert_eq!(machine.lines("runs"), ["run", "dependent"]);
    let ended = job(&engine, &id).await;
    drop(engine);
    assert_eq!(job(&machine.open().await, &id).await, ended);
}

#[tokio::test]
async fn a_killed_supervisor_is_reported_lost_and_the_job_retried() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let script = "echo $$ > $OUT/pid-$(ls $OUT | grep -c pid); \
                  while [ ! -e $OUT/go ]; do sleep 0.02; done";
    let id = Call::bash(script).retried_when_lost(2).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    let first = machine.pid("pid-0").await;
    kill(machine.supervisor(&id, 1)).await;

    machine.pid("pid-1").await;
    assert!(!runs(first), "the orphan outlived its retry");
    go(&machine);
    let job = succeeds(&engine, &id).await;
    assert_eq!(job.tries.len(), 2);
    assert_eq!(job.tries[0].status_reason.as_deref(), Some("Host EC2 (local) lost"));
    assert_eq!(job.tries[0].exit_code, None);
}

#[tokio::test]
async fn a_supervisor_killed_while_nobody_looked_is_found_lost() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(PATIENT).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    let command = machine.pid("pid").await;
    engine.close().await;
    kill(machine.supervisor(&id, 1)).await;
    assert!(runs(command));

    let engine = machine.open().await;
    let job = fails(&engine, &id).await;
    assert_eq!(job.status_reason.as_deref(), Some("Host EC2 (local) lost"));
    assert!(!runs(command));
}

#[tokio::test]
async fn a_supervisor_killed_after_the_service_reopened_is_found_lost() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(PATIENT).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    machine.pid("pid").await;
    engine.close().await;
    let engine = machine.open().await;
    reaches(&engine, &id, JobStatus::Running).await;
    kill(machine.supervisor(&id, 1)).await;
    assert_eq!(fails(&engine, &id).await.tries.len(), 1);
}

#[tokio::test]
async fn a_command_that_finished_after_its_supervisor_died_is_not_lost() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(PATIENT).retried_when_lost(5).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    let command = machine.pid("pid").await;
    engine.close().await;
    kill(machine.supervisor(&id, 1)).await;
    go(&machine);
    let left = machine.try_dir(&id, 1).join("exit");
    eventually("the exit code", async || left.exists().then_some(())).await;
    assert!(!runs(command));

    let engine = machine.open().await;
    assert_eq!(succeeds(&engine, &id).await.exit_code, Some(0));
    assert_eq!(machine.lines("runs").len(), 1);
}

#[tokio::test]
async fn a_recycled_pid_is_never_signalled() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(PATIENT).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    let command = machine.pid("pid").await;
    engine.close().await;
    kill(machine.supervisor(&id, 1)).await;
    // As if the processes on record were gone and others had got their pids.
    let path = machine.try_dir(&id, 1).join("process.json");
    let record = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, record.replace("\"started\": \"", "\"started\": \"another-boot-"))
        .unwrap();

    let engine = machine.open().await;
    fails(&engine, &id).await;
    assert!(runs(command));
    go(&machine);
    eventually("the end of the command", async || (!runs(command)).then_some(())).await;
}

#[tokio::test]
async fn a_terminate_request_is_carried_out_though_the_service_dies() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(PATIENT).retried_when_lost(3).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    let command = machine.pid("pid").await;
    engine.terminate(&id, "the end").await.unwrap();
    drop(engine);
    eventually("the end of the command", async || (!runs(command)).then_some(())).await;
    let engine = machine.open().await;
    assert_eq!(fails(&engine, &id).await.status_reason.as_deref(), Some("the end"));
}

#[tokio::test]
async fn a_waiting_job_whose_end_was_asked_for_is_ended_before_it_gets_a_slot() {
    let machine = Machine::with_slots(2);
    let engine = machine.open().await;
    let busy = Call::bash(PATIENT).submit(&engine).await;
    let waiting = Call::bash("touch $OUT/ran").vcpus("2").submit(&engine).await;
    reaches(&engine, &busy, JobStatus::Running).await;
    engine.close().await;
    // As if the service had died between the request's record and the end's.
    let request = machine.root().join(&waiting).join("terminate.json");
    std::fs::write(request, r#"{"reason": "changed my mind"}"#).unwrap();

    let engine = machine.open().await;
    let ended = fails(&engine, &waiting).await;
    assert_eq!(ended.status_reason.as_deref(), Some("changed my mind"));
    assert!(ended.tries.is_empty() && !machine.try_dir(&waiting, 1).exists());
    go(&machine);
    succeeds(&engine, &busy).await;
}

#[tokio::test]
async fn a_timeout_is_enforced_though_the_service_is_down() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(PATIENT).at_most(1).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    let command = machine.pid("pid").await;
    engine.close().await;
    eventually("the end of the command", async || (!runs(command)).then_some(())).await;
    let engine = machine.open().await;
    let reason = fails(&engine, &id).await.status_reason;
    assert_eq!(reason.as_deref(), Some("Job attempt duration exceeded timeout"));
}

#[tokio::test]
async fn a_second_supervisor_of_a_try_does_nothing() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(PATIENT).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    machine.pid("pid").await;
    let supervise = || {
        let mut command = Command::new(&machine.demand_binary);
        command.arg("supervise").arg(machine.try_dir(&id, 1)).status().unwrap()
    };
    assert!(supervise().success());
    go(&machine);
    succeeds(&engine, &id).await;
    assert!(supervise().success());
    assert_eq!(machine.lines("runs").len(), 1);
}

#[tokio::test]
async fn a_try_whose_supervisor_never_came_is_started_once() {
    let mut machine = Machine::with_slots(1);
    let dawdler = machine.out("dawdler");
    std::fs::write(&dawdler, "#!/bin/sh\necho $$ > ../../../out/dawdling\nexec sleep 300\n")
        .unwrap();
    std::fs::set_permissions(&dawdler, PermissionsExt::from_mode(0o700)).unwrap();
    let real = std::mem::replace(&mut machine.demand_binary, dawdler);
    let engine = machine.open().await;
    let id = Call::bash("echo run >> $OUT/runs").submit(&engine).await;
    let dawdler = machine.pid("dawdling").await;
    engine.close().await;

    machine.demand_binary = real;
    let engine = machine.open().await;
    assert_eq!(succeeds(&engine, &id).await.tries.len(), 1);
    assert_eq!(machine.lines("runs").len(), 1);
    kill(dawdler).await;
}

#[tokio::test]
async fn a_submission_that_was_cut_short_leaves_no_job() {
    let machine = Machine::with_slots(1);
    machine.open().await.close().await;
    let torn = machine.root().join("01890a5d-ac96-774b-bcce-b302099a8057");
    std::fs::create_dir(&torn).unwrap();
    std::fs::write(torn.join(".tmp123"), "{").unwrap();
    let engine = machine.open().await;
    assert!(
        engine.describe(&["01890a5d-ac96-774b-bcce-b302099a8057".into()]).await.unwrap().is_empty()
    );
    assert!(!torn.exists());
}

#[test]
fn whenever_the_service_dies_every_job_runs_exactly_once() {
    let machine = Machine::with_slots(4);
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = runtime();
    let ids = first.block_on(async {
        let engine = machine.open().await;
        let mut ids: Vec<String> = Vec::new();
        for number in 0..20 {
            let script =
                format!("echo {number} >> $OUT/begun; sleep 0.1; echo {number} >> $OUT/runs");
            let mut call = Call::bash(&script).retried_when_lost(5);
            // Chains of three, as a demand's steps are.
            if number % 3 != 0 {
                call = call.after(ids.last().unwrap());
            }
            ids.push(call.submit(&engine).await);
        }
        ids
    });
    first.shutdown_background();
    for life in 0..15 {
        // Tasks end wherever they are, and threads at work with files go on into the next life.
        let runtime = runtime();
        let engine = runtime.block_on(machine.open());
        std::thread::sleep(Duration::from_millis(7 * life));
        runtime.shutdown_background();
        drop(engine);
    }
    runtime().block_on(async {
        let engine = machine.open().await;
        for id in &ids {
            assert_eq!(succeeds(&engine, id).await.tries.len(), 1);
        }
    });
    for trace in ["begun", "runs"] {
        let mut numbers = machine.lines(trace);
        numbers.sort_by_key(|line| line.parse::<u32>().unwrap());
        assert_eq!(numbers, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}
