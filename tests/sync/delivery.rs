//! What a `wrap_up` takes away, and when it may say that all is delivered.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use serde_json::{Value, json};

use crate::lab::{Lab, names, ran};
use crate::task::task;

/// Delivers the whole working directory, then removes it.
fn wrap_up(lab: &Lab) -> Value {
    task(
        lab,
        "wrap_up",
        &json!({
            "data_sync_requests": [{
                "source_path": "fs-1:/scratch/one",
                "destination_path": "s3://data/results",
                "retain_source_data": false,
            }],
            "remove_data_paths_requests": [{"paths": ["fs-1:/scratch/one"]}],
        }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_env_file_is_not_delivered_with_the_working_directory() {
    let lab = Lab::open().await;
    lab.write("mnt/scratch/one/.demand.env", "export TOKEN='secret'");
    lab.write("mnt/scratch/one/result", "result");
    lab.run_task(&wrap_up(&lab)).await.ok();
    assert_eq!(names(&lab.object("results")), ["result"]);
    assert!(!lab.path("mnt/scratch/one").exists());
}

/// The records of what was delivered.
fn markers(lab: &Lab) -> Vec<String> {
    let markers = lab.path("mnt/scratch/.demand/delivered");
    if markers.exists() { names(&markers) } else { Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_working_directory_is_no_delivery_though_an_older_object_lies_there() {
    let lab = Lab::open().await;
    lab.put("results/old", "of another run");
    let failures = lab.run_task(&wrap_up(&lab)).await.failures();
    assert!(failures.contains("fs-1:/scratch/one"), "{failures}");
    assert_eq!(names(&lab.object("results")), ["old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_delivery_counts_for_the_same_task_alone() {
    let lab = Lab::open().await;
    lab.write("mnt/scratch/one/result", "result");
    let first = wrap_up(&lab);
    lab.run_task(&first).await.ok();
    // The record tells, not what lies at the destination.
    fs::remove_file(lab.object("results/result")).unwrap();
    lab.run_task(&first).await.ok();

    let mut other = first.clone();
    other["data_sync_requests"][0]["destination_path"] = json!("s3://data/elsewhere");
    assert!(lab.run_task(&other).await.failures().contains("does not exist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demand_that_begins_anew_or_is_given_up_forgets_its_delivery() {
    let lab = Lab::open().await;
    let removal = json!({"remove_data_paths_requests": [{"paths": ["fs-1:/scratch/one"]}]});
    for (step, fields) in [("stage_in", json!({})), ("clean_up", removal)] {
        lab.write("mnt/scratch/one/result", "result");
        lab.run_task(&wrap_up(&lab)).await.ok();
        assert_eq!(markers(&lab).len(), 1);
        lab.run_task(&task(&lab, step, &fields)).await.ok();
        assert!(markers(&lab).is_empty(), "after {step}");
        let _ = fs::remove_dir_all(lab.path("mnt/scratch/one"));
        assert!(lab.run_task(&wrap_up(&lab)).await.failures().contains("does not exist"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_deliveries_do_not_pile_up() {
    let lab = Lab::open().await;
    lab.write("mnt/scratch/.demand/delivered/20000/ancient", "long done");
    lab.write("mnt/scratch/one/result", "result");
    lab.run_task(&wrap_up(&lab)).await.ok();
    let markers = markers(&lab);
    assert!(markers.len() == 1 && markers[0].ends_with("/one"), "{markers:?}");
}

/// Who runs the worker where the tests run as root, whom no mode keeps out.
const NOBODY: u32 = 65534;

#[tokio::test(flavor = "multi_thread")]
async fn directories_that_a_command_left_read_only_are_removed_but_nothing_beyond_links() {
    let lab = Lab::open().await;
    lab.write("mnt/scratch/one/out/result", "result");
    lab.write("mnt/scratch/one/cache/deep/er/file", "junk");
    lab.write("mnt/scratch/shared/file", "shared");
    symlink(lab.path("mnt/scratch/shared"), lab.path("mnt/scratch/one/cache/link")).unwrap();
    let root = rustix::process::geteuid().is_root();
    if root {
        let everything = walkdir::WalkDir::new(lab.path("")).into_iter().flatten();
        everything.for_each(|entry| chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap());
    }
    let mode = |path: &str, mode| {
        fs::set_permissions(lab.path(path), Permissions::from_mode(mode)).unwrap();
    };
    for path in ["one/out", "one/cache/deep/er", "one/cache/deep", "one/cache", "shared", "one"] {
        mode(&format!("mnt/scratch/{path}"), 0o555);
    }
    mode("mnt/scratch/one/cache/deep", 0);

    let mut wrap_up = wrap_up(&lab);
    wrap_up["data_sync_requests"][0]["source_path"] = json!("fs-1:/scratch/one/out");
    let mut command = lab.task_command(&wrap_up);
    if root {
        // The built binary may lie where nobody else may look.
        let binary = lab.path("worker");
        fs::copy(env!("CARGO_BIN_EXE_demand"), &binary).unwrap();
        fs::set_permissions(&binary, Permissions::from_mode(0o755)).unwrap();
        let mut other = Command::new(binary);
        other.args(command.as_std().get_args()).env_clear();
        for (name, value) in command.as_std().get_envs() {
            other.env(name, value.unwrap());
        }
        command = other.into();
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    ran(command).await.ok();
    assert_eq!(names(&lab.object("results")), ["result"]);
    assert!(!lab.path("mnt/scratch/one").exists());
    assert!(!lab.path("mnt/scratch/.one.demand-removed").exists());
    let shared = fs::metadata(lab.path("mnt/scratch/shared")).unwrap();
    assert_eq!(shared.permissions().mode() & 0o777, 0o555);
    assert!(lab.path("mnt/scratch/shared/file").exists());
    mode("mnt/scratch/shared", 0o755);
}
