//! Transfers within themselves, and requests that get in one another's way: nothing is lost.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::lab::{Lab, bytes, names, tree};

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_within_its_source_is_refused() {
    let lab = Lab::open().await;
    lab.put("f/one", "1");
    lab.write("f/one", "1");
    symlink(lab.path("f"), lab.path("link")).unwrap();
    fs::create_dir(lab.path("f/deep")).unwrap();
    for (source, destination) in [
        ("s3://data/f".to_owned(), "s3://data/f/deep".to_owned()),
        ("s3://data/f/".to_owned(), "s3://data/f".to_owned()),
        (lab.text("f"), lab.text("f/new/deep")),
        (lab.text("link"), lab.text("f/deep")),
        (lab.text("f"), lab.text("link")),
    ] {
        for fields in [json!({"delete": false}), json!({"retain_source_data": false})] {
            let failures = lab.sync(&source, &destination, fields).await.failures();
            assert!(failures.contains("lie within one another"), "{source}: {failures}");
        }
    }
    assert_eq!(names(&lab.path("f")), ["one"]);
    assert_eq!(names(&lab.object("f")), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_holds_its_source_only_ever_gains() {
    let lab = Lab::open().await;
    lab.put("f/sub/one", "1");
    lab.put("f/other", "o");
    lab.write("f/sub/one", "1");
    for (source, destination) in [
        ("s3://data/f/sub".to_owned(), "s3://data/f".to_owned()),
        (lab.text("f/sub"), lab.text("f")),
    ] {
        let mirrored = lab.sync(&source, &destination, json!({"delete": true})).await.failures();
        assert!(mirrored.contains("lie within one another"), "{mirrored}");
        lab.sync(&source, &destination, json!({"delete": false})).await.ok();
    }
    assert_eq!(names(&lab.object("f")), ["one", "other", "sub/one"]);
    assert_eq!(names(&lab.path("f")), ["one", "sub/one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_never_its_own_destination() {
    let lab = Lab::open().await;
    lab.put("k", "content");
    lab.write("d/k", "content");
    for (source, destination) in [
        ("s3://data/k".to_owned(), "s3://data/k".to_owned()),
        ("s3://data/k".to_owned(), "s3://data/".to_owned()),
        (lab.text("d/k"), lab.text("d/")),
    ] {
        let fields = json!({"retain_source_data": false, "delete": false});
        let failures = lab.sync(&source, &destination, fields).await.failures();
        assert!(failures.contains("lie within one another"), "{failures}");
    }
    assert!(lab.object("k").exists() && lab.path("d/k").exists());
}

fn batch(requests: &[Value]) -> String {
    json!({"requests": requests}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mirror_deletes_what_another_request_brings_away() {
    let lab = Lab::open().await;
    lab.put("in/new", "n");
    lab.write("w/out/result", "r");
    lab.write("w/stale", "s");
    let (work, out) = (lab.text("w"), lab.text("w/out"));
    let requests = [
        json!({"source_path": "s3://data/in", "destination_path": work, "delete": true}),
        json!({"source_path": out, "destination_path": "s3://data/out"}),
    ];
    lab.run(&["sync", &batch(&requests)]).await.ok();
    assert_eq!(names(&lab.path("w")), ["new", "out/result"]);
    assert_eq!(names(&lab.object("out")), ["result"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_into_one_destination_keep_what_each_of_them_brings() {
    let lab = Lab::open().await;
    lab.put("a/one", "1");
    lab.put("b/two", "2");
    let there = lab.text("there");
    let requests = ["s3://data/a", "s3://data/b"].map(|source| {
        json!({"source_path": source, "destination_path": there, "delete": true,
               "retain_source_data": false})
    });
    lab.run(&["sync", &batch(&requests)]).await.ok();
    assert_eq!(names(&lab.path("there")), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_compares_what_lies_at_its_destination_already() {
    let lab = Lab::open().await;
    lab.put("in/k", "new!");
    lab.write("there/k", "old!");
    let later = SystemTime::now() + Duration::from_hours(1);
    fs::File::options().write(true).open(lab.path("there/k")).unwrap().set_modified(later).unwrap();
    let fields = json!({"size_only": true, "retain_source_data": false, "delete": false});
    lab.sync("s3://data/in", &lab.text("there"), fields).await.ok();
    assert_eq!(fs::read(lab.path("there/k")).unwrap(), b"new!");
    assert!(!lab.object("in").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_request_retains_no_other_removes() {
    let lab = Lab::open().await;
    lab.write("w/both", "b");
    lab.write("moved", "m");
    let request = |source: &str, destination: &str, retain: bool| {
        let source = lab.text(source);
        json!({"source_path": source, "destination_path": destination,
               "retain_source_data": retain})
    };
    let requests = [
        request("w", "s3://data/one", false),
        request("w", "s3://data/two", true),
        request("moved", "s3://data/three", false),
    ];
    let ran = lab.run(&["sync", &batch(&requests)]).await.ok();
    assert_eq!(ran["sources_removed"], 1);
    assert!(lab.path("w/both").exists() && !lab.path("moved").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_takes_links_along_with_what_they_led_to() {
    let lab = Lab::open().await;
    lab.write("from/real/file", bytes(100));
    symlink("real", lab.path("from/folder-link")).unwrap();
    symlink("real/file", lab.path("from/file-link")).unwrap();
    let fields = json!({"retain_source_data": false});
    lab.sync(&lab.text("from"), &lab.text("to"), fields).await.ok();
    assert!(!lab.path("from").exists(), "{:?}", tree(&lab.path("from")).keys());
    assert_eq!(names(&lab.path("to")), ["file-link", "folder-link/file", "real/file"]);
}
