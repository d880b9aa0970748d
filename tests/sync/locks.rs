//! Requests that lock their destination, in workers of their own.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::held::Held;
use crate::lab::{Lab, bytes, ended, names};
use crate::mishaps::Mishap;

const LOCK: &str = ".d.demand.lock";
/// Far beyond what any worker here takes to come to its lock.
const PATIENCE: Duration = Duration::from_mins(2);

fn worker(lab: &Lab, fields: &Value, timeout: &str) -> Command {
    let mut request = json!({
        "source_path": "s3://data/f", "destination_path": lab.text("d"), "require_lock": true,
    });
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let mut command = lab.command(&["sync", &request.to_string(), "--lock-timeout", timeout]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(lab: &Lab, fields: &Value) -> Child {
    worker(lab, fields, "600").spawn().unwrap()
}

/// Returns once the worker has opened the lock file, which it keeps open.
async fn comes_to_its_lock(lab: &Lab, worker: &Child) {
    let (lock, open) = (lab.path(LOCK), format!("/proc/{}/fd", worker.id().unwrap()));
    let has_it = || {
        let files = fs::read_dir(&open).into_iter().flatten().flatten();
        files.flat_map(|file| fs::read_link(file.path())).any(|file| file == lock)
    };
    let comes = async {
        while !has_it() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, comes).await.expect("it opens its lock file");
}

/// The calls that a worker makes about the objects there.
fn calls(held: &Held) -> usize {
    ["ListObjectsV2", "HeadObject", "GetObject"].map(|call| held.called(call).len()).iter().sum()
}

/// Gives a worker as much time as a whole run takes now, on a machine as busy as it is.
async fn as_long_as_a_run(lab: &Lab) {
    let other = Held::default();
    other.put("f/one", bytes(5000));
    let elsewhere = other.open().await;
    elsewhere.sync("s3://data/f", &elsewhere.text("d"), json!({"require_lock": true})).await.ok();
    assert!(lab.path(LOCK).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_begins_once_the_first_has_ended() {
    let held = Held::default();
    let lab = held.open().await;
    held.put("f/one", bytes(5000));
    let go_on = CancellationToken::new();
    held.meet("GetObject", "f/one", 1, Mishap::Until(go_on.clone()));
    let first = start(&lab, &json!({}));
    held.call("GetObject", "f/one").await;
    let before = calls(&held);
    let mut second = start(&lab, &json!({"force": true}));
    comes_to_its_lock(&lab, &second).await;
    as_long_as_a_run(&lab).await;
    assert_eq!(calls(&held), before, "the second one looks already");
    assert!(second.try_wait().unwrap().is_none());

    go_on.cancel();
    let first = ended(first.wait_with_output().await.unwrap()).ok();
    assert_eq!(first["files_transferred"], 1);
    let second = ended(second.wait_with_output().await.unwrap()).ok();
    assert_eq!(second["files_transferred"], 1);
    assert_eq!(held.called("GetObject").len(), 2);
    // Whoever waited on a name that is gone would hold a lock that nobody else sees.
    assert!(lab.path(LOCK).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_lock_one_destination_never_transfer_at_once() {
    let held = Held::default();
    let lab = held.open().await;
    for index in 0..20 {
        held.put(&format!("f/{index:02}"), bytes(5000));
    }
    let fields = json!({"force": true, "max_concurrency": 1});
    let workers = [(); 3].map(|()| start(&lab, &fields));
    for worker in workers {
        let result = ended(worker.wait_with_output().await.unwrap()).ok();
        assert_eq!(result["files_transferred"], 20);
    }
    assert_eq!(held.traffic().most(), 1);
    assert_eq!(names(&lab.path("d")).len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_as_long_as_was_said_and_then_named() {
    let held = Held::default();
    let lab = held.open().await;
    held.put("f/one", bytes(5000));
    held.meet("GetObject", "f/one", 1, Mishap::Stuck);
    let mut first = start(&lab, &json!({}));
    held.call("GetObject", "f/one").await;
    let before = calls(&held);
    let started = Instant::now();
    let second = ended(worker(&lab, &json!({}), "2").output().await.unwrap());
    let took = started.elapsed();
    let failures = second.failures();
    assert!(failures.contains(&lab.text(LOCK)), "{failures}");
    // On a machine that is busy with something else for a while, too.
    let about = Duration::from_secs(2)..Duration::from_secs(30);
    assert!(about.contains(&took), "{took:?}");
    assert_eq!(calls(&held), before, "it looks at what it may not bring");
    assert!(first.try_wait().unwrap().is_none());
    assert!(lab.path(LOCK).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_lets_go_of_its_lock() {
    let held = Held::default();
    let lab = held.open().await;
    held.put("f/one", bytes(5000));
    held.meet("GetObject", "f/one", 1, Mishap::Stuck);
    let mut first = start(&lab, &json!({}));
    held.call("GetObject", "f/one").await;
    let second = start(&lab, &json!({}));
    comes_to_its_lock(&lab, &second).await;
    first.kill().await.unwrap();
    let second = ended(second.wait_with_output().await.unwrap()).ok();
    assert_eq!(second["files_transferred"], 1);
    assert!(lab.path(LOCK).exists());
    assert!(fs::read(lab.path("d/one")).unwrap() == bytes(5000));
}
