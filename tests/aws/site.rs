//! The site of these tests: an AWS account of moto's, its file systems directories of the test.

use std::fs;
use std::path::{Path, PathBuf};

use aws_sdk_s3::primitives::ByteStream;
use tempfile::TempDir;
use tokio::process::Command;

use crate::moto::Moto;

/// Where a service of one test runs. `tests/end_to_end/site.rs` is the other.
pub struct Site {
    /// The account, which outlives every service on it.
    pub moto: Moto,
    s3: aws_sdk_s3::Client,
    // Dropped last, after the jobs that write there.
    directory: TempDir,
}

impl Site {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// One whose server is started with these options.
    pub fn with(options: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let moto = Moto::start(directory.path(), options);
        let site = Self { s3: moto.s3(), moto, directory };
        fs::write(site.configuration(), site.settings()).unwrap();
        site
    }

    /// For files of the test's own; the jobs' commands see it too.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The service here, listening where the system chooses.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demand"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]);
        command.arg(self.configuration()).envs(self.moto.environment());
        command
    }

    pub fn working_directory(&self, execution_id: &str) -> PathBuf {
        self.mount("scratch").join(execution_id)
    }

    /// Where inputs are that demands share.
    pub fn shared(&self) -> PathBuf {
        self.mount("shared")
    }

    pub async fn put(&self, bucket: &str, key: &str, text: &str) {
        let body = ByteStream::from(text.as_bytes().to_vec());
        self.s3.put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    }

    /// What an object holds, if there is one.
    pub async fn get(&self, bucket: &str, key: &str) -> Option<String> {
        let answer = self.s3.get_object().bucket(bucket).key(key).send().await.ok()?;
        let bytes = answer.body.collect().await.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn configuration(&self) -> PathBuf {
        self.directory().join("demand.toml")
    }

    fn mount(&self, role: &str) -> PathBuf {
        self.directory().join("efs").join(role)
    }

    fn settings(&self) -> String {
        let volume = |role| {
            format!(
                "[{{ file_system = '{}', access_point = '{role}', container_path = '{}' }}]",
                self.moto.seeded("/file_system/name"),
                self.mount(role).display()
            )
        };
        format!(
            "env_base = '{env_base}'\n\
             [store]\n\
             path = '{store}'\n\
             [lifecycle]\n\
             look_up_grace = '2s'\n\
             observe_min = '100ms'\n\
             observe_max = '1s'\n\
             [data_sync]\n\
             image = 'demand'\n\
             [file_system_configurations]\n\
             scratch = {scratch}\n\
             shared = {shared}\n\
             tmp = []\n",
            env_base = self.moto.seeded("/env_base"),
            store = self.directory().join("demand.sqlite3").display(),
            scratch = volume("scratch"),
            shared = volume("shared"),
        )
    }
}
