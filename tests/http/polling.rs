//! Many who wait for one demand.

use std::fs;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::service::{Service, demand, eventually};

const WAITING: usize = 1000;
const MIB: u64 = 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_wait_are_told_of_a_change_within_a_second() {
    let service = Service::start().await;
    let go = service.site.directory().join("go");
    let command = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    let id = service.accepted(&demand("awaited", &command)).await;
    // Nothing more changes before the command ends, once its successor is seen to wait for it.
    let is_settled = |document: &Value| {
        let [execute, wrap_up] = [0, 1].map(|step| &document["steps"][step]["status"]);
        execute == "RUNNING" && wrap_up == "PENDING"
    };
    let before = service.until(&id, is_settled).await;
    let path = format!("/demands/{id}");
    let known = before["version"].as_i64().unwrap();

    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let request = format!(
        "GET {path}?wait=50 HTTP/1.1\r\nHost: {address}\r\nIf-None-Match: \"{known}\"\r\n\
         Connection: close\r\n\r\n"
    );
    let waiting: Vec<_> =
        (0..WAITING).map(|_| tokio::spawn(wait(address.clone(), request.clone()))).collect();
    let pid = service.pid();
    let connections = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    eventually("all wait", || connections() > WAITING).await;
    let memory = resident(pid);
    let told: Vec<_> = {
        fs::write(&go, "").unwrap();
        join_all(waiting).await.into_iter().map(Result::unwrap).collect()
    };
    let (first, _) = told.iter().min().unwrap();
    let (last, _) = told.iter().max().unwrap();
    let apart = last.duration_since(*first);
    eprintln!("{apart:?} from the first to the last, {memory} KiB");
    assert!(apart < Duration::from_secs(1), "{apart:?} from the first to the last");
    assert!(told.iter().all(|(_, version)| *version > known));
    assert!(memory < 100 * MIB, "{memory} KiB while {WAITING} wait");
}

/// Waits for an answer; when it came, and the version it tells.
async fn wait(address: String, request: String) -> (Instant, i64) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let came = Instant::now();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let document: Value = serde_json::from_str(body).unwrap();
    (came, document["version"].as_i64().unwrap())
}

/// The memory of a process, in KiB (proc(5)).
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
