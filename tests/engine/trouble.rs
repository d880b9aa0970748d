//! Machines on which not everything can be read at every moment.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use demand_context_manager::engine::Engine;
use demand_context_manager::engine::job::JobStatus;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::{Call, Machine, eventually, fails, reaches, runs, succeeds};

/// Lets a process have so many descriptors.
fn limit_descriptors(pid: i32, limit: Rlimit) {
    prlimit(Pid::from_raw(pid), Resource::Nofile, limit).unwrap();
}

async fn complaints(machine: &Machine, job_id: &str, about: &str) -> Vec<String> {
    let log = machine.try_dir(job_id, 1).join("supervisor.log");
    eventually(about, async || {
        let lines = std::fs::read_to_string(&log).ok()?;
        lines.contains(about).then(|| lines.lines().map(str::to_owned).collect())
    })
    .await
}

#[tokio::test]
async fn a_supervisor_without_descriptors_holds_on_and_enforces_the_timeout_later() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("echo $$ > $OUT/pid; sleep 300").at_most(1).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    let command = machine.pid("pid").await;
    let supervisor = machine.supervisor(&id, 1);
    let before = getrlimit(Resource::Nofile);
    limit_descriptors(supervisor, Rlimit { current: Some(3), ..before });

    let lines = complaints(&machine, &id, "cannot signal the command").await;
    assert!(lines[0].contains("terminate.json: Too many open files"), "{lines:?}");
    assert_eq!(lines.len(), 2, "each trouble is told once: {lines:?}");
    assert!(runs(supervisor) && runs(command));

    limit_descriptors(supervisor, before);
    let job = fails(&engine, &id).await;
    assert_eq!(job.status_reason.as_deref(), Some("Job attempt duration exceeded timeout"));
    assert!(!runs(command));
}

#[tokio::test]
async fn a_terminate_request_that_cannot_be_read_does_not_end_the_command() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let script = "while [ ! -e $OUT/go ]; do sleep 0.02; done";
    let id = Call::bash(script).submit(&engine).await;
    reaches(&engine, &id, JobStatus::Running).await;
    std::fs::create_dir(machine.root().join(&id).join("terminate.json")).unwrap();
    complaints(&machine, &id, "terminate.json: Is a directory").await;
    std::fs::write(machine.out("go"), "").unwrap();
    assert_eq!(succeeds(&engine, &id).await.tries.len(), 1);
}

/// A program that runs `binary` where `/proc` tells it of its own processes alone. It takes root.
fn where_others_are_hidden(machine: &Machine, binary: &Path) -> PathBuf {
    let program = machine.out("hidden");
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'mount -t proc -o hidepid=1,gid=65534 proc /proc && \
         exec setpriv --inh-caps=-all --bounding-set=-all -- \"$@\"' sh {} \"$@\"\n",
        binary.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
    program
}

#[tokio::test]
async fn jobs_end_as_ever_where_the_processes_of_others_are_hidden() {
    let mut machine = Machine::with_slots(1);
    let probe = where_others_are_hidden(&machine, Path::new("cat"));
    let probed = Command::new(probe).arg("/proc/1/stat").output().unwrap();
    if !probed.stderr.ends_with(b"Operation not permitted\n") {
        eprintln!("not tried: nothing can be hidden here");
        return;
    }
    let real = machine.demand_binary.clone();
    machine.demand_binary = where_others_are_hidden(&machine, &real);
    let engine = machine.open().await;
    let quick = Call::bash("sleep 300 & echo $! > $OUT/left").submit(&engine).await;
    succeeds(&engine, &quick).await;
    assert!(!runs(machine.pid("left").await));

    let long = Call::bash("timeout 300 sh -c 'echo $$ > $OUT/pid; sleep 300'; true");
    let long = long.submit(&engine).await;
    let pid = machine.pid("pid").await;
    engine.terminate(&long, "enough").await.unwrap();
    assert_eq!(fails(&engine, &long).await.status_reason.as_deref(), Some("enough"));
    assert!(!runs(pid));
}
