//! One job: its command, its environment, its end.

use std::collections::BTreeSet;

use demand_context_manager::engine::Engine;
use demand_context_manager::engine::job::JobStatus;

use crate::support::{Call, Machine, eventually, fails, job, log, runs, succeeds};

#[tokio::test]
async fn a_command_that_succeeds_is_reported_with_its_log() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("echo out; echo err >&2").submit(&engine).await;

    let job = succeeds(&engine, &id).await;
    assert_eq!(job.exit_code, Some(0));
    assert_eq!(job.job_definition, "work:1");
    assert_eq!(job.tries.len(), 1);
    assert_eq!(job.log_stream.as_deref(), Some(format!("{id}/1").as_str()));
    assert!(job.created_at <= job.started_at.unwrap());
    assert!(job.started_at.unwrap() <= job.stopped_at.unwrap());

    let log = log(&engine, &id, 1).await;
    assert!(log[0].contains("image ignored: image:1"), "{log:?}");
    assert_eq!(log[1..], ["out", "err"]);
}

#[tokio::test]
async fn a_failing_commands_exit_code_is_kept() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("exit 3").submit(&engine).await;
    let job = fails(&engine, &id).await;
    assert_eq!(job.exit_code, Some(3));
    assert_eq!(job.status_reason.as_deref(), Some("Essential container in task exited"));
}

#[tokio::test]
async fn a_command_ended_by_a_signal_has_128_and_the_signal_as_its_exit_code() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("echo last words; kill -SEGV $$").submit(&engine).await;
    assert_eq!(fails(&engine, &id).await.exit_code, Some(128 + 11));
    assert_eq!(log(&engine, &id, 1).await[1..], ["last words"]);
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named_in_the_log() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::of(&["no-such-program"]).submit(&engine).await;
    assert_eq!(fails(&engine, &id).await.exit_code, Some(127));
    let log = log(&engine, &id, 1).await;
    assert!(log[1].contains("no-such-program: not found"), "{log:?}");
}

#[tokio::test]
async fn a_command_is_a_program_with_its_arguments_as_they_are() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::of(&["printf", "%s\n", "a  b", "$HOME", "'", ""]).submit(&engine).await;
    succeeds(&engine, &id).await;
    assert_eq!(log(&engine, &id, 1).await[1..], ["a  b", "$HOME", "'", ""]);
    // A built-in of the shell around the command would succeed.
    let id = Call::of(&["exit", "0"]).submit(&engine).await;
    assert_eq!(fails(&engine, &id).await.exit_code, Some(127));
}

#[tokio::test]
async fn a_job_sees_its_own_environment_and_the_settings_alone() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let call = Call::of(&["env"]).with("GREETING", "hi\u{e9}").with("not-a.name", "1");
    let id = call.with("HOME", "/own").submit(&engine).await;
    succeeds(&engine, &id).await;

    let log: BTreeSet<String> = log(&engine, &id, 1).await.into_iter().skip(1).collect();
    assert!(log.contains("GREETING=hi\u{e9}"), "{log:?}");
    assert!(log.contains("not-a.name=1"), "{log:?}");
    assert!(log.contains("HOME=/own"), "{log:?}");
    let names: BTreeSet<&str> = log.iter().map(|line| line.split_once('=').unwrap().0).collect();
    let own = ["GREETING", "not-a.name", "HOME", "PATH", "AWS_ENDPOINT_URL_S3", "OUT"];
    let bash = ["PWD", "OLDPWD", "SHLVL", "_"];
    let known = |name: &str| own.contains(&name) || bash.contains(&name);
    assert!(std::env::vars().any(|(name, _)| !known(&name)), "there is nothing to leak");
    assert!(own.iter().all(|name| names.contains(name)), "{names:?}");
    assert!(names.iter().all(|name| known(name)), "{names:?}");
}

#[tokio::test]
async fn a_task_too_large_for_a_variable_arrives_in_a_file() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let small = "s".repeat(1000);
    let large = "l".repeat(128 * 1024);
    let script = r#"case $DEMAND_TASK in /*) cat "$DEMAND_TASK";; *) echo "$DEMAND_TASK";; esac"#;
    for task in [small, large] {
        let id = Call::bash(script).with("DEMAND_TASK", &task).submit(&engine).await;
        succeeds(&engine, &id).await;
        assert_eq!(log(&engine, &id, 1).await[1..], [task]);
    }
}

#[tokio::test]
async fn an_environment_no_program_can_take_is_a_task_that_failed_to_start() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let call = Call::bash("true").with("HUGE", &"h".repeat(128 * 1024));
    let id = call.submit(&engine).await;
    let job = fails(&engine, &id).await;
    assert_eq!(job.status_reason.as_deref(), Some("Task failed to start"));
    assert_eq!(job.exit_code, None);
    assert!(job.container_reason.unwrap().starts_with("CannotStartContainerError: "));
}

#[tokio::test]
async fn without_its_binary_the_engine_says_that_the_task_failed_to_start() {
    let mut machine = Machine::with_slots(1);
    machine.demand_binary = machine.out("no-such-binary");
    let engine = machine.open().await;
    let id = Call::bash("true").submit(&engine).await;
    let reason = fails(&engine, &id).await.status_reason;
    assert_eq!(reason.as_deref(), Some("Task failed to start"));
}

#[tokio::test]
async fn the_command_demand_means_this_binary() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    // Its exit code for a command line it does not understand.
    let id = Call::of(&["demand", "no-such-subcommand"]).submit(&engine).await;
    assert_eq!(fails(&engine, &id).await.exit_code, Some(2));
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_ends_with_it() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("sleep 300 & echo $! > $OUT/pid").submit(&engine).await;
    succeeds(&engine, &id).await;
    let pid = machine.pid("pid").await;
    assert!(!runs(pid));
}

#[tokio::test]
async fn a_running_job_is_told_of() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("while [ ! -e $OUT/go ]; do sleep 0.02; done").submit(&engine).await;
    let seen = eventually("a wake-up that shows it running", async || {
        engine.changed().await;
        Some(job(&engine, &id).await).filter(|job| job.status == JobStatus::Running)
    })
    .await;
    assert!(seen.started_at.is_some() && seen.log_stream.is_some() && seen.stopped_at.is_none());
    std::fs::write(machine.out("go"), "").unwrap();
    eventually("a wake-up that shows its end", async || {
        engine.changed().await;
        Some(job(&engine, &id).await).filter(|job| job.status == JobStatus::Succeeded)
    })
    .await;
}
