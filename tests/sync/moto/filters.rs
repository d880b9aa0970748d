//! What filters take, whichever way it goes.

use serde_json::{Value, json};

use super::{Moto, files, named};
use crate::lab::BUCKET;

/// The four ways, each to a place of its own.
fn ways(moto: &Moto) -> [(String, String, String); 4] {
    let (local, down, copied) = (moto.text("r"), moto.text("down"), moto.text("copied"));
    let s3 = "s3://data/r".to_owned();
    [
        (s3.clone(), "s3://data/r".to_owned(), down),
        (s3.clone(), s3, "s3://other/copied".to_owned()),
        (local.clone(), local.clone(), "s3://other/up".to_owned()),
        (local.clone(), local, copied),
    ]
}

/// What arrived at a destination of `ways`.
async fn arrived(moto: &Moto, destination: &str) -> Vec<String> {
    match destination.strip_prefix("s3://other/") {
        Some(key) => moto.keys("other", &format!("{key}/")).await,
        None => crate::lab::names(destination.as_ref()),
    }
}

const TREE: [&str; 5] = ["top.bam", "x/keep.bam", "x/keep.bam.bai", "x/drop.bam", "y/keep.bam"];

async fn with_tree() -> Moto {
    let moto = Moto::start().await;
    for path in TREE {
        moto.put(&format!("r/{path}"), path).await;
        moto.write(&format!("r/{path}"), path);
    }
    moto
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn patterns_match_whole_paths_below_the_source_and_exclude_wins() {
    let moto = with_tree().await;
    let fields = json!({"filter_config": {"include": [r".*\.bam"], "exclude": r".*/drop\..*"}});
    for (_, source, destination) in ways(&moto) {
        moto.sync(&source, &destination, fields.clone()).await.ok();
        let found = arrived(&moto, &destination).await;
        assert_eq!(found, ["top.bam", "x/keep.bam", "y/keep.bam"], "{source} -> {destination}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn patterns_are_relative_to_their_root_while_names_are_to_the_source() {
    let moto = with_tree().await;
    for (root, source, destination) in ways(&moto) {
        let rooted =
            json!({"filter_config": {"include": ["x/keep.bam", "drop.bam"]}, "filter_root": root});
        moto.sync(&format!("{source}/x"), &destination, rooted).await.ok();
        assert_eq!(arrived(&moto, &destination).await, ["keep.bam"], "{source} -> {destination}");
        // The folder's own path is the root of a pattern that begins below it.
        let one = json!({"filter_config": {"include": "keep.bam"}, "filter_root": source});
        let failures = moto.sync(&format!("{source}/x"), &destination, one).await.failures();
        assert!(failures.contains("filters"), "{failures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn matching_nothing_is_an_error_unless_nothing_may_be_missing() {
    let moto = with_tree().await;
    let nothing = |fail: bool| -> Value {
        json!({"filter_config": {"include": "keep"}, "fail_if_missing": fail})
    };
    moto.write("down/stale", "stays");
    for (_, source, destination) in ways(&moto) {
        let failures = moto.sync(&source, &destination, nothing(true)).await.failures();
        assert!(failures.contains(&source) && failures.contains("filters"), "{failures}");
        let result = moto.sync(&source, &destination, nothing(false)).await.ok();
        assert_eq!(result["files_transferred"], 0);
        let missing = format!("{source}/missing");
        let failures = moto.sync(&missing, &destination, json!({})).await.failures();
        assert!(failures.contains("does not exist"), "{failures}");
        moto.sync(&missing, &destination, json!({"fail_if_missing": false})).await.ok();
    }
    assert_eq!(files(&moto, "down"), named([("stale", "stays")]));
    // A single object or file is filtered by its name.
    for source in ["s3://data/r/top.bam".to_owned(), moto.text("r/top.bam")] {
        let failures = moto.sync(&source, "s3://other/one", nothing(true)).await.failures();
        assert!(failures.contains("filters"), "{failures}");
        let taken = json!({"filter_config": {"include": "top.*"}});
        moto.sync(&source, "s3://other/one", taken).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn a_prefix_of_an_s3_source_is_cut_off_its_keys() {
    let moto = with_tree().await;
    let prefix = json!({"source_path_prefix": "r/"});
    moto.sync("s3://data/r/x/", "s3://other/cut", prefix.clone()).await.ok();
    let found = moto.objects("other", "cut/").await;
    let wanted = [
        ("x/drop.bam", "x/drop.bam"),
        ("x/keep.bam", "x/keep.bam"),
        ("x/keep.bam.bai", "x/keep.bam.bai"),
    ];
    assert_eq!(found, named(wanted));
    // At whole segments, with or without the slash; a single object keeps its folder as well.
    moto.sync("s3://data/r/x/", "s3://other/same", json!({"source_path_prefix": "r"})).await.ok();
    assert_eq!(moto.objects("other", "same/").await, named(wanted));
    moto.sync("s3://data/r/x/keep.bam", "s3://other/single/", prefix).await.ok();
    assert_eq!(moto.keys("other", "single/").await, ["x/keep.bam"]);
    let strange = json!({"source_path_prefix": "elsewhere"});
    let failures = moto.sync("s3://data/r/x/", "s3://other/no", strange).await.failures();
    assert!(failures.contains("elsewhere"), "{failures}");
    assert_eq!(moto.keys(BUCKET, "r/").await.len(), TREE.len());
}
