//! A step's task: env file, transfers, removals, and its repetition after a kill.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::lab::{Lab, bytes, names, tree};

/// A step's task of the demand `one`, whose working directory lies on the nearer of two mounts.
pub fn task(lab: &Lab, step: &str, fields: &Value) -> Value {
    let mut task = json!({
        "execution_id": "one",
        "step": step,
        "mounts": [
            {"file_system": "fs-1", "access_point": "fsap-1", "access_point_path": "/scratch",
             "mount_point": lab.text("mnt/scratch")},
            {"file_system": "fs-1", "access_point": "fsap-2", "access_point_path": "/scratch/deep",
             "mount_point": lab.text("mnt/deep")},
        ],
        "working_path": lab.text("mnt/scratch/one"),
    });
    task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn an_env_file_gives_a_shell_the_exact_values() {
    let lab = Lab::open().await;
    let values: BTreeMap<&str, &str> = BTreeMap::from([
        ("PLAIN", "value"),
        ("EMPTY", ""),
        ("QUOTES", r#"it's "quoted" \ and '' twice"#),
        ("SHELL", "$HOME `id` $(id) !! * ; & |"),
        ("LINES", "first\nsecond\r\n\tthird\n"),
        ("UNICODE", "Zürich \u{1F9EA} \u{7f}"),
    ]);
    let path = lab.path("mnt/scratch/one/.demand.env");
    let stage_in = task(
        &lab,
        "stage_in",
        &json!({
            "env_file": {"path": path, "environment": values},
        }),
    );
    lab.run_task(&stage_in).await.ok();
    lab.run_task(&stage_in).await.ok();

    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let output = Command::new("bash")
        .args(["-c", ". \"$0\" && env -0", path.to_str().unwrap()])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let seen = String::from_utf8(output.stdout).unwrap();
    let seen: BTreeMap<_, _> = seen.split('\0').filter_map(|pair| pair.split_once('=')).collect();
    for (name, value) in values {
        assert_eq!(seen.get(name), Some(&value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirrored_working_directory_keeps_its_env_file() {
    let lab = Lab::open().await;
    lab.put("in/a", "a");
    let env_file = lab.path("mnt/scratch/one/env.sh");
    lab.write("mnt/scratch/one/stale", "stale");
    let stage_in = task(
        &lab,
        "stage_in",
        &json!({
            "env_file": {"path": env_file, "environment": {"A": "b"}},
            "data_sync_requests": [
                {"source_path": "s3://data/in", "destination_path": "fs-1:/scratch/one"},
            ],
        }),
    );
    lab.run_task(&stage_in).await.ok();
    assert_eq!(names(&lab.path("mnt/scratch/one")), ["a", "env.sh"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn efs_paths_resolve_through_the_nearest_mount() {
    let lab = Lab::open().await;
    lab.put("in", "input");
    let to = |path: &str| json!({"source_path": "s3://data/in", "destination_path": path});
    let stage_in = task(
        &lab,
        "stage_in",
        &json!({"data_sync_requests": [
            to("fs-1:/scratch/one/a"), to("efs://fs-1:/scratch/deep/b"), to("fs-1:/scratch/deeper/c"),
        ]}),
    );
    lab.run_task(&stage_in).await.ok();
    for path in ["mnt/scratch/one/a", "mnt/deep/b", "mnt/scratch/deeper/c"] {
        assert_eq!(fs::read(lab.path(path)).unwrap(), b"input");
    }

    let strange = task(
        &lab,
        "stage_in",
        &json!({"data_sync_requests": [
            to("fs-2:/scratch/x"), to("fs-1:/elsewhere/x"), to("fs-1:/scratch/../../x"),
        ]}),
    );
    let failures = lab.run_task(&strange).await.failures();
    assert_eq!(failures.matches("mounted").count(), 2, "{failures}");
    assert!(failures.contains(".."), "{failures}");
}

fn wrap_up(lab: &Lab) -> Value {
    let out = |name: &str| {
        json!({
            "source_path": format!("fs-1:/scratch/one/{name}"),
            "destination_path": format!("s3://data/results/{name}"),
            "retain_source_data": false,
            "delete": true,
        })
    };
    task(
        lab,
        "wrap_up",
        &json!({
            "data_sync_requests": [out("tables"), out("image.bin")],
            "remove_data_paths_requests": [
                {"paths": ["fs-1:/scratch/one/tables", "fs-1:/scratch/one"]},
            ],
        }),
    )
}

/// What lies on the mounts, but for the markers of what was delivered.
fn left(lab: &Lab) -> Vec<String> {
    let mut left = names(&lab.path("mnt"));
    left.retain(|name| !name.starts_with("scratch/.demand/delivered/"));
    left
}

fn outputs(lab: &Lab, files: usize, large: usize) {
    for index in 0..files {
        lab.write(&format!("mnt/scratch/one/tables/{}/{index}", index % 5), format!("row {index}"));
    }
    lab.write("mnt/scratch/one/image.bin", bytes(large));
    lab.write("mnt/scratch/one/tmp/junk", "junk");
    lab.write("mnt/scratch/shared/cache", "shared");
    lab.write("mnt/scratch/one-more/file", "another demand's");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrapping_up_delivers_then_removes_and_leaves_what_is_shared() {
    let lab = Lab::open().await;
    outputs(&lab, 20, 1000);
    lab.run_task(&wrap_up(&lab)).await.ok();
    assert_eq!(tree(&lab.object("results")).len(), 21);
    assert_eq!(left(&lab), ["scratch/one-more/file", "scratch/shared/cache"]);
    // Batch may run a step again that had come to its end.
    lab.run_task(&wrap_up(&lab)).await.ok();
    assert_eq!(tree(&lab.object("results")).len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_when_one_transfer_failed() {
    let lab = Lab::open().await;
    outputs(&lab, 5, 10);
    fs::remove_file(lab.path("mnt/scratch/one/image.bin")).unwrap();
    let failures = lab.run_task(&wrap_up(&lab)).await.failures();
    assert!(failures.contains("image.bin"), "{failures}");
    assert_eq!(tree(&lab.path("mnt/scratch/one/tables")).len(), 5);
    assert_eq!(tree(&lab.object("results/tables")).len(), 5);

    lab.write("mnt/scratch/one/image.bin", "now");
    lab.run_task(&wrap_up(&lab)).await.ok();
    assert_eq!(tree(&lab.object("results")).len(), 6);
    assert!(!lab.path("mnt/scratch/one").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_cannot_take_what_the_step_delivered() {
    let lab = Lab::open().await;
    outputs(&lab, 1, 10);
    let wrap_up = task(
        &lab,
        "wrap_up",
        &json!({
            "data_sync_requests": [{
                "source_path": "fs-1:/scratch/one/image.bin",
                "destination_path": "fs-1:/scratch/one/kept/image.bin",
            }],
            "remove_data_paths_requests": [{"paths": ["fs-1:/scratch/one"]}],
        }),
    );
    assert!(lab.run_task(&wrap_up).await.failures().contains("delivered"));
    assert!(lab.path("mnt/scratch/one/kept/image.bin").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn cleaning_up_removes_and_makes_nothing() {
    let lab = Lab::open().await;
    let clean_up = task(
        &lab,
        "clean_up",
        &json!({
            "remove_data_paths_requests": [{"paths": ["fs-1:/scratch/one", "fs-1:/scratch/one/x"]}],
        }),
    );
    lab.run_task(&clean_up).await.ok();
    assert!(!lab.path("mnt/scratch/one").exists());
    outputs(&lab, 3, 10);
    lab.run_task(&clean_up).await.ok();
    assert!(!lab.path("mnt/scratch/one").exists());
    assert!(lab.path("mnt/scratch/shared/cache").exists());
    let mount = task(
        &lab,
        "clean_up",
        &json!({
            "remove_data_paths_requests": [{"paths": ["fs-1:/scratch"]}],
        }),
    );
    assert!(lab.run_task(&mount).await.failures().contains("mount"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrap_up_killed_at_any_moment_is_finished_by_the_next() {
    let lab = Lab::open().await;
    let wrap_up = wrap_up(&lab);
    let mut kills = 0;
    for round in 0..4 {
        let _ = fs::remove_dir_all(lab.object("results"));
        outputs(&lab, 60, 20 << 20);
        let expected = {
            let mut expected = tree(&lab.path("mnt/scratch/one/tables"));
            expected = expected
                .into_iter()
                .map(|(path, content)| (std::path::Path::new("tables").join(path), content))
                .collect();
            expected.insert("image.bin".into(), bytes(20 << 20));
            expected
        };
        // Ever later kills walk through the whole step.
        let mut pause = Duration::from_millis(5 + round);
        loop {
            let mut child = lab.task_command(&wrap_up).stdout(Stdio::null()).spawn().unwrap();
            let ended = tokio::select! {
                status = child.wait() => Some(status.unwrap()),
                () = sleep(pause) => None,
            };
            if let Some(status) = ended {
                assert!(status.success(), "after {kills} kills");
                break;
            }
            child.kill().await.unwrap();
            kills += 1;
            pause = pause * 4 / 3;
        }
        assert!(tree(&lab.object("results")) == expected, "round {round}");
        assert_eq!(left(&lab), ["scratch/one-more/file", "scratch/shared/cache"]);
    }
    assert!(kills >= 4, "only {kills} kills");
}
