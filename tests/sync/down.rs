//! S3 to a directory.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use crate::lab::{Lab, bytes, names, tree};

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_hundred_files_and_an_object_arrive() {
    let lab = Lab::open().await;
    for index in 0..100 {
        lab.put(&format!("folder/{}/file {index}.txt", index % 7), format!("content {index}"));
    }
    lab.put("folder2/other", "not asked for");
    lab.put("single.bin", bytes(70_000));

    let batch = json!({"requests": [
        {"source_path": "s3://data/folder", "destination_path": lab.text("in/folder")},
        {"source_path": "s3://data/single.bin", "destination_path": lab.text("in/renamed")},
    ]});
    let result = lab.run(&["sync", &batch.to_string()]).await.ok();

    assert_eq!(result["files_transferred"], 101);
    assert_eq!(result["requests_succeeded"], 2);
    assert_eq!(tree(&lab.path("in/folder")), tree(&lab.object("folder")));
    assert_eq!(fs::read(lab.path("in/renamed")).unwrap(), bytes(70_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_arrives_in_parts() {
    let lab = Lab::open().await;
    let content = bytes((64 << 20) + 12_345);
    lab.put("large", &content);

    let result = lab.sync("s3://data/large", &lab.text("large"), json!({})).await.ok();

    assert_eq!(result["bytes_transferred"], content.len());
    assert!(fs::read(lab.path("large")).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_replaced_within_the_second_of_its_download_is_brought_again() {
    let lab = Lab::open().await;
    let destination = lab.text("f");
    for text in ["first", "other", "third"] {
        lab.put("f/a", text);
        lab.sync("s3://data/f/", &destination, json!({"size_only": true})).await.ok();
        assert_eq!(fs::read_to_string(lab.path("f/a")).unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_skipped_and_what_differs_is_replaced() {
    let lab = Lab::open().await;
    lab.put("f/a", "aaaa");
    lab.put("f/b", "bbbb");
    let destination = lab.text("f");
    lab.sync("s3://data/f/", &destination, json!({})).await.ok();

    let again = lab.sync("s3://data/f/", &destination, json!({})).await.ok();
    assert_eq!((&again["files_transferred"], &again["files_skipped"]), (&json!(0), &json!(2)));

    // Same size, newer, other bytes: only the checksum can tell.
    for file in ["f/a", "f/b"] {
        if file == "f/a" {
            fs::write(lab.path(file), "AAAA").unwrap();
        }
        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(lab.path(file)).unwrap().set_modified(later).unwrap();
    }
    let lazy = lab.sync("s3://data/f/", &destination, json!({"size_only": true})).await.ok();
    assert_eq!(lazy["files_skipped"], 2);
    let careful = lab.sync("s3://data/f/", &destination, json!({})).await.ok();
    assert_eq!(careful["files_transferred"], 1);
    assert_eq!(fs::read(lab.path("f/a")).unwrap(), b"aaaa");

    // Older than the object.
    let file = File::options().write(true).open(lab.path("f/b")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
    let older = lab.sync("s3://data/f/", &destination, json!({"size_only": true})).await.ok();
    assert_eq!(older["files_transferred"], 1);

    let forced = lab.sync("s3://data/f/", &destination, json!({"force": true})).await.ok();
    assert_eq!(forced["files_transferred"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_pattern_cannot_decide_on_fails_by_name_and_the_rest_arrives() {
    let lab = Lab::open().await;
    let undecided = "a".repeat(60);
    lab.put(&format!("u/{undecided}"), "which way?");
    lab.put("u/fine", "fine");
    let filter = json!({"filter_config": {"exclude": "(?:(?=a)a|a)+c"}});
    let failures = lab.sync("s3://data/u", &lab.text("out"), filter).await.failures();
    assert!(failures.contains(&format!("s3://data/u/{undecided}\"")), "{failures}");
    assert!(failures.contains("(?:(?=a)a|a)+c"), "{failures}");
    assert_eq!(names(&lab.path("out")), ["fine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_match_whole_relative_paths_and_exclude_wins() {
    let lab = Lab::open().await;
    for key in ["r/x/keep.bam", "r/x/keep.bam.bai", "r/x/drop.bam", "r/top.bam"] {
        lab.put(key, key);
    }
    let filter = json!({
        "filter_config": {"include": [r".*\.bam"], "exclude": r".*/drop\..*"},
    });
    lab.sync("s3://data/r", &lab.text("out"), filter).await.ok();
    let found = names(&lab.path("out"));
    assert_eq!(found, ["top.bam", "x/keep.bam"]);

    let rooted = json!({
        "filter_config": {"include": "x/keep.bam"}, "filter_root": "s3://data/r/",
    });
    lab.sync("s3://data/r/x", &lab.text("rooted"), rooted).await.ok();
    let found = names(&lab.path("rooted"));
    assert_eq!(found, ["keep.bam"]);

    let none = json!({"filter_config": {"include": "keep"}});
    assert!(lab.sync("s3://data/r", &lab.text("no"), none).await.failures().contains("filters"));
    let none = json!({"filter_config": {"include": "keep"}, "fail_if_missing": false});
    assert_eq!(lab.sync("s3://data/r", &lab.text("no"), none).await.ok()["files_transferred"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_source_is_named_and_the_rest_is_finished() {
    let lab = Lab::open().await;
    lab.put("run10/file", "not below run1");
    lab.put("there", "there");
    let requests = json!([
        {"source_path": "s3://data/run1", "destination_path": lab.text("a")},
        {"source_path": "s3://data/there", "destination_path": lab.text("b")},
    ]);
    let failures = lab.run(&["sync", &requests.to_string()]).await.failures();
    assert!(failures.contains("s3://data/run1") && failures.contains("does not exist"));
    assert_eq!(fs::read(lab.path("b")).unwrap(), b"there");

    let optional = json!({"fail_if_missing": false});
    lab.sync("s3://data/run1", &lab.text("a"), optional).await.ok();
    let failures = lab.sync("s3://nobucket/x", &lab.text("a"), json!({})).await.failures();
    assert!(failures.contains("nobucket"), "{failures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mirroring_deletes_only_below_the_destination_and_only_after_success() {
    let lab = Lab::open().await;
    lab.put("m/new", "new");
    lab.write("d/m/old/stale", "stale");
    lab.write("d/beside", "beside");
    let kept = lab.sync("s3://data/m", &lab.text("d/m"), json!({"delete": false})).await.ok();
    assert_eq!(kept["files_deleted"], 0);
    let mirrored = lab.sync("s3://data/m", &lab.text("d/m"), json!({})).await.ok();
    assert_eq!(mirrored["files_deleted"], 1);
    assert_eq!(tree(&lab.path("d")).len(), 2);
    assert!(!lab.path("d/m/old").exists());

    // A file where a directory is needed: the transfer fails, so nothing is deleted.
    lab.put("m/blocked/file", "x");
    lab.write("d/m/blocked", "a file in the way");
    lab.write("d/m/stale", "stale");
    lab.sync("s3://data/m", &lab.text("d/m"), json!({})).await.failures();
    assert!(lab.path("d/m/stale").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_outside_the_destination() {
    let lab = Lab::open().await;
    lab.put("links/out/file", "escaped");
    fs::create_dir_all(lab.path("d")).unwrap();
    fs::create_dir_all(lab.path("outside")).unwrap();
    symlink(lab.path("outside"), lab.path("d/out")).unwrap();
    let failures = lab.sync("s3://data/links", &lab.text("d"), json!({})).await.failures();
    assert!(failures.contains("symbolic link"), "{failures}");
    assert!(tree(&lab.path("outside")).is_empty());

    let escaping = lab.sync("s3://data/links", "/tmp/../etc/x", json!({})).await.failures();
    assert!(escaping.contains(".."), "{escaping}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_object_named_as_a_folder_makes_a_directory() {
    let lab = Lab::open().await;
    fs::create_dir_all(lab.object("p/empty")).unwrap();
    lab.put("p/zero", "");
    lab.sync("s3://data/p", &lab.text("p"), json!({})).await.ok();
    assert!(lab.path("p/empty").is_dir());
    assert_eq!(fs::metadata(lab.path("p/zero")).unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_destination_is_given_up_on_in_time() {
    let lab = Lab::open().await;
    lab.put("x", "x");
    let lock = File::create(lab.path(".x.demand.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let request = json!({
        "source_path": "s3://data/x", "destination_path": lab.text("x"), "require_lock": true,
    });
    let arguments = ["sync", &request.to_string(), "--lock-timeout", "1"];
    assert!(lab.run(&arguments).await.failures().contains("lock"));
    drop(lock);
    lab.run(&arguments).await.ok();
    assert!(lab.path(".x.demand.lock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_are_not_retained_are_removed_once_transferred() {
    let lab = Lab::open().await;
    lab.put("move/a", "a");
    lab.put("move/b/c", "c");
    let filter = json!({
        "retain_source_data": false, "filter_config": {"exclude": "a"},
    });
    let result = lab.sync("s3://data/move", &lab.text("moved"), filter).await.ok();
    assert_eq!(result["sources_removed"], 1);
    assert!(lab.object("move/a").exists() && !lab.object("move/b").exists());
    assert_eq!(fs::read(lab.path("moved/b/c")).unwrap(), b"c");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_by_hand_takes_its_options_as_flags() {
    let lab = Lab::open().await;
    lab.put("h/a.txt", "a");
    lab.put("h/b.bin", "b");
    lab.write("hand/stale", "stale");
    let destination = lab.text("hand");
    let arguments = ["sync", "s3://data/h/", &destination, "--include", r".*\.txt", "--delete"];
    assert_eq!(lab.run(&arguments).await.ok()["files_deleted"], 1);
    let found = names(&lab.path("hand"));
    assert_eq!(found, ["a.txt"]);

    let removed = lab.run(&["remove", "s3://data/h", &lab.text("hand")]).await.ok();
    assert_eq!(removed["paths_removed"], 2);
    assert!(!lab.path("hand").exists() && !lab.object("h").exists());
    assert!(lab.run(&["remove", "s3://data"]).await.failures().contains("whole bucket"));
    assert_eq!(lab.run(&["sync", "{}"]).await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_write_the_same_files_at_once_do_not_spoil_them() {
    let lab = Lab::open().await;
    for index in 0..30 {
        lab.put(&format!("shared/{index}"), bytes(200_000 + index));
    }
    let destination = lab.text("shared");
    let runs = (0..4).map(|_| lab.sync("s3://data/shared", &destination, json!({"force": true})));
    for ran in futures::future::join_all(runs).await {
        ran.ok();
    }
    assert!(tree(&lab.path("shared")) == tree(&lab.object("shared")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_longer_than_a_page_is_listed_whole() {
    let lab = Lab::open().await;
    for index in 0..2_300 {
        lab.put(&format!("long/{index:04}"), "x");
    }
    let ends = json!({"filter_config": {"include": ["0000", "0999", "1000", "2299"]}});
    lab.sync("s3://data/long", &lab.text("long"), ends).await.ok();
    assert_eq!(names(&lab.path("long")), ["0000", "0999", "1000", "2299"]);

    lab.run(&["remove", "s3://data/long"]).await.ok();
    assert!(!lab.object("long").exists());
}
