//! A directory to S3, S3 to S3, and directory to directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use crate::lab::{Lab, bytes, names, tree};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_written_within_the_second_of_the_upload_before_is_uploaded() {
    let lab = Lab::open().await;
    for text in ["first", "other", "third"] {
        lab.write("k", text);
        lab.sync(&lab.text("k"), "s3://data/k", json!({"size_only": true})).await.ok();
        assert_eq!(std::fs::read_to_string(lab.object("k")).unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_and_a_large_file_are_uploaded() {
    let lab = Lab::open().await;
    for index in 0..40 {
        lab.write(&format!("out/{}/ü {index}+%", index % 3), format!("content {index}"));
    }
    lab.write("out/middle", bytes(3 << 20));
    lab.write("out/large", bytes((40 << 20) + 7));

    let result = lab.sync(&lab.text("out"), "s3://data/results", json!({})).await.ok();
    assert_eq!(result["files_transferred"], 42);
    assert!(tree(&lab.path("out")) == tree(&lab.object("results")));

    let again = lab.sync(&lab.text("out"), "s3://data/results/", json!({})).await.ok();
    assert_eq!((&again["files_transferred"], &again["files_skipped"]), (&json!(0), &json!(42)));
    lab.write("out/middle", bytes(5));
    let changed = lab.sync(&lab.text("out"), "s3://data/results/", json!({})).await.ok();
    assert_eq!(changed["files_transferred"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_may_go_to_a_bucket_that_is_made_with_its_first_object() {
    let lab = Lab::open().await;
    lab.write("s/one", "1");
    let dry = lab.run(&["sync", &lab.text("s"), "s3://new-bucket/x", "--dry-run"]).await.ok();
    assert_eq!(dry["files_transferred"], 1);
    assert!(!lab.path("s3/new-bucket").exists());
    lab.sync(&lab.text("s"), "s3://new-bucket/x", json!({})).await.ok();
    assert_eq!(names(&lab.path("s3/new-bucket")), ["x/one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_becomes_the_object_of_that_key() {
    let lab = Lab::open().await;
    lab.write("one.txt", "one");
    lab.put("one/neighbour", "stays");
    lab.sync(&lab.text("one.txt"), "s3://data/two.txt", json!({"delete": true})).await.ok();
    lab.sync(&lab.text("one.txt"), "s3://data/one/", json!({"delete": true})).await.ok();
    assert_eq!(fs::read(lab.object("two.txt")).unwrap(), b"one");
    assert_eq!(fs::read(lab.object("one/one.txt")).unwrap(), b"one");
    assert!(lab.object("one/neighbour").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn mirroring_leaves_other_folders_and_other_requests_destinations_alone() {
    let lab = Lab::open().await;
    lab.write("a/file", "a");
    lab.write("b/file", "b");
    lab.put("out/stale", "stale");
    lab.put("out2/other", "other");
    let requests = json!([
        {"source_path": lab.text("b"), "destination_path": "s3://data/out/sub"},
        {"source_path": lab.text("a"), "destination_path": "s3://data/out"},
    ]);
    let result = lab.run(&["sync", &requests.to_string()]).await.ok();
    assert_eq!(result["files_deleted"], 1);
    let found = names(&lab.object(""));
    assert_eq!(found, ["out/file", "out/sub/file", "out2/other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_followed_inside_the_source_and_refused_outside() {
    let lab = Lab::open().await;
    lab.write("src/real/file", "real");
    lab.write("secret", "secret");
    symlink("real", lab.path("src/link")).unwrap();
    symlink("..", lab.path("src/real/loop")).unwrap();
    lab.sync(&lab.text("src"), "s3://data/links", json!({})).await.ok();
    let found = names(&lab.object("links"));
    assert_eq!(found, ["link/file", "real/file"]);

    symlink(lab.path("secret"), lab.path("src/leak")).unwrap();
    let failures = lab.sync(&lab.text("src"), "s3://data/links", json!({})).await.failures();
    assert!(failures.contains("src/leak") && !lab.object("links/leak").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_copies_to_s3_and_directories_to_directories() {
    let lab = Lab::open().await;
    lab.put("from/a b/ü+", "one");
    lab.put("from/two", bytes(100_000));
    lab.sync("s3://data/from", "s3://data/to", json!({})).await.ok();
    assert_eq!(tree(&lab.object("from")), tree(&lab.object("to")));
    let again = lab.sync("s3://data/from", "s3://data/to", json!({})).await.ok();
    assert_eq!(again["files_skipped"], 2);

    let from = lab.object("from").to_str().unwrap().to_owned();
    let filtered = json!({"filter_config": {"exclude": "two"}, "retain_source_data": false});
    lab.sync(&from, &lab.text("local"), filtered).await.ok();
    assert_eq!(tree(&lab.path("local")).len(), 1);
    assert_eq!(tree(&lab.object("from")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_copied_between_directories_stays_one_and_runs_with_no_other_rights() {
    let lab = Lab::open().await;
    for (name, mode) in [("program", 0o755), ("private", 0o600), ("shared", 0o664), ("su", 0o4755)]
    {
        lab.write(&format!("s/{name}"), name);
        fs::set_permissions(lab.path(&format!("s/{name}")), Permissions::from_mode(mode)).unwrap();
    }
    lab.sync(&lab.text("s"), &lab.text("d"), json!({})).await.ok();
    for (name, mode) in [("program", 0o755), ("private", 0o600), ("shared", 0o664), ("su", 0o755)] {
        let copied = fs::metadata(lab.path(&format!("d/{name}"))).unwrap().permissions().mode();
        assert_eq!(copied & 0o7777, mode, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_replaced_within_the_second_of_its_copy_is_copied_again() {
    let lab = Lab::open().await;
    for text in ["first", "other", "third"] {
        lab.put("from/a", text);
        lab.sync("s3://data/from", "s3://data/to", json!({"size_only": true})).await.ok();
        assert_eq!(fs::read_to_string(lab.object("to/a")).unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_of_the_source_is_what_is_cut_off() {
    let lab = Lab::open().await;
    lab.put("root/bin/a", "a");
    lab.put("root/other/b", "b");
    let fields = json!({"source_path_prefix": "root/"});
    lab.sync("s3://data/root/bin/", "s3://data/copy", fields).await.ok();
    let found = names(&lab.object("copy"));
    assert_eq!(found, ["bin/a"]);
}
