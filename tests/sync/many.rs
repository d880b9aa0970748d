//! So many files that holding on to each would show.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::lab::Lab;

const FILES: usize = 100_000;
/// Twice what the worker takes, less than it would if it kept half a kilobyte of each file.
const MEMORY_KIB: u64 = 80 << 10;

/// The most memory a process has had resident, in KiB; none once it has ended.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The result of a request, for which the worker took less memory than `bound`, in KiB.
pub async fn modest(lab: &Lab, request: &Value, bound: u64) -> Value {
    let mut command = lab.command(&["sync", &request.to_string()]);
    let mut worker = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let process = worker.id().unwrap();
    let mut stdout = worker.stdout.take().unwrap();
    let reading = tokio::spawn(async move {
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.unwrap();
        text
    });
    // It only grows, so that the last look before the end is near the truth.
    let (mut most, mut look) = (0, tokio::time::interval(Duration::from_millis(20)));
    let status = loop {
        tokio::select! {
            status = worker.wait() => break status.unwrap(),
            _ = look.tick() => most = peak(process).unwrap_or(most),
        }
    };
    let stdout = reading.await.unwrap();
    assert!(status.success(), "{stdout}");
    assert!(most > 0 && most < bound, "{most} KiB");
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_files_take_little_memory() {
    let lab = Lab::open().await;
    fs::create_dir(lab.path("s")).unwrap();
    for index in 0..FILES {
        File::create(lab.path(&format!("s/{index:06}"))).unwrap();
    }
    let request = json!({"source_path": lab.text("s"), "destination_path": lab.text("d")});
    let result = modest(&lab, &request, MEMORY_KIB).await;
    assert_eq!(result["files_transferred"], FILES);
    assert_eq!(fs::read_dir(lab.path("d")).unwrap().count(), FILES);
}
