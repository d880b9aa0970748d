//! One request as batches: those that a preparation prints, and the bins a transfer takes in turn.

use std::fs;

use serde_json::{Value, json};

use crate::lab::{Lab, bytes, names, tree, write};

/// The sources and destinations of each batch.
fn ends(prepared: &Value) -> Vec<Vec<(String, String)>> {
    let text = |request: &Value, name: &str| request[name].as_str().unwrap().to_owned();
    let batches = prepared["requests"].as_array().unwrap();
    let requests = batches.iter().map(|batch| batch["requests"].as_array().unwrap());
    requests
        .map(|requests| {
            let ends = |r: &Value| (text(r, "source_path"), text(r, "destination_path"));
            requests.iter().map(ends).collect()
        })
        .collect()
}

fn request(fields: &Value) -> String {
    let mut request = json!({"source_path": "s3://data/run", "destination_path": "/to/here"});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_cut_into_whole_folders_while_they_fit_and_the_largest_come_first() {
    let lab = Lab::open().await;
    for (key, size) in [("a/1", 40), ("a/2", 50), ("b/1", 60), ("b/deep/2", 70), ("c", 200)] {
        lab.put(&format!("run/{key}"), bytes(size));
    }
    let request = request(&json!({"batch_size_bytes_limit": 100, "size_only": true}));
    let prepared = lab.run(&["sync", "--prepare", &request]).await.ok();
    let pair = |below: &str| {
        let local = format!("/to/here/{}", below.trim_end_matches('/'));
        (format!("s3://data/run/{below}"), local)
    };
    let expected =
        [vec![pair("c")], vec![pair("a/")], vec![pair("b/deep/")], vec![pair("b/1")]].to_vec();
    assert_eq!(ends(&prepared), expected);
    let first = &prepared["requests"][0]["requests"][0];
    assert_eq!(first["filter_root"], "s3://data/run");
    assert_eq!(first["size_only"], true);
    assert_eq!(first.get("batch_size_bytes_limit"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_filled_by_what_the_filters_take() {
    let lab = Lab::open().await;
    for (key, size) in [("a/x.tif", 10), ("a/raw.bin", 500), ("b/y.tif", 20), ("b/raw.bin", 500)] {
        lab.put(&format!("run/{key}"), bytes(size));
    }
    let filters = |include: &str| {
        let filters = json!({"include": include});
        request(&json!({"batch_size_bytes_limit": 100, "filter_config": filters}))
    };
    let prepared = lab.run(&["sync", "--prepare", &filters(r".*\.tif")]).await.ok();
    assert_eq!(ends(&prepared), [[("s3://data/run".to_owned(), "/to/here".to_owned())]]);
    let none = lab.run(&["sync", "--prepare", &filters("nothing")]).await;
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("none of its files matches"), "{}", none.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_batches_run_as_the_whole_would() {
    let lab = Lab::open().await;
    for index in 0..20_usize {
        lab.put(&format!("run/{}/{index}", index % 3), bytes(index * 10));
    }
    let fields = json!({
        "batch_size_bytes_limit": 300, "delete": false,
        "destination_path": lab.text("there"),
        "temporary_request_payload_path": "s3://data/payloads/input_0/",
    });
    let prepared = lab.run(&["sync", "--prepare", &request(&fields)]).await.ok();
    let batches = prepared["requests"].as_array().unwrap();
    assert!(batches.len() > 1);
    assert_eq!(batches[0]["requests"], "s3://data/payloads/input_0/request_0.json");
    let ran = lab.run(&["sync", &prepared.to_string()]).await.ok();
    assert_eq!(ran["files_transferred"], 20);
    assert!(tree(&lab.path("there")) == tree(&lab.object("run")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_taken_in_bins_deletes_only_what_none_of_them_has() {
    let lab = Lab::open().await;
    for index in 0..30 {
        lab.put(&format!("run/{index:02}"), bytes(100));
    }
    lab.write("there/old", "gone from the source");
    let fields = json!({"batch_size_bytes_limit": 1000, "delete": true});
    let ran = lab.sync("s3://data/run", &lab.text("there"), fields).await.ok();
    assert_eq!((&ran["bins"], &ran["files_deleted"]), (&json!(3), &json!(1)));
    assert!(tree(&lab.path("there")) == tree(&lab.object("run")));
}

#[tokio::test(flavor = "multi_thread")]
async fn local_folders_are_prepared_as_they_lie() {
    let lab = Lab::open().await;
    for (name, size) in [("one", 90), ("deep/two", 80), ("deep/er/three", 30)] {
        write(&lab.path("from").join(name), bytes(size));
    }
    let fields = json!({
        "source_path": lab.text("from"), "destination_path": lab.text("to"),
        "batch_size_bytes_limit": 100,
    });
    let prepared = lab.run(&["sync", "--prepare", &request(&fields)]).await.ok();
    assert_eq!(prepared["requests"].as_array().unwrap().len(), 3);
    lab.run(&["sync", &prepared.to_string()]).await.ok();
    assert_eq!(names(&lab.path("to")), ["deep/er/three", "deep/two", "one"]);
    assert!(fs::read(lab.path("to/one")).unwrap() == bytes(90));
}
