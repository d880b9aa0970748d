//! Random trees, every way and back again, interrupted or not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::time::sleep;

use crate::lab::{Lab, bytes, tree, write};

/// The length of each file by its path.
type Tree = BTreeMap<Vec<String>, usize>;

fn name() -> impl Strategy<Value = String> {
    let segment = "[a-cA-C +%&=?#~'\"\\\\*\\n\\r\\tüñ漢🧪.-]{1,12}";
    segment.prop_filter("no name", |name| !matches!(name.as_str(), "." | ".."))
}

fn trees() -> impl Strategy<Value = Tree> {
    let path = prop::collection::vec(name(), 1..4);
    let length = prop_oneof![Just(0_usize), 1_usize..200, 60_000_usize..70_000];
    prop::collection::btree_map(path, length, 1..20).prop_map(|tree| {
        let folders: Vec<Vec<String>> = tree
            .keys()
            .flat_map(|path| (1..path.len()).map(|depth| path[..depth].to_vec()))
            .collect();
        tree.into_iter().filter(|(path, _)| !folders.contains(path)).collect()
    })
}

#[test]
fn a_random_tree_goes_up_across_down_and_over_unchanged() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 10, ..Config::default() });
    // Each way may be interrupted, after so many milliseconds.
    let pauses = prop::array::uniform4(prop::option::of(0_u64..150));
    runner
        .run(&(trees(), pauses), |(wanted, pauses)| {
            runtime.block_on(around(&wanted, pauses));
            Ok(())
        })
        .unwrap();
}

/// From a directory to S3, within S3, to a directory and to another: what is left is what was
/// there.
async fn around(wanted: &Tree, pauses: [Option<u64>; 4]) {
    let lab = Lab::open().await;
    let source = lab.path("source");
    for (path, length) in wanted {
        write(&source.join(path.iter().collect::<PathBuf>()), bytes(*length));
    }
    let wanted = tree(&source);
    let stops = [
        lab.text("source"),
        "s3://data/t".to_owned(),
        "s3://data/u".to_owned(),
        lab.text("back"),
        lab.text("over"),
    ];
    for (way, pause) in stops.windows(2).zip(pauses) {
        let (source, destination) = (&way[0], &way[1]);
        if let Some(pause) = pause {
            interrupted(&lab, source, destination, pause).await;
        }
        let result = lab.sync(source, destination, json!({})).await.ok();
        let arrived = [&result["files_transferred"], &result["files_skipped"]]
            .map(|count| count.as_u64().unwrap());
        assert_eq!(arrived.iter().sum::<u64>(), wanted.len() as u64);
        assert_eq!(result["files_deleted"], 0);
    }
    for place in [lab.object("t"), lab.object("u"), lab.path("back"), lab.path("over")] {
        assert!(tree(&place) == wanted, "{}", place.display());
    }
    assert!(tree(&source) == wanted);
}

/// Begins, and is killed.
async fn interrupted(lab: &Lab, source: &str, destination: &str, pause: u64) {
    let request = json!({"source_path": source, "destination_path": destination}).to_string();
    let mut command = lab.command(&["sync", &request]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(pause)).await;
    child.kill().await.unwrap();
}
