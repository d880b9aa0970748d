//! Several requests at once, and where they are read from.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{Moto, files, named};
use crate::lab::BUCKET;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn requests_come_as_one_a_list_or_a_batch_inline_or_from_s3_a_file_or_stdin() {
    let moto = Moto::start().await;
    moto.put("in/a", "a").await;
    moto.put("in/b", "b").await;
    let to = |key: &str, place: &str| json!({"source_path": format!("s3://data/in/{key}"), "destination_path": moto.text(place)});
    let list = json!([to("a", "1/a"), to("b", "1/b")]).to_string();
    let ran = moto.run(&["sync", &list]).await.ok();
    assert_eq!(ran["requests_succeeded"], 2);

    let batch = json!({"requests": [to("a", "2/a"), to("b", "2/b")]}).to_string();
    moto.put("requests/batch.json", batch).await;
    moto.run(&["sync", "s3://data/requests/batch.json"]).await.ok();

    let elsewhere = json!([to("a", "3/a"), to("b", "3/b")]).to_string();
    moto.put("requests/list.json", elsewhere).await;
    let batch = json!({"requests": "s3://data/requests/list.json"}).to_string();
    moto.run(&["sync", &batch]).await.ok();

    moto.write("file.json", json!([to("a", "4/a"), to("b", "4/b")]).to_string());
    moto.run(&["sync", &moto.text("file.json")]).await.ok();

    let mut command = moto.command(&["sync", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = json!([to("a", "5/a"), to("b", "5/b")]).to_string();
    stdin.write_all(text.as_bytes()).await.unwrap();
    drop(stdin);
    assert!(child.wait().await.unwrap().success());

    for place in ["1", "2", "3", "4", "5"] {
        assert_eq!(files(&moto, place), named([("a", "a"), ("b", "b")]), "{place}");
    }
    let missing = json!({"requests": "s3://data/requests/none.json"}).to_string();
    let ran = moto.run(&["sync", &missing]).await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("s3://data/requests/none.json"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn a_batch_that_may_fail_in_part_succeeds_while_one_request_does() {
    let moto = Moto::start().await;
    moto.put("in/a", "a").await;
    let request = |key: &str| {
        json!({"source_path": format!("s3://data/in/{key}"),
               "destination_path": format!("s3://other/{key}")})
    };
    let batch = |requests: &[&str], allow: bool| {
        let requests: Vec<_> = requests.iter().copied().map(request).collect();
        json!({"requests": requests, "allow_partial_failure": allow}).to_string()
    };
    let ran = moto.run(&["sync", &batch(&["missing", "a"], false)]).await;
    assert_eq!(ran.code, Some(1));
    assert_eq!(moto.objects("other", "").await, named([("a", "a")]));
    let ran = moto.run(&["sync", &batch(&["missing", "a"], true)]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let result = ran.result;
    assert_eq!(result["failures"][0]["path"], "s3://data/in/missing");
    assert_eq!((&result["requests_succeeded"], &result["requests_failed"]), (&json!(1), &json!(1)));
    let ran = moto.run(&["sync", &batch(&["missing", "gone"], true)]).await;
    assert_eq!(ran.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn a_folder_longer_than_a_page_goes_all_ways() {
    let moto = Moto::start().await;
    for index in 0..1_005 {
        moto.write(&format!("many/{index:04}"), format!("file {index}"));
    }
    let up = moto.sync(&moto.text("many"), "s3://data/many", json!({})).await.ok();
    assert_eq!(up["files_transferred"], 1_005);
    let copied = moto.sync("s3://data/many", "s3://other/many", json!({})).await.ok();
    assert_eq!(copied["files_transferred"], 1_005);
    let down = moto.sync("s3://other/many", &moto.text("back"), json!({})).await.ok();
    assert_eq!(down["files_transferred"], 1_005);
    assert!(files(&moto, "back") == files(&moto, "many"));

    // The mirror lists as far, and so does what a source that is not retained loses.
    moto.write("one/0000", "file 0");
    let mirrored = moto.sync(&moto.text("one"), "s3://other/many", json!({})).await.ok();
    assert_eq!(mirrored["files_deleted"], 1_004);
    let moved = json!({"retain_source_data": false});
    let moved = moto.sync("s3://data/many", &moto.text("back"), moved).await.ok();
    assert_eq!(
        (&moved["files_skipped"], &moved["sources_removed"]),
        (&json!(1_005), &json!(1_005))
    );
    assert!(moto.keys(BUCKET, "many/").await.is_empty());
}
