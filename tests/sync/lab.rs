//! A directory, an S3 endpoint over part of it, and the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials as Keys, Region};
use demand_context_manager::local::s3::{Credentials, Running, serve};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::{CancellationToken, DropGuard};

pub const BUCKET: &str = "data";

pub struct Lab {
    directory: TempDir,
    endpoint_url: String,
    _running: Option<(Running, DropGuard)>,
}

/// How a run ended.
pub struct Ran {
    pub code: Option<i32>,
    /// The last line on standard output.
    pub result: Value,
    pub stderr: String,
}

impl Ran {
    /// The result of a run that must have succeeded.
    pub fn ok(self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.result
    }

    /// The reasons of a run that must have failed.
    pub fn failures(self) -> String {
        assert_eq!(self.code, Some(1), "{}", self.stderr);
        assert_ne!(self.result["failures"], json!([]));
        self.result["failures"].to_string()
    }
}

impl Lab {
    pub async fn open() -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir_all(directory.path().join("s3").join(BUCKET)).unwrap();
        let stop = CancellationToken::new();
        let credentials = Credentials {
            access_key_id: "an-access-key".to_owned(),
            secret_access_key: "a-secret-key".to_owned(),
        };
        let root = directory.path().join("s3");
        let running = serve(&root, credentials, 0, stop.clone()).await.unwrap();
        let endpoint_url = running.endpoint_url();
        Self { directory, endpoint_url, _running: Some((running, stop.drop_guard())) }
    }

    /// A directory, and the binary told to take another endpoint for S3.
    pub fn at(endpoint_url: impl Into<String>) -> Self {
        let directory = TempDir::new().unwrap();
        Self { directory, endpoint_url: endpoint_url.into(), _running: None }
    }

    /// A path outside the buckets.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    pub fn text(&self, relative: &str) -> String {
        self.path(relative).to_str().unwrap().to_owned()
    }

    /// Where an object lies.
    pub fn object(&self, key: &str) -> PathBuf {
        self.directory.path().join("s3").join(BUCKET).join(key)
    }

    pub fn put(&self, key: &str, content: impl AsRef<[u8]>) {
        write(&self.object(key), content);
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        write(&self.path(relative), content);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demand"));
        command
            .args(arguments)
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", "an-access-key")
            .env("AWS_SECRET_ACCESS_KEY", "a-secret-key")
            .env("AWS_ENDPOINT_URL_S3", &self.endpoint_url)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments)).await
    }

    /// Runs one request, given its fields beside the two paths.
    pub async fn sync(&self, source: &str, destination: &str, fields: Value) -> Ran {
        let mut request = json!({"source_path": source, "destination_path": destination});
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.run(&["sync", &request.to_string()]).await
    }

    pub fn task_command(&self, task: &Value) -> Command {
        let mut command = self.command(&["sync", "--task"]);
        command.env("DEMAND_TASK", task.to_string());
        command
    }

    pub async fn run_task(&self, task: &Value) -> Ran {
        ran(self.task_command(task)).await
    }

    pub fn client(&self, secret: &str) -> Client {
        client(&self.endpoint_url, secret)
    }
}

pub fn client(endpoint_url: &str, secret: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .region(Region::new("us-west-2"))
        .credentials_provider(Keys::new("an-access-key", secret, None, None, "test"))
        .endpoint_url(endpoint_url)
        .force_path_style(true)
        .http_client(http)
        .build();
    Client::from_conf(config)
}

pub async fn ran(mut command: Command) -> Ran {
    ended(command.output().await.unwrap())
}

/// What a worker that has ended left.
pub fn ended(output: Output) -> Ran {
    let stdout = String::from_utf8(output.stdout).unwrap();
    let last = stdout.lines().last().unwrap_or("null");
    Ran {
        code: output.status.code(),
        result: serde_json::from_str(last).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The files below a directory, by relative path.
pub fn tree(root: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    walkdir::WalkDir::new(root)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let relative = entry.path().strip_prefix(root).unwrap().to_owned();
            (relative, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The relative paths of the files below a directory, in order.
pub fn names(root: &Path) -> Vec<String> {
    tree(root).into_keys().map(|path| path.to_str().unwrap().to_owned()).collect()
}

/// Bytes that no two offsets share.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}
