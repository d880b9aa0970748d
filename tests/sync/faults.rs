//! What S3 may hold that a directory cannot, and what may break on the wire: either it is right,
//! or it fails and says which path.

use std::fs;

use serde_json::{Value, json};

use crate::held::{Fault, Held};
use crate::lab::{Lab, Ran, bytes, names, ran};

async fn sync(held: &Held, lab: &Lab, source: &str, destination: &str) -> Ran {
    let request = json!({"source_path": source, "destination_path": destination});
    let mut command = lab.command(&["sync", &request.to_string()]);
    command.env("AWS_ENDPOINT_URL_S3", format!("http://{}", held.serve().await));
    ran(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_and_a_folder_of_one_name_are_an_error() {
    let (lab, held) = (Lab::open().await, Held::default());
    held.put("run1", "object");
    held.put("run1/file", "in the folder");
    let failures = sync(&held, &lab, "s3://data/run1", &lab.text("d")).await.failures();
    assert!(failures.contains("both an object and a folder"), "{failures}");
    assert!(!lab.path("d").exists());
    sync(&held, &lab, "s3://data/run1/", &lab.text("d")).await.ok();
    assert_eq!(names(&lab.path("d")), ["file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_no_file_can_have_are_refused_by_name_and_the_rest_arrives() {
    let (lab, held) = (Lab::open().await, Held::default());
    let refused = ["f/../../escape", "f//etc/x", "f/a/../b", "f/./c", "f/double//slash", "f/full/"];
    for key in refused.iter().chain(&["f/fine", "f/also/fine"]) {
        held.put(key, "content");
    }
    held.put("f/empty/", "");
    let failures = sync(&held, &lab, "s3://data/f", &lab.text("in/side")).await.failures();
    for key in refused {
        assert!(failures.contains(&format!("s3://data/{key}\"")), "{key} in {failures}");
    }
    assert_eq!(names(&lab.path("in")), ["side/also/fine", "side/fine"]);
    assert!(lab.path("in/side/empty").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_on_the_wire_for_a_while_is_tried_again() {
    let (lab, held) = (Lab::open().await, Held::default());
    let large = bytes((17 << 20) + 1);
    for (key, fault) in [
        ("f/truncated", Fault::Truncated(2)),
        ("f/corrupt", Fault::Corrupt(2)),
        ("f/slow", Fault::SlowDown(2)),
        ("f/restless", Fault::Restless(1)),
    ] {
        held.put(key, bytes(5000));
        held.fail(key, fault);
    }
    held.put("f/large", large.clone());
    held.fail("f/large", Fault::Truncated(2));
    sync(&held, &lab, "s3://data/f", &lab.text("f")).await.ok();
    assert!(fs::read(lab.path("f/large")).unwrap() == large);
    for key in ["truncated", "corrupt", "slow", "restless"] {
        let arrived = fs::read(lab.path(&format!("f/{key}"))).unwrap();
        assert!(arrived == held.get(&format!("f/{key}")).unwrap(), "{key}");
    }
    let again = sync(&held, &lab, "s3://data/f", &lab.text("f")).await.ok();
    assert_eq!(again["files_skipped"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_broken_fails_by_name_and_leaves_no_file() {
    let (lab, held) = (Lab::open().await, Held::default());
    held.put("f/fine", "fine");
    held.put("f/corrupt", bytes(5000));
    held.fail("f/corrupt", Fault::Corrupt(u32::MAX));
    held.put("f/large", bytes(17 << 20));
    held.fail("f/large", Fault::Restless(u32::MAX));
    let failed = sync(&held, &lab, "s3://data/f", &lab.text("f")).await;
    assert_eq!(failed.code, Some(1));
    let reasons: Vec<(&str, &str)> = failed.result["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure: &Value| {
            (failure["path"].as_str().unwrap(), failure["reason"].as_str().unwrap())
        })
        .collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    for (path, reason) in reasons {
        match path {
            "s3://data/f/corrupt" => assert!(reason.contains("md5"), "{reason}"),
            "s3://data/f/large" => assert!(reason.contains("changed"), "{reason}"),
            _ => panic!("{path}: {reason}"),
        }
    }
    assert_eq!(names(&lab.path("f")), ["fine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_file_survives_a_transfer_that_fails() {
    let (lab, held) = (Lab::open().await, Held::default());
    lab.write("kept", "earlier");
    held.put("k", bytes(100));
    held.fail("k", Fault::Truncated(u32::MAX));
    let failures = sync(&held, &lab, "s3://data/k", &lab.text("kept")).await.failures();
    assert!(failures.contains("s3://data/k"));
    assert_eq!(fs::read(lab.path("kept")).unwrap(), b"earlier");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_copied_in_parts_share_the_bound_of_their_request() {
    let (lab, held) = (Lab::open().await, Held::default());
    for key in ["f/one", "f/two", "f/three"] {
        held.claim(key, 6 << 30);
    }
    let request = json!({
        "source_path": "s3://data/f", "destination_path": "s3://data/copy", "max_concurrency": 3,
    });
    let mut command = lab.command(&["sync", &request.to_string()]);
    command.env("AWS_ENDPOINT_URL_S3", format!("http://{}", held.serve().await));
    ran(command).await.ok();
    assert_eq!(held.parts_copied(), (3, 36));
}
