//! Which objects a prefix names, what is skipped, and what a mirror deletes.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Moto, files, named};
use crate::lab::{BUCKET, names};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn a_prefix_names_whole_segments() {
    let moto = Moto::start().await;
    for key in ["run1/a", "run1/b/c", "run10/d", "run1-more", "both", "both/x"] {
        moto.put(key, key).await;
    }
    let down = named([("a", "run1/a"), ("b/c", "run1/b/c")]);
    moto.sync("s3://data/run1", &moto.text("down"), json!({})).await.ok();
    assert_eq!(files(&moto, "down"), down);
    moto.sync("s3://data/run1", "s3://other/copy", json!({})).await.ok();
    assert_eq!(moto.objects("other", "copy/").await, down);

    let failures = moto.sync("s3://data/run", &moto.text("none"), json!({})).await.failures();
    assert!(failures.contains("s3://data/run\"") && failures.contains("does not exist"));
    let failures = moto.sync("s3://data/both", &moto.text("none"), json!({})).await.failures();
    assert!(failures.contains("both an object and a folder"), "{failures}");
    assert!(!moto.path("none").exists());
    moto.sync("s3://data/both/", &moto.text("folder"), json!({})).await.ok();
    assert_eq!(files(&moto, "folder"), named([("x", "both/x")]));

    // What lies at the destination is a name like the source's, too.
    moto.write("local/a", "from here");
    moto.put("to10/kept", "kept").await;
    moto.sync(&moto.text("local"), "s3://data/to1", json!({})).await.ok();
    assert_eq!(moto.objects(BUCKET, "to1/").await, named([("a", "from here")]));
    assert_eq!(moto.objects(BUCKET, "to10/").await, named([("kept", "kept")]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn an_empty_object_named_as_a_folder_is_one() {
    let moto = Moto::start().await;
    moto.put("p/", "").await;
    moto.put("p/empty/", "").await;
    moto.put("p/deep/er/", "").await;
    moto.put("p/file", "file").await;
    moto.put("alone/", "").await;
    moto.sync("s3://data/p", &moto.text("p"), json!({})).await.ok();
    assert_eq!(names(&moto.path("p")), ["file"]);
    assert!(moto.path("p/empty").is_dir() && moto.path("p/deep/er").is_dir());
    let again = moto.sync("s3://data/p", &moto.text("p"), json!({})).await.ok();
    assert_eq!((&again["files_transferred"], &again["files_deleted"]), (&json!(0), &json!(0)));
    assert!(moto.path("p/empty").is_dir());

    moto.sync("s3://data/alone", &moto.text("alone"), json!({})).await.ok();
    assert!(moto.path("alone").is_dir());

    moto.sync("s3://data/p/", "s3://other/p/", json!({})).await.ok();
    assert_eq!(moto.keys("other", "").await, ["p/", "p/deep/er/", "p/empty/", "p/file"]);
    let moved = json!({"retain_source_data": false});
    moto.sync("s3://data/p", &moto.text("p"), moved).await.ok();
    assert!(moto.keys(BUCKET, "p/").await.is_empty());
}

/// Transferred, skipped.
fn counts(result: &Value) -> (u64, u64) {
    let count = |name: &str| result[name].as_u64().unwrap();
    (count("files_transferred"), count("files_skipped"))
}

fn set_modified(path: &std::path::Path, time: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn a_download_skips_what_is_the_same_and_replaces_what_is_older_or_differs() {
    let moto = Moto::start().await;
    moto.put("f/a", "aaaa").await;
    moto.put("f/b", "bbbb").await;
    let destination = moto.text("f");
    let sync = async |fields: Value| moto.sync("s3://data/f", &destination, fields).await.ok();
    let wanted = named([("a", "aaaa"), ("b", "bbbb")]);

    assert_eq!(counts(&sync(json!({})).await), (2, 0));
    assert_eq!(counts(&sync(json!({})).await), (0, 2));
    // Same size and newer, but other bytes.
    fs::write(moto.path("f/a"), "AAAA").unwrap();
    set_modified(&moto.path("f/a"), SystemTime::now() + Duration::from_mins(1));
    set_modified(&moto.path("f/b"), SystemTime::now() + Duration::from_mins(1));
    assert_eq!(counts(&sync(json!({"size_only": true})).await), (0, 2));
    assert_eq!(fs::read(moto.path("f/a")).unwrap(), b"AAAA");
    assert_eq!(counts(&sync(json!({})).await), (1, 1));
    assert_eq!(files(&moto, "f"), wanted);
    // Older, whatever its bytes.
    set_modified(&moto.path("f/b"), SystemTime::now() - Duration::from_hours(1));
    assert_eq!(counts(&sync(json!({"size_only": true})).await).0, 1);
    // Another size, though newer.
    fs::write(moto.path("f/b"), "longer").unwrap();
    assert_eq!(counts(&sync(json!({"size_only": true})).await).0, 1);
    assert_eq!(files(&moto, "f"), wanted);
    assert_eq!(counts(&sync(json!({"force": true})).await), (2, 0));
    assert_eq!(files(&moto, "f"), wanted);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn an_upload_skips_what_is_the_same_and_replaces_what_is_older_or_differs() {
    let moto = Moto::start().await;
    moto.write("f/a", "aaaa");
    moto.write("f/b", "bbbb");
    let source = moto.text("f");
    let sync = async |fields: Value| moto.sync(&source, "s3://data/f", fields).await.ok();
    let past = SystemTime::now() - Duration::from_hours(1);
    for name in ["f/a", "f/b"] {
        set_modified(&moto.path(name), past);
    }
    assert_eq!(counts(&sync(json!({})).await), (2, 0));
    assert_eq!(counts(&sync(json!({})).await), (0, 2));
    moto.put("f/a", "AAAA").await;
    assert_eq!(counts(&sync(json!({"size_only": true})).await), (0, 2));
    assert_eq!(counts(&sync(json!({})).await), (1, 1));
    assert_eq!(moto.objects(BUCKET, "f/").await, files(&moto, "f"));
    // The file is newer than the object.
    set_modified(&moto.path("f/b"), SystemTime::now() + Duration::from_mins(1));
    assert_eq!(counts(&sync(json!({"size_only": true})).await), (1, 1));
    fs::write(moto.path("f/a"), "longer").unwrap();
    set_modified(&moto.path("f/a"), past);
    set_modified(&moto.path("f/b"), past);
    assert_eq!(counts(&sync(json!({"size_only": true})).await), (1, 1));
    assert_eq!(counts(&sync(json!({"force": true})).await), (2, 0));
    assert_eq!(moto.objects(BUCKET, "f/").await, files(&moto, "f"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn a_copy_within_s3_skips_what_is_the_same_and_replaces_what_differs() {
    let moto = Moto::start().await;
    moto.put("f/a", "aaaa").await;
    moto.put("f/b", "bbbb").await;
    let sync = async |fields: Value| moto.sync("s3://data/f", "s3://other/f", fields).await.ok();
    assert_eq!(counts(&sync(json!({})).await), (2, 0));
    assert_eq!(counts(&sync(json!({})).await), (0, 2));
    moto.put("f/a", "AAAA").await;
    assert_eq!(counts(&sync(json!({})).await), (1, 1));
    moto.put("f/b", "longer").await;
    assert_eq!(counts(&sync(json!({"size_only": true})).await).0, 1);
    assert_eq!(counts(&sync(json!({"force": true})).await), (2, 0));
    let copied = moto.objects("other", "f/").await;
    assert_eq!(copied, named([("a", "AAAA"), ("b", "longer")]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn a_mirror_deletes_below_its_folder_after_success_alone() {
    let moto = Moto::start().await;
    moto.write("local/new", "new");
    moto.put("m/new", "new").await;
    for key in ["up/stale", "up/old/stale", "up2/other", "up"] {
        moto.put(key, "stale").await;
    }
    let kept = moto.sync(&moto.text("local"), "s3://data/up", json!({"delete": false})).await.ok();
    assert_eq!(kept["files_deleted"], 0);
    let mirrored = moto.sync(&moto.text("local"), "s3://data/up", json!({})).await.ok();
    assert_eq!(mirrored["files_deleted"], 2);
    // The object of the folder's name is not below it, nor is what starts with the name.
    assert_eq!(moto.keys(BUCKET, "up").await, ["", "/new", "2/other"]);

    moto.put("copy/stale", "stale").await;
    let copied = moto.sync("s3://data/m", "s3://data/copy", json!({})).await.ok();
    assert_eq!((&copied["files_deleted"], &copied["files_transferred"]), (&json!(1), &json!(1)));
    assert_eq!(moto.keys(BUCKET, "copy").await, ["/new"]);

    moto.write("down/old/stale", "stale");
    moto.write("down2/other", "other");
    moto.sync("s3://data/m", &moto.text("down"), json!({})).await.ok();
    assert_eq!(names(&moto.path("down")), ["new"]);
    assert!(!moto.path("down/old").exists() && moto.path("down2/other").exists());

    // A single object never deletes, and neither does a transfer that failed.
    moto.sync(&moto.text("local/new"), "s3://data/up/one", json!({})).await.ok();
    assert_eq!(moto.keys(BUCKET, "up/").await, ["new", "one"]);
    moto.put("m/way/file", "x").await;
    moto.write("down/way", "a file in the way");
    moto.write("down/stale", "stale");
    moto.sync("s3://data/m", &moto.text("down"), json!({})).await.failures();
    assert_eq!(names(&moto.path("down")), ["new", "stale", "way"]);
    moto.write("local/gone", "gone");
    std::os::unix::fs::symlink("nowhere", moto.path("local/dangling")).unwrap();
    let failures = moto.sync(&moto.text("local"), "s3://data/up", json!({})).await.failures();
    assert!(failures.contains("dangling"), "{failures}");
    assert_eq!(moto.keys(BUCKET, "up/").await, ["gone", "new", "one"]);

    // What a mirror of what the filters leave does not have is deleted, too.
    fs::remove_file(moto.path("local/dangling")).unwrap();
    let filtered = json!({"filter_config": {"exclude": "gone"}});
    moto.sync(&moto.text("local"), "s3://data/up", filtered).await.ok();
    assert_eq!(moto.keys(BUCKET, "up/").await, ["new"]);
}
