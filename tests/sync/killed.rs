//! A worker that is killed: what it had brought is not brought again.

use std::fs;
use std::process::Stdio;

use serde_json::json;

use crate::held::Held;
use crate::lab::{bytes, tree};
use crate::mishaps::Mishap;

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_killed_worker_brought_are_not_fetched_again() {
    let held = Held::default();
    let lab = held.open().await;
    for index in 0..60 {
        held.put(&format!("f/{index:02}"), bytes(1000 + index));
    }
    held.put("f/large", bytes((17 << 20) + 1));
    held.meet("GetObject", "f/40", 1, Mishap::Stuck);
    held.meet("GetObject", "f/large", 1, Mishap::Stuck);
    let request = json!({
        "source_path": "s3://data/f", "destination_path": lab.text("f"), "max_concurrency": 4,
    });
    let mut command = lab.command(&["sync", &request.to_string()]);
    let mut worker = command.stdout(Stdio::null()).spawn().unwrap();
    held.call("GetObject", "f/40").await;
    // The others go on; the last of them, in three ranges, cannot end.
    held.call("GetObject", "f/large").await;
    worker.kill().await.unwrap();
    let there = tree(&lab.path("f"));
    let brought: Vec<_> =
        there.keys().map(|path| path.to_str().unwrap()).filter(|name| name.len() == 2).collect();
    assert!(brought.len() > 40 && !brought.contains(&"40"), "{brought:?}");
    for name in &brought {
        let content = fs::read(lab.path(&format!("f/{name}"))).unwrap();
        assert!(content == held.get(&format!("f/{name}")).unwrap(), "{name}");
    }
    assert!(!lab.path("f/large").exists());

    let before = held.called("GetObject").len();
    let result = lab.sync("s3://data/f", &lab.text("f"), json!({})).await.ok();
    assert_eq!(result["files_skipped"], brought.len());
    let fetched = held.called("GetObject").split_off(before);
    assert!(fetched.iter().all(|key| !brought.contains(&key.strip_prefix("f/").unwrap())));
    // No file under way is left over.
    assert_eq!(tree(&lab.path("f")).len(), 61);
    assert!(fs::read(lab.path("f/large")).unwrap() == bytes((17 << 20) + 1));
}
