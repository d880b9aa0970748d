//! `batch_size_bytes_limit`: a folder is taken in bins of at most so many bytes.

use serde_json::{Value, json};

use crate::lab::{Lab, tree};

/// The number of bins, the four ways.
async fn bins(lab: &Lab, fields: Value) -> u64 {
    let mut found = Vec::new();
    for (source, destination) in [
        ("s3://data/s".to_owned(), lab.text("down")),
        ("s3://data/s".to_owned(), "s3://data/copy".to_owned()),
        (lab.text("s"), "s3://data/up".to_owned()),
        (lab.text("s"), lab.text("local")),
    ] {
        let result = lab.sync(&source, &destination, fields.clone()).await.ok();
        found.push(result["bins"].as_u64().unwrap());
    }
    assert!(found.iter().all(|bins| *bins == found[0]), "{found:?}");
    found[0]
}

/// A source, here and in S3, of files of these sizes.
async fn lab(sizes: &[usize]) -> Lab {
    let lab = Lab::open().await;
    for (index, size) in sizes.iter().enumerate() {
        lab.put(&format!("s/{index}"), vec![b'x'; *size]);
        lab.write(&format!("s/{index}"), vec![b'x'; *size]);
    }
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bin_holds_what_fits_and_all_bins_are_transferred() {
    let lab = lab(&[100; 7]).await;
    assert_eq!(bins(&lab, json!({"batch_size_bytes_limit": 300})).await, 3);
    for there in [lab.path("down"), lab.object("copy"), lab.object("up"), lab.path("local")] {
        assert_eq!(tree(&there), tree(&lab.path("s")));
    }
    // What is skipped fills bins as well.
    assert_eq!(bins(&lab, json!({"batch_size_bytes_limit": 300})).await, 3);
    assert_eq!(bins(&lab, json!({"batch_size_bytes_limit": 299})).await, 4);
    assert_eq!(bins(&lab, json!({"batch_size_bytes_limit": 700})).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_larger_than_a_bin_has_one_of_its_own() {
    // S3 lists them in order: those around the large one are parted by it.
    let limit = json!({"batch_size_bytes_limit": 100});
    for (sizes, wanted) in [([1000, 10, 10], 2), ([10, 1000, 10], 3), ([10, 10, 1000], 2)] {
        let lab = lab(&sizes).await;
        let result = lab.sync("s3://data/s", &lab.text("d"), limit.clone()).await.ok();
        assert_eq!(result["bins"], wanted, "{sizes:?}");
    }
    let all = lab(&[1000; 4]).await;
    assert_eq!(bins(&all, json!({"batch_size_bytes_limit": 1})).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_and_nothing_are_no_limit_and_empty_files_cost_none() {
    let lab = lab(&[0, 0, 1000, 0, 1000]).await;
    assert_eq!(bins(&lab, json!({"batch_size_bytes_limit": 0})).await, 1);
    assert_eq!(bins(&lab, json!({})).await, 1);
    let empty = json!({"batch_size_bytes_limit": 1, "filter_config": {"include": "[013]"}});
    assert_eq!(bins(&lab, empty).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_apply_before_bins_are_filled() {
    let lab = lab(&[100; 6]).await;
    let fields = json!({
        "batch_size_bytes_limit": 100, "filter_config": {"exclude": "[0-3]"},
    });
    assert_eq!(bins(&lab, fields).await, 2);
    let nothing = json!({
        "batch_size_bytes_limit": 100, "filter_config": {"include": "none"}, "fail_if_missing": false,
    });
    assert_eq!(bins(&lab, nothing).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_and_a_removal_of_sources_come_after_the_last_bin() {
    let lab = lab(&[100; 5]).await;
    lab.write("d/stale", "stale");
    let fields = json!({"batch_size_bytes_limit": 100, "retain_source_data": false});
    let result = lab.sync("s3://data/s", &lab.text("d"), fields).await.ok();
    let counts = ["bins", "files_transferred", "files_deleted", "sources_removed"];
    assert_eq!(counts.map(|count| result[count].as_u64().unwrap()), [5, 5, 1, 5]);
    assert_eq!(tree(&lab.path("d")), tree(&lab.path("s")));
}
