//! What may go wrong on the way up: what lasts for a while is tried again, what stays fails by
//! name, and no upload that failed is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use serde_json::json;

use crate::held::Held;
use crate::lab::{Lab, Ran, bytes};
use crate::mishaps::Mishap;

/// Sent from memory, from the file, and in parts.
const SIZES: [(&str, usize); 3] =
    [("small", 5000), ("middle", (1 << 20) + 1), ("large", (16 << 20) + 1)];

/// The call that carries a file's bytes.
fn carrier(name: &str) -> &'static str {
    if name == "large" { "UploadPart" } else { "PutObject" }
}

/// The paths that failed, in order.
fn failed(lab: &Lab, ran: &Ran) -> Vec<String> {
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let failures = ran.result["failures"].as_array().unwrap().iter();
    let root = format!("{}/", lab.text("s"));
    let mut paths: Vec<_> = failures
        .map(|failure| failure["path"].as_str().unwrap().strip_prefix(&root).unwrap().to_owned())
        .collect();
    paths.sort();
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_an_upload_for_a_while_is_tried_again() {
    let held = Held::default();
    let lab = held.open().await;
    let mishaps = BTreeMap::from([
        ("broken", Mishap::Answer(400, "BadDigest")),
        ("slow", Mishap::Answer(503, "SlowDown")),
        ("timeout", Mishap::Answer(400, "RequestTimeout")),
        ("reset", Mishap::Reset),
        ("unanswered", Mishap::Unanswered),
    ]);
    let sizes = |mishap: &str| if mishap == "timeout" { &SIZES[..2] } else { &SIZES };
    for (mishap, happens) in &mishaps {
        for &(name, size) in sizes(mishap) {
            lab.write(&format!("s/{mishap}/{name}"), bytes(size));
            held.meet(carrier(name), &format!("k/{mishap}/{name}"), 1, happens.clone());
        }
    }
    for (call, mishap) in [
        ("CreateMultipartUpload", Mishap::Answer(503, "SlowDown")),
        ("CompleteMultipartUpload", Mishap::Answer(503, "SlowDown")),
        // S3 may find out only after it has said that all is well.
        ("CompleteMultipartUpload", Mishap::Answer(200, "InternalError")),
    ] {
        held.meet(call, "k/slow/large", 1, mishap);
    }
    // Asked again, S3 knows no such upload any more.
    held.meet("CompleteMultipartUpload", "k/reset/large", 1, Mishap::Unanswered);
    let result = lab.sync(&lab.text("s"), "s3://data/k", json!({})).await.ok();
    assert_eq!(result["files_transferred"], 14);
    for mishap in mishaps.keys() {
        for &(name, size) in sizes(mishap) {
            let arrived = held.get(&format!("k/{mishap}/{name}"));
            assert!(arrived.is_some_and(|arrived| arrived == bytes(size)), "{mishap}/{name}");
        }
    }
    assert_eq!(held.uploads_left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_an_upload_from_ending_fails_by_name_and_leaves_nothing_behind() {
    let held = Held::default();
    let lab = held.open().await;
    for (name, size) in SIZES {
        for mishap in ["fine", "denied", "corrupt"] {
            lab.write(&format!("s/{mishap}/{name}"), bytes(size));
        }
        held.meet(
            carrier(name),
            &format!("k/denied/{name}"),
            u32::MAX,
            Mishap::Answer(403, "AccessDenied"),
        );
        held.meet(
            carrier(name),
            &format!("k/corrupt/{name}"),
            u32::MAX,
            Mishap::Answer(400, "BadDigest"),
        );
    }
    for call in ["CreateMultipartUpload", "CompleteMultipartUpload"] {
        lab.write(&format!("s/{call}"), bytes(17 << 20));
        held.meet(call, &format!("k/{call}"), u32::MAX, Mishap::Answer(403, "AccessDenied"));
    }
    let ran = lab.sync(&lab.text("s"), "s3://data/k", json!({})).await;
    for code in ["AccessDenied", "BadDigest"] {
        assert!(ran.stderr.contains(code), "{code} in {}", ran.stderr);
    }
    assert_eq!(ran.result["files_transferred"], 3);
    let wanted = [
        "CompleteMultipartUpload",
        "CreateMultipartUpload",
        "corrupt/large",
        "corrupt/middle",
        "corrupt/small",
        "denied/large",
        "denied/middle",
        "denied/small",
    ];
    let failed = failed(&lab, &ran);
    assert_eq!(failed, wanted);
    for name in failed {
        assert!(held.get(&format!("k/{name}")).is_none(), "{name}");
    }
    for (name, size) in SIZES {
        assert!(held.get(&format!("k/fine/{name}")).unwrap() == bytes(size));
    }
    assert_eq!(held.uploads_left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_sent_is_sent_whole_or_fails_by_name() {
    let held = Held::default();
    let lab = held.open().await;
    for (name, size) in SIZES {
        for change in ["grown", "shrunk", "removed", "kept"] {
            lab.write(&format!("s/{change}/{name}"), bytes(size));
        }
        let after = |change: &str, happens: fn(&std::path::Path)| {
            let path = lab.path(&format!("s/{change}/{name}"));
            let mishap = Mishap::After(Arc::new(move || happens(&path)));
            held.meet(carrier(name), &format!("k/{change}/{name}"), 1, mishap);
        };
        after("grown", |path| {
            use std::io::Write;
            let file = fs::File::options().append(true).open(path);
            file.unwrap().write_all(b"more").unwrap();
        });
        after("shrunk", |path| {
            fs::File::options().write(true).open(path).unwrap().set_len(1000).unwrap();
        });
        after("removed", |path| fs::remove_file(path).unwrap());
    }
    let moved = json!({"retain_source_data": false});
    let ran = lab.sync(&lab.text("s"), "s3://data/k", moved).await;
    assert_eq!(failed(&lab, &ran), ["grown/large", "removed/large", "shrunk/large"]);
    for change in ["grown", "shrunk", "removed"] {
        assert!(held.get(&format!("k/{change}/large")).is_none(), "{change}");
        // What is sent in one call was read before the first byte of it left.
        for (name, size) in &SIZES[..2] {
            let sent = held.get(&format!("k/{change}/{name}")).unwrap();
            assert!(sent == bytes(*size), "{change}/{name}");
        }
    }
    for (name, size) in SIZES {
        assert!(held.get(&format!("k/kept/{name}")).unwrap() == bytes(size));
        assert!(
            lab.path(&format!("s/kept/{name}")).exists()
                && lab.path(&format!("s/grown/{name}")).exists()
        );
    }
    assert_eq!(held.uploads_left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_after_it_was_sent_is_sent_again_by_the_next_run() {
    let held = Held::default();
    let lab = held.open().await;
    for name in ["s/changed", "s/kept", "t/later"] {
        lab.write(name, "content");
    }
    // By the next request, after which all sources are removed.
    let path = lab.path("s/changed");
    let happens = Arc::new(move || fs::write(&path, "written meanwhile").unwrap());
    held.meet("PutObject", "k/later", 1, Mishap::After(happens));
    let request = |source: String, key: &str| {
        json!({
            "source_path": source, "destination_path": format!("s3://data/{key}"),
            "retain_source_data": false,
        })
    };
    let requests = json!([request(lab.text("s"), "sent"), request(lab.text("t/later"), "k/later")]);
    let ran = lab.run(&["sync", &requests.to_string()]).await;
    // Nothing is removed: a source that is gone could not be transferred again.
    assert_eq!(ran.result["sources_removed"], 0);
    assert_eq!(failed(&lab, &ran), ["changed"]);
    assert_eq!(fs::read(lab.path("s/changed")).unwrap(), b"written meanwhile");
    let again = lab.run(&["sync", &requests.to_string()]).await.ok();
    assert_eq!(again["sources_removed"], 3);
    assert_eq!(held.get("sent/changed").unwrap(), b"written meanwhile");
    assert!(!lab.path("s").exists() && !lab.path("t/later").exists());
}
