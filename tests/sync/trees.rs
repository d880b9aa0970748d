//! Random trees, up and down again, interrupted or not.

use std::collections::BTreeMap;
use std::fs;
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
fn a_random_tree_goes_up_and_down_unchanged() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 12, ..Config::default() });
    runner
        .run(&(trees(), 0u64..150), |(wanted, pause)| {
            runtime.block_on(up_and_down(&wanted, pause));
            Ok(())
        })
        .unwrap();
}

async fn up_and_down(wanted: &Tree, pause: u64) {
    let lab = Lab::open().await;
    let source = lab.path("source");
    for (path, length) in wanted {
        write(&source.join(path.iter().collect::<PathBuf>()), bytes(*length));
    }
    let (up, down) = (lab.text("source"), lab.text("back"));
    for (source, destination) in [(up.as_str(), "s3://data/t"), ("s3://data/t", down.as_str())] {
        let request = json!({"source_path": source, "destination_path": destination}).to_string();
        let mut child = lab
            .command(&["sync", &request])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(pause)).await;
        child.kill().await.unwrap();
        lab.sync(source, destination, json!({})).await.ok();
    }
    assert!(tree(&lab.path("back")) == tree(&source));
    fs::remove_dir_all(lab.path("back")).unwrap();
}
