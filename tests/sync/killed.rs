//! A worker that is killed: what it had brought is not brought again. One that is told to end tidies
//! up first.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::{Child, Command};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_told_to_end_leaves_nothing_half_done_behind() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let held = Held::default();
        let lab = held.open().await;
        held.put("f/large", bytes((17 << 20) + 1));
        lab.write("s/large", bytes((17 << 20) + 1));
        held.meet("GetObject", "f/large", 1, Mishap::Stuck);
        held.meet("UploadPart", "k/large", 1, Mishap::Stuck);
        let down = ("s3://data/f".to_owned(), lab.text("f"), "GetObject", "f/large");
        let up = (lab.text("s"), "s3://data/k".to_owned(), "UploadPart", "k/large");
        for (source, destination, call, key) in [down, up] {
            let mut command = lab.command(&["sync", &source, &destination]);
            let mut worker = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            held.call(call, key).await;
            kill_process(pid(&worker), signal).unwrap();
            assert_eq!(worker.wait().await.unwrap().code(), Some(code), "{call}");
        }
        assert!(tree(&lab.path("f")).is_empty(), "{:?}", tree(&lab.path("f")).keys());
        assert!(held.get("k/large").is_none());
        assert_eq!(held.called("AbortMultipartUpload"), ["k/large"]);
        assert_eq!(held.uploads_left(), 0);
    }
}

fn pid(worker: &Child) -> Pid {
    Pid::from_raw(worker.id().unwrap().try_into().unwrap()).unwrap()
}

#[tokio::test]
async fn a_worker_listens_when_it_is_told_to_end() {
    // What does not listen is ended by the signal too, but not as the first process of a container.
    let mut worker = Command::new(env!("CARGO_BIN_EXE_demand"))
        .args(["sync", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Its request never ends.
    let _request = worker.stdin.take();
    let status = format!("/proc/{}/status", worker.id().unwrap());
    let listens = || {
        let status = fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 14) != 0
    };
    tokio::time::timeout(Duration::from_secs(30), async {
        while !listens() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    kill_process(pid(&worker), Signal::TERM).unwrap();
    assert_eq!(worker.wait().await.unwrap().code(), Some(143));
}
