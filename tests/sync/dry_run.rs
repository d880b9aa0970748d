//! `demand sync --dry-run`: it tells what would be done, and does nothing.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::lab::{Lab, write};

/// A run's lines but for the last, in order, and its report.
async fn dry(lab: &Lab, arguments: &[&str]) -> (Vec<String>, Value) {
    let mut arguments = arguments.to_vec();
    arguments.push("--dry-run");
    let output = lab.command(&arguments).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = stdout.lines().map(str::to_owned).collect();
    let report: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
    assert_eq!(report["dry_run"], true);
    lines.sort();
    (lines, report)
}

/// Every file and directory below a path, with its bytes and when it last changed.
fn everything(root: &Path) -> Vec<(String, Option<Vec<u8>>, SystemTime)> {
    walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .map(|entry| {
            let content = entry.file_type().is_file().then(|| fs::read(entry.path()).unwrap());
            let path = entry.path().display().to_string();
            (path, content, entry.metadata().unwrap().modified().unwrap())
        })
        .collect()
}

/// Four ways, from what has `new`, `same` and `deep/changed` to what has them but for the first,
/// and `stale` beside.
async fn lab() -> (Lab, [(String, String); 4]) {
    let lab = Lab::open().await;
    for directory in [lab.path("s"), lab.object("s")] {
        write(&directory.join("new"), "new");
        write(&directory.join("same"), "same");
        write(&directory.join("deep/changed"), "changed");
    }
    let ways = [
        ("s3://data/s".to_owned(), lab.text("down")),
        ("s3://data/s".to_owned(), "s3://data/copy".to_owned()),
        (lab.text("s"), "s3://data/up".to_owned()),
        (lab.text("s"), lab.text("local")),
    ];
    for directory in [lab.path("down"), lab.object("copy"), lab.object("up"), lab.path("local")] {
        write(&directory.join("same"), "same");
        write(&directory.join("deep/changed"), "shorter");
        write(&directory.join("stale/file"), "stale");
    }
    (lab, ways)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_what_a_run_then_does_and_changes_nothing() {
    for way in 0..4 {
        let (lab, ways) = lab().await;
        let (source, destination) = &ways[way];
        let before = everything(&lab.path(""));
        let request = json!({
            "source_path": source, "destination_path": destination, "require_lock": true,
            "retain_source_data": false,
        })
        .to_string();
        let (lines, report) = dry(&lab, &["sync", &request]).await;
        assert_eq!(everything(&lab.path("")), before, "{source} -> {destination}");
        assert_eq!(
            lines,
            [
                format!("delete {destination}/stale/file"),
                format!("remove {source}/deep/changed"),
                format!("remove {source}/new"),
                format!("remove {source}/same"),
                format!("transfer {source}/deep/changed -> {destination}/deep/changed"),
                format!("transfer {source}/new -> {destination}/new"),
            ]
        );
        let done = lab.run(&["sync", &request]).await.ok();
        for field in [
            "files_transferred",
            "bytes_transferred",
            "files_skipped",
            "files_deleted",
            "sources_removed",
        ] {
            assert_eq!(report[field], done[field], "{field} of {source} -> {destination}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_makes_no_directory_and_no_lock() {
    let (lab, _) = lab().await;
    let before = everything(&lab.path(""));
    for source in ["s3://data/s".to_owned(), lab.text("s")] {
        for destination in [lab.text("a/b/new"), "s3://data/a/b/new".to_owned()] {
            let request = json!({
                "source_path": source, "destination_path": destination, "require_lock": true,
            });
            let (lines, report) = dry(&lab, &["sync", &request.to_string()]).await;
            assert_eq!((lines.len(), &report["files_transferred"]), (3, &json!(3)));
            assert!(lines[0].starts_with(&format!("transfer {source}/deep/changed -> ")));
        }
        let (lines, _) = dry(&lab, &["sync", &format!("{source}/new"), &lab.text("c/d")]).await;
        assert_eq!(lines, [format!("transfer {source}/new -> {}", lab.text("c/d"))]);
    }
    assert_eq!(everything(&lab.path("")), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_obeys_filters_and_flags_and_tells_what_would_fail() {
    let (lab, ways) = lab().await;
    let (source, destination) = &ways[0];
    let flags = ["sync", source, destination, "--include", "same|new", "--force"];
    let (lines, report) = dry(&lab, &flags).await;
    assert_eq!(
        lines,
        [
            format!("transfer {source}/new -> {destination}/new"),
            format!("transfer {source}/same -> {destination}/same"),
        ]
    );
    assert_eq!(report["files_deleted"], 0);

    let before = everything(&lab.path(""));
    let nothing = ["sync", source, destination, "--include", "none", "--dry-run"];
    assert!(lab.run(&nothing).await.failures().contains("filters"));
    let missing = ["sync", "s3://data/missing", destination, "--dry-run"];
    assert!(lab.run(&missing).await.failures().contains("does not exist"));
    assert_eq!(everything(&lab.path("")), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_dry_run_is_one_whatever_the_names() {
    let lab = Lab::open().await;
    lab.write("s/a\ndelete everything", "x");
    let (lines, _) = dry(&lab, &["sync", &lab.text("s"), "s3://data/k"]).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("transfer "), "{lines:?}");
}
