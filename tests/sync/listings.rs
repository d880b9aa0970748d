//! A bucket with so many objects that holding on to each would show.

use std::fs::{self, File};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::held::Held;
use crate::many::modest;
use crate::mishaps::Mishap;

const OBJECTS: usize = 100_000;
/// More than half as much again as the worker takes, and far less than it would if it held the keys,
/// each of which is 450 bytes.
const MEMORY_KIB: u64 = 96 << 10;

fn name(index: usize) -> String {
    format!("{index:06}{}", "-".repeat(240))
}

fn folder() -> String {
    "f".repeat(200)
}

fn fill(held: &Held, objects: usize) {
    for index in 0..objects {
        held.put(&format!("many/{}/{}", folder(), name(index)), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_of_a_hundred_thousand_objects_takes_little_memory() {
    let held = Held::default();
    let lab = held.open().await;
    fill(&held, OBJECTS);
    let directory = lab.path("d").join(folder());
    fs::create_dir_all(&directory).unwrap();
    // Most are there, so that it is the listing that takes its time.
    for index in 100..OBJECTS + 50 {
        File::create(directory.join(name(index))).unwrap();
    }
    let request = json!({
        "source_path": "s3://data/many", "destination_path": lab.text("d"), "size_only": true,
        "delete": true,
    });
    let result = modest(&lab, &request, MEMORY_KIB).await;
    assert_eq!(result["files_transferred"], 100);
    assert_eq!(result["files_skipped"], OBJECTS - 100);
    assert_eq!(result["files_deleted"], 50);
    assert_eq!(fs::read_dir(directory).unwrap().count(), OBJECTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_not_read_far_ahead_of_what_is_brought() {
    let held = Held::default();
    let lab = held.open().await;
    fill(&held, 20_000);
    let (first, go_on) = (format!("many/{}/{}", folder(), name(0)), CancellationToken::new());
    held.meet("GetObject", &first, 1, Mishap::Until(go_on.clone()));
    let fields = json!({"max_concurrency": 1, "filter_config": {"include": ".*/00000.-*"}});
    let (there, released) = (lab.text("d"), go_on.clone());
    let sync = lab.sync("s3://data/many", &there, fields);
    let look = async {
        held.call("GetObject", &first).await;
        // As good as no time on a busy machine: then it is only less that is seen here.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let pages = held.called("ListObjectsV2").len();
        released.cancel();
        pages
    };
    let (ran, pages) = tokio::join!(sync, look);
    assert_eq!(ran.ok()["files_transferred"], 10);
    assert!(pages < 10, "{pages} of 20 pages were read while the first file was on its way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_objects_that_a_mirror_does_not_have_take_little_memory() {
    let held = Held::default();
    let lab = held.open().await;
    fill(&held, OBJECTS);
    lab.write("s/one", "1");
    let request = json!({
        "source_path": lab.text("s"), "destination_path": "s3://data/many", "delete": true,
    });
    let result = modest(&lab, &request, MEMORY_KIB).await;
    assert_eq!(result["files_transferred"], 1);
    assert_eq!(result["files_deleted"], OBJECTS);
    assert!(held.get("many/one").is_some());
    assert!(held.get(&format!("many/{}/{}", folder(), name(0))).is_none());
}
