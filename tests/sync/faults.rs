//! What S3 may hold that a directory cannot, and what may break on the wire: either it is right,
//! or it fails and says which path.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crc_fast::{CrcAlgorithm, checksum};
use serde_json::{Value, json};

use crate::held::{Fault, Held};
use crate::lab::{Lab, Ran, bytes, names, ran};
use crate::mishaps::Mishap;

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
    held.put("f/spoilt", large.clone());
    held.fail("f/spoilt", Fault::Corrupt(1));
    sync(&held, &lab, "s3://data/f", &lab.text("f")).await.ok();
    assert!(fs::read(lab.path("f/large")).unwrap() == large);
    assert!(fs::read(lab.path("f/spoilt")).unwrap() == large);
    for key in ["truncated", "corrupt", "slow", "restless"] {
        let arrived = fs::read(lab.path(&format!("f/{key}"))).unwrap();
        assert!(arrived == held.get(&format!("f/{key}")).unwrap(), "{key}");
    }
    let again = sync(&held, &lab, "s3://data/f", &lab.text("f")).await.ok();
    assert_eq!(again["files_skipped"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_without_network_fails_none_of_many_files() {
    let (lab, held) = (Lab::open().await, Held::default());
    for index in 0..200 {
        let key = format!("f/{index:03}");
        held.put(&key, key.clone());
        held.meet("GetObject", &key, 2, Mishap::Unanswered);
    }
    let request = json!({
        "source_path": "s3://data/f", "destination_path": lab.text("f"), "max_concurrency": 200,
    });
    let mut command = lab.command(&["sync", &request.to_string()]);
    command.env("AWS_ENDPOINT_URL_S3", format!("http://{}", held.serve().await));
    let result = ran(command).await.ok();
    assert_eq!(result["files_transferred"], 200);
    assert_eq!(held.called("GetObject").len(), 600);
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

/// Every path that failed, in order, with its reason.
fn reasons(ran: &Ran) -> Vec<(String, String)> {
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let text = |failure: &Value, field: &str| failure[field].as_str().unwrap().to_owned();
    let failures = ran.result["failures"].as_array().unwrap().iter();
    let mut reasons: Vec<_> =
        failures.map(|failure| (text(failure, "path"), text(failure, "reason"))).collect();
    reasons.sort();
    reasons
}

const LARGE: usize = (17 << 20) + 3;

/// Of a call, of a few, and of ranges.
const SIZES: [(&str, usize); 3] = [("small", 5000), ("middle", 3 << 20), ("large", (17 << 20) + 1)];

/// All files below a directory, those under way included, which `names` of a run that ended has
/// none of.
fn arrived(lab: &Lab) -> Vec<String> {
    if lab.path("f").exists() { names(&lab.path("f")) } else { Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_reset_within_a_body_is_tried_again_a_few_times() {
    let held = Held::default();
    let lab = held.open().await;
    for (name, size) in SIZES {
        held.put(&format!("f/{name}"), bytes(size));
        held.meet("GetObject", &format!("f/{name}"), 2, Mishap::CutOff);
        held.meet("GetObject", &format!("f/{name}"), 1, Mishap::Reset);
    }
    lab.sync("s3://data/f", &lab.text("f"), json!({})).await.ok();
    for (name, size) in SIZES {
        assert!(fs::read(lab.path(&format!("f/{name}"))).unwrap() == bytes(size), "{name}");
    }

    fs::remove_dir_all(lab.path("f")).unwrap();
    // So small an answer is never begun, which the SDK itself tries again, for longer.
    held.meet("GetObject", "f/small", u32::MAX, Mishap::Answer(403, "AccessDenied"));
    for name in ["middle", "large"] {
        held.meet("GetObject", &format!("f/{name}"), u32::MAX, Mishap::CutOff);
    }
    let failed = reasons(&lab.sync("s3://data/f", &lab.text("f"), json!({})).await);
    let paths: Vec<&str> = failed.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["s3://data/f/large", "s3://data/f/middle", "s3://data/f/small"]);
    assert!(arrived(&lab).is_empty(), "{:?}", arrived(&lab));
}

/// The CRC64NVME of some bytes, as S3 writes it.
fn crc64nvme(content: &[u8]) -> String {
    BASE64_STANDARD.encode(checksum(CrcAlgorithm::Crc64Nvme, content).to_be_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_do_not_fit_their_checksum_never_become_a_file() {
    let held = Held::default();
    let lab = held.open().await;
    for (name, size) in SIZES {
        // One whose checksum is another's, and one whose bytes are.
        let (signed, corrupt) = (format!("f/signed-{name}"), format!("f/corrupt-{name}"));
        held.put(&signed, bytes(size));
        held.sign(&signed, &crc64nvme(b"another"));
        held.put(&corrupt, bytes(size));
        held.sign(&corrupt, &crc64nvme(&bytes(size)));
        held.fail(&corrupt, Fault::Corrupt(u32::MAX));
        held.put(&format!("f/right-{name}"), bytes(size));
        held.sign(&format!("f/right-{name}"), &crc64nvme(&bytes(size)));
    }
    let failed = reasons(&lab.sync("s3://data/f", &lab.text("f"), json!({})).await);
    let paths: Vec<&str> = failed.iter().map(|(path, _)| path.as_str()).collect();
    let wrong = [
        "corrupt-large",
        "corrupt-middle",
        "corrupt-small",
        "signed-large",
        "signed-middle",
        "signed-small",
    ];
    assert_eq!(paths, wrong.map(|name| format!("s3://data/f/{name}")));
    for (path, reason) in &failed {
        assert!(
            reason.to_lowercase().contains("checksum") || reason.contains("crc64"),
            "{path}: {reason}"
        );
    }
    assert_eq!(arrived(&lab), ["right-large", "right-middle", "right-small"]);
    for (name, size) in SIZES {
        assert!(fs::read(lab.path(&format!("f/right-{name}"))).unwrap() == bytes(size), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_uploaded_in_parts_is_held_against_the_tag_of_its_parts() {
    let held = Held::default();
    let lab = held.open().await;
    // Parts as a client of its own makes them, whole mebibytes or not, one or more to a range.
    let sizes = [("five", 5 << 20), ("odd", (7 << 20) + 1), ("one", 40 << 20), ("many", 1 << 20)];
    for (name, part) in sizes {
        held.put_in_parts(&format!("f/{name}"), bytes(LARGE), part);
    }
    lab.sync("s3://data/f", &lab.text("f"), json!({})).await.ok();
    for (name, _) in sizes {
        assert!(fs::read(lab.path(&format!("f/{name}"))).unwrap() == bytes(LARGE));
    }
    let again = lab.sync("s3://data/f", &lab.text("f"), json!({})).await.ok();
    assert_eq!(again["files_skipped"], 4);

    for (name, _) in &sizes[..2] {
        held.fail(&format!("f/{name}"), Fault::Corrupt(u32::MAX));
    }
    let failed = reasons(&lab.sync("s3://data/f", &lab.text("bad"), json!({})).await);
    assert_eq!(failed.len(), 2, "{failed:?}");
    for (path, reason) in failed {
        assert!(reason.contains("md5"), "{path}: {reason}");
    }
    assert_eq!(names(&lab.path("bad")), ["many", "one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_file_survives_a_transfer_that_fails() {
    let (lab, held) = (Lab::open().await, Held::default());
    lab.write("kept", "earlier");
    held.put("k", bytes(2 << 20));
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
