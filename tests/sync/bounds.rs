//! How many calls carry bytes at once, and how large what they carry is.

use std::fs::{self, File};

use serde_json::json;

use crate::held::Held;
use crate::lab::{bytes, tree};
use crate::mishaps::Mishap;

/// Parts that S3 takes in an upload, and bytes in each.
const MOST_PARTS: u64 = 10_000;
const LARGEST_PART: u64 = 5 << 30;
/// The largest object that fits as many parts of 8 MiB.
const FULL: u64 = MOST_PARTS * (8 << 20);

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_go_as_many_at_once_as_asked_for_in_both_directions() {
    let held = Held::default();
    let lab = held.open().await;
    for index in 0..40 {
        held.put(&format!("f/{index:02}"), bytes(5000));
    }
    for (source, destination) in
        [("s3://data/f".to_owned(), lab.text("f")), (lab.text("f"), "s3://data/k".to_owned())]
    {
        held.traffic().gather(7);
        let result = lab.sync(&source, &destination, json!({"max_concurrency": 7})).await.ok();
        assert_eq!(result["files_transferred"], 40);
        assert_eq!(held.traffic().most(), 7, "{source} -> {destination}");
    }
    assert_eq!(tree(&lab.path("f")).len(), 40);
    assert!(held.get("k/39").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_parts_of_a_large_file_go_as_many_at_once_as_asked_for() {
    let held = Held::default();
    let lab = held.open().await;
    held.put("f/large", bytes((40 << 20) + 1));
    for (source, destination) in
        [("s3://data/f".to_owned(), lab.text("f")), (lab.text("f"), "s3://data/k".to_owned())]
    {
        held.traffic().gather(3);
        lab.sync(&source, &destination, json!({"max_concurrency": 3})).await.ok();
        assert_eq!(held.traffic().most(), 3, "{source} -> {destination}");
    }
    assert!(held.get("k/large") == held.get("f/large"));
    assert!(fs::read(lab.path("f/large")).unwrap() == held.get("f/large").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_small_files_share_one_bound() {
    let held = Held::default();
    let lab = held.open().await;
    for name in ["a", "b", "c"] {
        held.put(&format!("f/{name}/large"), bytes((16 << 20) + 1));
        for index in 0..5 {
            held.put(&format!("f/{name}/{index}"), bytes(1 << 20));
        }
    }
    for (source, destination) in
        [("s3://data/f".to_owned(), lab.text("f")), (lab.text("f"), "s3://data/k".to_owned())]
    {
        held.traffic().gather(4);
        lab.sync(&source, &destination, json!({"max_concurrency": 4})).await.ok();
        assert_eq!(held.traffic().most(), 4, "{source} -> {destination}");
    }
}

/// How many parts an object is cut into whose first part has `part` bytes.
fn is_taken(size: u64, part: u64) {
    assert!(part <= LARGEST_PART, "{size} bytes in parts of {part}");
    assert!(size.div_ceil(part) <= MOST_PARTS, "{size} bytes in parts of {part}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_any_size_is_uploaded_in_as_many_parts_as_s3_takes() {
    let held = Held::default();
    let lab = held.open().await;
    for size in [FULL, FULL + 1, 100 << 30, 200 << 30] {
        // Nothing of it is on disk, and its first part is its last.
        File::create(lab.path("large")).unwrap().set_len(size).unwrap();
        let key = format!("k/{size}");
        held.meet("UploadPart", &key, u32::MAX, Mishap::Answer(403, "AccessDenied"));
        let request = json!({
            "source_path": lab.text("large"), "destination_path": format!("s3://data/{key}"),
            "max_concurrency": 1,
        });
        let failures = lab.run(&["sync", &request.to_string()]).await.failures();
        assert!(failures.contains("AccessDenied"), "{failures}");
        // Of a body with a checksum after it the one, of another body the other.
        let mut sent = held.said("UploadPart", &key, "x-amz-decoded-content-length");
        sent.extend(held.said("UploadPart", &key, "content-length"));
        is_taken(size, sent[0].parse().unwrap());
    }
    assert_eq!(held.uploads_left(), 0);
}

/// The bytes that `bytes=0-…` asks for.
fn asked(ranges: &[String]) -> u64 {
    ranges[0].strip_prefix("bytes=0-").unwrap().parse::<u64>().unwrap() + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_any_size_is_brought_and_copied_in_as_many_parts_as_s3_takes() {
    let held = Held::default();
    let lab = held.open().await;
    for size in [FULL, FULL + 1, 100 << 30, 5 << 40, MOST_PARTS * LARGEST_PART] {
        let (key, copy) = (format!("f/{size}"), format!("k/{size}"));
        held.claim(&key, i64::try_from(size).unwrap());
        for (operation, key) in [("GetObject", &key), ("UploadPart", &copy)] {
            held.meet(operation, key, u32::MAX, Mishap::Answer(403, "AccessDenied"));
        }
        let source = format!("s3://data/{key}");
        for destination in [lab.text("large"), format!("s3://data/{copy}")] {
            let fields = json!({"max_concurrency": 1});
            let failures = lab.sync(&source, &destination, fields).await.failures();
            assert!(failures.contains("AccessDenied"), "{failures}");
        }
        // S3 gives as many ranges as are asked for, but each has its digest here.
        is_taken(size, asked(&held.said("GetObject", &key, "range")));
        is_taken(size, asked(&held.said("UploadPart", &copy, "x-amz-copy-source-range")));
    }
    assert!(!lab.path("large").exists());
    assert_eq!(held.uploads_left(), 0);
}
