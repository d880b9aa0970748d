//! Moves, mirrors and removals where what they name is not what it seems: nothing is lost that
//! was not to go.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::held::Held;
use crate::lab::{Lab, names, ran};

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_mirrors_may_be_repeated_until_all_of_its_sources_are_gone() {
    for to_s3 in [false, true] {
        let held = Held::default();
        let lab = held.open().await;
        let destination = if to_s3 { "s3://data/to".to_owned() } else { lab.text("to") };
        let arrived = || if to_s3 { held.names("to/") } else { names(&lab.path("to")) };
        if to_s3 {
            held.put("to/stale", "stale");
        } else {
            lab.write("to/stale", "stale");
        }
        for name in ["one", "two", "three"] {
            held.put(&format!("from/{name}"), name);
        }
        held.keep("from/two");
        let mut fields = json!({"retain_source_data": false, "delete": true});
        for concurrency in [25, 10] {
            // It is the same move whatever else is asked for.
            fields["max_concurrency"] = json!(concurrency);
            let ran = lab.sync("s3://data/from", &destination, fields.clone()).await;
            let failures = ran.failures();
            assert!(failures.contains("s3://data/from/two\""), "{failures}");
            assert_eq!(held.names("from/"), ["two"], "{failures}");
            // What the first try took from the source is no reason for the next to delete it.
            let stays: Vec<_> =
                arrived().into_iter().filter(|name| !name.starts_with('.')).collect();
            assert_eq!(stays, ["one", "three", "two"], "to {destination}");
        }
        held.let_go("from/two");
        lab.sync("s3://data/from", &destination, fields.clone()).await.ok();
        assert_eq!(held.names("from/"), [""; 0]);
        assert_eq!(arrived(), ["one", "three", "two"]);

        // Another move to the same destination mirrors again.
        held.put("from/four", "four");
        lab.sync("s3://data/from", &destination, fields).await.ok();
        assert_eq!(arrived(), ["four"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_keeps_what_it_placed_through_links() {
    let lab = Lab::open().await;
    lab.put("k/link/file", "new");
    fs::create_dir_all(lab.path("d/real")).unwrap();
    lab.write("d/real/stale", "stale");
    symlink("real", lab.path("d/link")).unwrap();
    let result = lab.sync("s3://data/k", &lab.text("d"), json!({"delete": true})).await.ok();
    assert_eq!((&result["files_transferred"], &result["files_deleted"]), (&json!(1), &json!(1)));
    assert_eq!(names(&lab.path("d")), ["real/file"]);
    assert_eq!(fs::read(lab.path("d/link/file")).unwrap(), b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_knows_other_requests_destinations_by_any_name() {
    let lab = Lab::open().await;
    lab.write("a/one", "1");
    lab.write("b/two", "2");
    fs::create_dir_all(lab.path("d/sub")).unwrap();
    symlink(lab.path("d"), lab.path("other-name")).unwrap();
    let requests = json!([
        {"source_path": lab.text("a"), "destination_path": lab.text("other-name/sub")},
        {"source_path": lab.text("b"), "destination_path": lab.text("./d/"), "delete": true},
    ]);
    lab.run(&["sync", &requests.to_string()]).await.ok();
    assert_eq!(names(&lab.path("d")), ["sub/one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_a_link_takes_the_link_and_not_what_it_leads_to() {
    let lab = Lab::open().await;
    lab.write("shared/data", "everybody's");
    symlink(lab.path("shared"), lab.path("out")).unwrap();
    let moves = json!({"retain_source_data": false});
    lab.sync(&lab.text("out"), "s3://data/k", moves).await.ok();
    assert_eq!(fs::read(lab.object("k/data")).unwrap(), b"everybody's");
    assert_eq!(names(&lab.path("shared")), ["data"]);
    assert!(!lab.path("out").is_symlink());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_a_command_linked_to_an_input_leaves_the_input_alone() {
    let lab = Lab::open().await;
    lab.write("shared/in/data", "everybody's");
    lab.write("work/plain", "mine");
    symlink(lab.path("shared"), lab.path("work/linked")).unwrap();
    let moved = |name: &str| {
        let (from, to) = (lab.text(&format!("work/{name}")), format!("s3://data/{name}"));
        json!({"source_path": from, "destination_path": to, "retain_source_data": false})
    };
    let task = json!({
        "execution_id": "one",
        "step": "wrap_up",
        "working_path": lab.text("work"),
        "mounts": [],
        "data_sync_requests": [moved("linked/in"), moved("plain")],
        "remove_data_paths_requests": [{"paths": [lab.text("work")]}],
    });
    lab.run_task(&task).await.ok();
    assert_eq!(fs::read(lab.object("linked/in/data")).unwrap(), b"everybody's");
    assert_eq!(fs::read(lab.object("plain")).unwrap(), b"mine");
    assert_eq!(names(&lab.path("shared")), ["in/data"]);
    assert!(!lab.path("work").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_a_command_wrote_removes_nothing_of_others() {
    let lab = Lab::open().await;
    lab.write("others", "others'");
    lab.put("others", "others'");
    lab.write("work/mine", "mine");
    let task = json!({
        "execution_id": "one",
        "step": "wrap_up",
        "working_path": lab.text("work"),
        "mounts": [],
        "data_sync_requests": [{
            "source_path": lab.text("work/mine"), "destination_path": "s3://data/mine",
            "retain_source_data": false,
        }],
        "remove_data_paths_requests": [],
    });
    // It knows even the fingerprint, from a journal of an earlier try.
    let elsewhere = json!({
        "source_path": lab.text("work/missing"), "destination_path": "s3://data/x",
    });
    let mut broken = task.clone();
    broken["data_sync_requests"].as_array_mut().unwrap().push(elsewhere);
    lab.run_task(&broken).await.failures();
    let journal = lab.path("work/.demand.journal");
    let first = fs::read_to_string(&journal).unwrap().lines().next().unwrap().to_owned();
    let object = json!({"bucket": "data", "key": "others", "etag": ""});
    let modified = fs::metadata(lab.path("others")).unwrap().modified().unwrap();
    let modified_ns = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let modified_ns = u64::try_from(modified_ns).unwrap();
    let file = json!({"path": lab.text("others"), "size": 7, "modified_ns": modified_ns});
    let lines = [
        first,
        json!({"verified": {"request": 0, "source": {"object": object}}}).to_string(),
        json!({"verified": {"request": 0, "source": {"file": file}}}).to_string(),
        json!("removing").to_string(),
    ];
    fs::write(&journal, lines.join("\n") + "\n").unwrap();
    let believed = lab.run_task(&broken).await.ok();
    assert_eq!(
        (&believed["requests_succeeded"], &believed["sources_removed"]),
        (&json!(2), &json!(0))
    );
    assert!(lab.path("others").exists());
    assert!(lab.object("others").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_succeeded_move_their_sources_whatever_became_of_others() {
    let lab = Lab::open().await;
    lab.write("a", "a");
    lab.write("b", "b");
    let moved = |from: &str, to: &str| {
        json!({
            "source_path": lab.text(from), "destination_path": lab.text(to),
            "retain_source_data": false,
        })
    };
    // A second request that could not bring the same source keeps it.
    let requests = json!([
        moved("a", "d/a"),
        moved("missing", "d/x"),
        moved("b", "d/b"),
        moved("b", "d/b/below"),
    ]);
    let batch = json!({"requests": requests, "allow_partial_failure": true});
    let result = lab.run(&["sync", &batch.to_string()]).await.ok();
    assert_eq!((&result["requests_succeeded"], &result["requests_failed"]), (&json!(2), &json!(2)));
    assert_eq!(result["sources_removed"], 1);
    assert!(!lab.path("a").exists() && lab.path("b").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_is_not_removed_by_another_name() {
    let lab = Lab::open().await;
    lab.write("mnt/efs/data", "everybody's");
    symlink(lab.path("mnt"), lab.path("other-name")).unwrap();
    for (directory, path) in [
        ("mnt", "efs".to_owned()),
        ("", lab.text("other-name/efs")),
        ("", lab.text("mnt")),
        ("mnt/efs", ".".to_owned()),
    ] {
        let mut command = lab.command(&["remove", &path]);
        command
            .current_dir(lab.path(directory))
            .env("EFS_MOUNT_POINT_PATH_A", lab.text("mnt/efs"))
            .env("EFS_MOUNT_POINT_ID_A", "fs-0123abcd");
        let failures = ran(command).await.failures();
        assert!(failures.contains("never removed"), "{path}: {failures}");
        assert_eq!(names(&lab.path("mnt")), ["efs/data"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_link_leaves_what_it_leads_to() {
    let lab = Lab::open().await;
    lab.write("real/data", "stays");
    for name in ["link", "link/"] {
        symlink(lab.path("real"), lab.path("link")).unwrap();
        lab.run(&["remove", &lab.text(name)]).await.ok();
        assert!(!lab.path("link").is_symlink(), "{name}");
        assert_eq!(names(&lab.path("real")), ["data"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_and_the_folder_of_its_name_are_both_removed_where_both_are_named() {
    let held = Held::default();
    let lab = held.open().await;
    for key in ["k", "k/below", "kept"] {
        held.put(key, key);
    }
    lab.run(&["remove", "s3://data/k/", "s3://data/k"]).await.ok();
    assert_eq!(held.names(""), ["kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_removes_what_killed_workers_left_under_way_and_not_what_others_write() {
    let lab = Lab::open().await;
    lab.put("k/file", "file");
    let (left, written) = (".demand-00000000000000aa.part", ".demand-00000000000000bb.part");
    for name in [left, written] {
        lab.write(&format!("d/{name}"), "under way");
        let file = fs::File::options().write(true).open(lab.path(&format!("d/{name}"))).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
    }
    let new = ".demand-00000000000000cc.part";
    lab.write(&format!("d/{new}"), "not locked yet");
    let held = fs::File::open(lab.path(&format!("d/{written}"))).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let result = lab.sync("s3://data/k", &lab.text("d"), json!({"delete": true})).await.ok();
    assert_eq!(result["files_deleted"], 0);
    assert_eq!(names(&lab.path("d")), [written, new, "file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_in_s3_keeps_the_placeholders_of_directories_that_the_source_has() {
    let lab = Lab::open().await;
    lab.write("s/file", "file");
    fs::create_dir_all(lab.path("s/sub")).unwrap();
    let client = lab.client("a-secret-key");
    for key in ["k/sub/", "k/gone/"] {
        client.put_object().bucket("data").key(key).send().await.unwrap();
    }
    lab.sync(&lab.text("s"), "s3://data/k", json!({"delete": true})).await.ok();
    let listed = client.list_objects_v2().bucket("data").prefix("k/").send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, ["k/file", "k/sub/"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_leave_out_what_cannot_be_transferred() {
    let lab = Lab::open().await;
    lab.write("s/fine", "fine");
    symlink(lab.path("nowhere"), lab.path("s/dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(lab.path("s/socket")).unwrap();
    let arguments = ["sync", &lab.text("s"), &lab.text("d")];
    lab.run(&arguments).await.failures();
    let exclude = ["--exclude", "dangling|socket", "--delete"];
    lab.run(&[&arguments[..], &exclude].concat()).await.ok();
    assert_eq!(names(&lab.path("d")), ["fine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_move_tells_which_sources_would_go() {
    let lab = Lab::open().await;
    lab.write("s/file", "file");
    let request = json!({
        "source_path": lab.text("s"), "destination_path": lab.text("d"),
        "retain_source_data": false,
    });
    let mut command = lab.command(&["sync", &request.to_string(), "--dry-run"]);
    let output = command.output().await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains(&format!("remove {}\n", lab.text("s/file"))), "{told}");
    assert!(lab.path("s/file").exists());
}
