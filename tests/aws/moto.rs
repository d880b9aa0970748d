//! moto's server with jobs that run, and what it knows, asked through AWS's own clients.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_sdk_batch::types::{JobSummary, KeyValuesPair};
use aws_smithy_http_client::Builder;
use serde_json::Value;

/// The server; it ends when this is dropped, and its jobs with it.
pub struct Moto {
    process: Child,
    /// Where it answers, for every service.
    pub endpoint: String,
    seeded: Value,
}

impl Moto {
    /// Starts one whose jobs stay below `root`. `options` are those of `tests/moto/server.py`.
    pub fn start(root: &Path, options: &[&str]) -> Self {
        let python = std::env::var_os("TEST_PYTHON").expect(
            "TEST_PYTHON names a Python with what tests/requirements.txt lists; \
             `tests/run aws` makes one and sets it",
        );
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/moto/server.py"))
            .args(["--demand", env!("CARGO_BIN_EXE_demand"), "--root"])
            .arg(root)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut line = || lines.next().expect("the server starts").unwrap();
        let endpoint = line().strip_prefix("listening on ").unwrap().to_owned();
        let seeded = serde_json::from_str(&line()).unwrap();
        Self { process, endpoint, seeded }
    }

    /// What it was seeded with, by JSON Pointer.
    pub fn seeded(&self, pointer: &str) -> &str {
        self.seeded.pointer(pointer).and_then(Value::as_str).unwrap()
    }

    /// What a program's environment needs to take it for AWS.
    pub fn environment(&self) -> [(&str, &str); 5] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", self.seeded("/region")),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
    }

    pub fn s3(&self) -> aws_sdk_s3::Client {
        let credentials =
            aws_sdk_s3::config::Credentials::new("testing", "testing", None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_s3::config::Region::new(self.seeded("/region").to_owned()))
            .credentials_provider(credentials)
            .endpoint_url(&self.endpoint)
            .http_client(Builder::new().build_http())
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    pub fn batch(&self) -> aws_sdk_batch::Client {
        let credentials =
            aws_sdk_batch::config::Credentials::new("testing", "testing", None, None, "test");
        let config = aws_sdk_batch::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_batch::config::Region::new(self.seeded("/region").to_owned()))
            .credentials_provider(credentials)
            .endpoint_url(&self.endpoint)
            .http_client(Builder::new().build_http())
            .build();
        aws_sdk_batch::Client::from_conf(config)
    }

    /// Every job there ever was in the queue, whatever its state.
    pub async fn jobs(&self) -> Vec<JobSummary> {
        let every = KeyValuesPair::builder().name("JOB_NAME").values("*").build();
        let pages = self.batch().list_jobs().job_queue("queue").filters(every).into_paginator();
        pages.items().send().collect::<Result<_, _>>().await.unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // The end of its input is its sign to end.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
