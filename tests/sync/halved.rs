//! Answers that are cut off where nothing tells: they are asked for again, or fail, and nothing is
//! deleted by what is missing from them.

use serde_json::json;

use crate::held::Held;
use crate::lab::names;
use crate::mishaps::Mishap;

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_cut_off_is_asked_for_again_and_never_taken_for_all_there_is() {
    let held = Held::default();
    let lab = held.open().await;
    for index in 0..20 {
        held.put(&format!("f/{index:02}"), "content");
        lab.write(&format!("d/{index:02}"), "content");
    }
    let mirror = json!({"delete": true});
    // One call looks whether anything is there.
    held.meet("ListObjectsV2", "", 2, Mishap::Halved);
    let result = lab.sync("s3://data/f", &lab.text("d"), mirror.clone()).await.ok();
    assert_eq!(result["files_deleted"], 0);
    held.meet("ListObjectsV2", "", u32::MAX, Mishap::Halved);
    let failures = lab.sync("s3://data/f", &lab.text("d"), mirror).await.failures();
    assert!(failures.contains("listing is cut off"), "{failures}");
    assert_eq!(names(&lab.path("d")).len(), 20);
    let failures = lab.run(&["remove", "s3://data/f"]).await.failures();
    assert!(failures.contains("listing is cut off"), "{failures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_does_not_prove_moves_no_source() {
    let held = Held::default();
    let lab = held.open().await;
    held.put("f/one", "one");
    let moves = json!({"retain_source_data": false});
    held.meet("CopyObject", "to/one", u32::MAX, Mishap::Halved);
    let failures = lab.sync("s3://data/f", "s3://data/to", moves).await.failures();
    assert!(failures.contains("CopyObject"), "{failures}");
    assert_eq!(held.names("f/"), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_that_an_answer_does_not_tell_of_are_tried_again() {
    let held = Held::default();
    let lab = held.open().await;
    for index in 0..20 {
        held.put(&format!("f/{index:02}"), "content");
    }
    // Carried out the first time, and told the second.
    held.meet("DeleteObjects", "", 1, Mishap::Halved);
    lab.run(&["remove", "s3://data/f"]).await.ok();
    assert_eq!(held.called("DeleteObjects").len(), 2);
    assert_eq!(held.names(""), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_that_could_not_be_deleted_is_named() {
    let held = Held::default();
    let lab = held.open().await;
    for key in ["f/a", "f/b", "f/control\u{1}"] {
        held.put(key, "content");
    }
    held.meet("DeleteObjects", "", u32::MAX, Mishap::Answer(403, "AccessDenied"));
    let failures = lab.run(&["remove", "s3://data/f"]).await.failures();
    for key in ["f/a", "f/b"] {
        assert!(failures.contains(&format!("s3://data/{key}\"")), "{key} in {failures}");
    }
    // What no XML can carry is deleted by itself.
    assert_eq!(held.names("f/"), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_be_too_fast_tries_again() {
    let held = Held::default();
    let lab = held.open().await;
    held.put("f/one", "one");
    for (call, key) in [("HeadObject", "f/one"), ("ListObjectsV2", ""), ("GetObject", "f/one")] {
        held.meet(call, key, 2, Mishap::Answer(429, "TooManyRequests"));
    }
    lab.sync("s3://data/f/one", &lab.text("one"), json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_without_words_is_told_by_its_status() {
    let held = Held::default();
    let lab = held.open().await;
    held.put("one", "one");
    held.meet("HeadObject", "one", u32::MAX, Mishap::Answer(403, "not read of an answer to HEAD"));
    let failures = lab.sync("s3://data/one", &lab.text("one"), json!({})).await.failures();
    assert!(failures.contains("HeadObject failed: HTTP 403"), "{failures}");
}
