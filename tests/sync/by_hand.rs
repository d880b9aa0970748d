//! What people type: places as they name them, and messages that tell what to do.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::held::Held;
use crate::lab::{Lab, Ran, bytes, names, ran};

async fn in_directory(lab: &Lab, directory: &Path, arguments: &[&str]) -> Ran {
    let mut command = lab.command(arguments);
    command.current_dir(directory);
    ran(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_goes_into_the_current_directory_or_a_bucket() {
    let lab = Lab::open().await;
    lab.put("k/one.txt", "one");
    fs::create_dir(lab.path("here")).unwrap();
    in_directory(&lab, &lab.path("here"), &["sync", "s3://data/k/one.txt", "."]).await.ok();
    assert_eq!(names(&lab.path("here")), ["one.txt"]);
    in_directory(&lab, &lab.path("here"), &["sync", "one.txt", "s3://data"]).await.ok();
    assert_eq!(fs::read(lab.object("one.txt")).unwrap(), b"one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_by_hand_may_lead_upwards_and_one_of_a_request_may_not() {
    let lab = Lab::open().await;
    lab.write("a/file", "file");
    fs::create_dir(lab.path("b")).unwrap();
    in_directory(&lab, &lab.path("b"), &["sync", "../a", "../b/../c/"]).await.ok();
    assert_eq!(names(&lab.path("c")), ["file"]);
    let request = json!({"source_path": "../a", "destination_path": "../d"}).to_string();
    let failures = in_directory(&lab, &lab.path("b"), &["sync", &request]).await.failures();
    assert!(failures.contains("`../a` has a `..` in it"), "{failures}");
    in_directory(&lab, &lab.path("b"), &["remove", "../c"]).await.ok();
    assert!(!lab.path("c").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_and_links_are_replaced_by_a_file() {
    let lab = Lab::open().await;
    lab.put("one", "one");
    fs::create_dir(lab.path("directory")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(lab.path("socket")).unwrap();
    lab.write("local", "one");
    for source in ["s3://data/one".to_owned(), lab.text("local")] {
        for force in [false, true] {
            let fields = json!({"force": force});
            let told = lab.sync(&source, &lab.text("socket"), fields.clone()).await.failures();
            assert!(told.contains("which no file replaces"), "{told}");
            let told = lab.sync(&source, &lab.text("directory"), fields).await.failures();
            assert!(told.contains("end the destination in `/`"), "{told}");
        }
    }
    assert!(fs::symlink_metadata(lab.path("socket")).is_ok_and(|found| !found.is_file()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_of_something_else_is_no_path() {
    let lab = Lab::open().await;
    lab.write("a", "a");
    for url in ["gs://bucket/key", "s3:/data/key", "http://host/path"] {
        let ran = in_directory(&lab, &lab.path(""), &["sync", "a", url]).await;
        let told = ran.failures();
        assert!(told.contains("is neither s3://"), "{told}");
    }
    in_directory(&lab, &lab.path(""), &["sync", "a", "./gs:/x"]).await.ok();
    assert_eq!(fs::read(lab.path("gs:/x")).unwrap(), b"a");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_forgets_the_destination_is_told_so() {
    let lab = Lab::open().await;
    lab.put("k/file", "no document");
    lab.write("d/file", "no document");
    for source in [lab.text("d"), lab.text("d/file"), "s3://data/k/".to_owned()] {
        let ran = lab.run(&["sync", &source]).await;
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains("name a DESTINATION"), "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copying_upwards_never_writes_into_the_source() {
    let lab = Lab::open().await;
    for root in [lab.path("up"), lab.object("up")] {
        for (name, content) in [("b/x", "outer"), ("b/b/x", "inner"), ("b/y", "y")] {
            crate::lab::write(&root.join(name), content);
        }
    }
    for (source, destination) in [
        (lab.text("up/b"), lab.text("up")),
        ("s3://data/up/b".to_owned(), "s3://data/up".to_owned()),
    ] {
        let told = lab.sync(&source, &destination, json!({"delete": false})).await.failures();
        assert!(told.contains("b/b/x\"") && told.contains("lie within one another"), "{told}");
    }
    for root in [lab.path("up"), lab.object("up")] {
        assert_eq!(fs::read(root.join("b/x")).unwrap(), b"outer");
        assert_eq!(fs::read(root.join("x")).unwrap(), b"outer");
        assert_eq!(fs::read(root.join("y")).unwrap(), b"y");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_under_way_may_lie_in_a_directory_of_another_file_system() {
    let lab = Lab::open().await;
    lab.put("f/small", "small");
    lab.put("f/large", bytes((17 << 20) + 1));
    let shared_memory = tempfile::TempDir::new_in("/dev/shm").unwrap();
    for directory in [shared_memory.path().join("new"), lab.path("beside/new")] {
        let directory = directory.to_str().unwrap();
        let fields = json!({
            "force": true,
            "remote_to_local_config": {"use_custom_tmp_dir": true, "custom_tmp_dir": directory},
        });
        lab.sync("s3://data/f", &lab.text("d"), fields).await.ok();
        assert_eq!(names(&lab.path("d")), ["large", "small"]);
        assert!(fs::read(lab.path("d/large")).unwrap() == bytes((17 << 20) + 1));
        assert!(names(Path::new(directory)).is_empty());
    }
    let fields = json!({
        "remote_to_local_config": {"use_custom_tmp_dir": true, "custom_tmp_dir": "s3://data/t"},
    });
    let told = lab.sync("s3://data/f", &lab.text("other"), fields).await.failures();
    assert!(told.contains("no directory of this machine"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_transfer_what_the_whole_would_and_refuse_what_it_would() {
    let held = Held::default();
    let lab = held.open().await;
    for key in ["p/a//b", "p/a/c", "p//etc", "p/fine/x", "p/fine/y"] {
        held.put(key, bytes(1000));
    }
    let request = json!({
        "source_path": "s3://data/p", "destination_path": lab.text("d"),
        "batch_size_bytes_limit": 1000,
    });
    let prepared = lab.run(&["sync", "--prepare", &request.to_string()]).await.ok();
    let told = lab.run(&["sync", &prepared.to_string()]).await.failures();
    for key in ["p/a//b", "p//etc"] {
        assert!(told.contains(&format!("s3://data/{key}\"")), "{key} in {told}");
    }
    assert_eq!(names(&lab.path("d")), ["a/c", "fine/x", "fine/y"]);

    // An object and a folder of one name, which S3 may have beside each other.
    let held = Held::default();
    let lab = held.open().await;
    for key in ["p/both", "p/both/x", "p/other"] {
        held.put(key, bytes(1000));
    }
    let request = json!({
        "source_path": "s3://data/p", "destination_path": "s3://data/q",
        "batch_size_bytes_limit": 1000,
    });
    let prepared = lab.run(&["sync", "--prepare", &request.to_string()]).await.ok();
    lab.run(&["sync", &prepared.to_string()]).await.ok();
    assert_eq!(held.names("q/"), ["both", "both/x", "other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_in_one_line_each_whatever_the_names() {
    let lab = Lab::open().await;
    let name = "s/\u{1b}[2J\nforged: all is well";
    fs::create_dir(lab.path("s")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(lab.path(name)).unwrap();
    let ran = lab.run(&["sync", &lab.text("s"), &lab.text("d")]).await;
    assert_eq!(ran.code, Some(1));
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_named_like_the_workers_own_files_are_refused_by_name() {
    let held = Held::default();
    let lab = held.open().await;
    let own =
        [".demand.journal", ".demand.env", ".x.demand.lock", ".demand-0.part", ".demand.moving"];
    for name in own {
        held.put(&format!("f/deep/{name}"), "no journal");
    }
    held.put("f/.demand", "fine");
    let told = lab.sync("s3://data/f", &lab.text("d"), json!({})).await.failures();
    // A mark in S3 is not data at all.
    for name in &own[..4] {
        assert!(told.contains(&format!("s3://data/f/deep/{name}\"")), "{name} in {told}");
    }
    assert_eq!(names(&lab.path("d")), [".demand"]);
}
