//! Sources that are not retained, whichever way they go.

use serde_json::json;

use super::{Moto, files, named};
use crate::lab::BUCKET;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn what_arrived_is_removed_from_its_source_and_nothing_else() {
    let moto = Moto::start().await;
    let fields = json!({"retain_source_data": false, "filter_config": {"exclude": ".*kept"}});
    let wanted = named([("a", "a"), ("b/c", "c")]);
    let left = named([("b/kept", "kept")]);
    for destination in [moto.text("down"), "s3://other/copy".to_owned()] {
        for (key, content) in [("s/a", "a"), ("s/b/c", "c"), ("s/b/kept", "kept"), ("s2/d", "d")] {
            moto.put(key, content).await;
        }
        let result = moto.sync("s3://data/s", &destination, fields.clone()).await.ok();
        assert_eq!(result["sources_removed"], 2, "{destination}");
        assert_eq!(moto.objects(BUCKET, "s/").await, left);
        assert_eq!(moto.objects(BUCKET, "s2/").await, named([("d", "d")]));
    }
    for destination in [moto.text("copied"), "s3://other/up".to_owned()] {
        for (path, content) in [("s/a", "a"), ("s/b/c", "c"), ("s/b/kept", "kept"), ("s/e/f", "")] {
            moto.write(path, content);
        }
        let more = json!({
            "retain_source_data": false, "filter_config": {"exclude": [".*kept", "e/f"]},
        });
        let result = moto.sync(&moto.text("s"), &destination, more).await.ok();
        assert_eq!(result["sources_removed"], 2, "{destination}");
        assert_eq!(files(&moto, "s"), named([("b/kept", "kept"), ("e/f", "")]));
    }
    assert_eq!(files(&moto, "down"), wanted);
    assert_eq!(files(&moto, "copied"), wanted);
    assert_eq!(moto.objects("other", "copy/").await, wanted);
    assert_eq!(moto.objects("other", "up/").await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn a_source_that_goes_whole_leaves_no_empty_directory() {
    let moto = Moto::start().await;
    moto.write("s/deep/er/file", "file");
    moto.write("single", "single");
    let requests = json!([
        {"source_path": moto.text("s"), "destination_path": "s3://data/s",
         "retain_source_data": false},
        {"source_path": moto.text("single"), "destination_path": "s3://data/single",
         "retain_source_data": false},
    ]);
    moto.run(&["sync", &requests.to_string()]).await.ok();
    assert!(!moto.path("s").exists() && !moto.path("single").exists());
    assert_eq!(
        moto.objects(BUCKET, "s").await,
        named([("/deep/er/file", "file"), ("ingle", "single")])
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn nothing_is_removed_while_anything_failed() {
    let moto = Moto::start().await;
    moto.put("s/a", "a").await;
    moto.write("local/a", "a");
    let requests = json!([
        {"source_path": "s3://data/s", "destination_path": moto.text("down"),
         "retain_source_data": false},
        {"source_path": moto.text("local"), "destination_path": "s3://nowhere/up",
         "retain_source_data": false},
    ]);
    let failures = moto.run(&["sync", &requests.to_string()]).await.failures();
    assert!(failures.contains("NoSuchBucket"), "{failures}");
    assert_eq!(files(&moto, "down"), named([("a", "a")]));
    assert_eq!(moto.objects(BUCKET, "s/").await, named([("a", "a")]));
    assert!(moto.path("local/a").exists());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn paths_are_removed_by_whole_segments() {
    let moto = Moto::start().await;
    for key in ["run1/a", "run1/b/c", "run10/d"] {
        moto.put(key, key).await;
    }
    assert_eq!(moto.run(&["remove", "s3://data/run1"]).await.ok()["paths_removed"], 1);
    assert_eq!(moto.keys(BUCKET, "").await, ["run10/d"]);
    assert_eq!(moto.run(&["remove", "s3://data/run1"]).await.ok()["paths_removed"], 0);
}
