//! The site of these tests: this machine, everything in a directory of the test.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::fs;
use tokio::process::Command;

/// Where a service of one test runs. `tests/aws/site.rs` is the other.
pub struct Site {
    directory: TempDir,
}

impl Site {
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// For files of the test's own; the jobs' commands see it too.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory().join("data")
    }

    /// The service here, listening where the system chooses.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demand"));
        command.args(["serve", "--local", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(self.data_dir());
        command
    }

    pub fn working_directory(&self, execution_id: &str) -> PathBuf {
        self.data_dir().join("efs/scratch").join(execution_id)
    }

    /// Where inputs are that demands share.
    pub fn shared(&self) -> PathBuf {
        self.data_dir().join("efs/shared")
    }

    /// Puts an object into the embedded S3 as a user may: by writing a file.
    pub async fn put(&self, bucket: &str, key: &str, text: &str) {
        let path = self.object(bucket, key);
        fs::create_dir_all(path.parent().unwrap()).await.unwrap();
        fs::write(path, text).await.unwrap();
    }

    /// What an object holds, if there is one.
    pub async fn get(&self, bucket: &str, key: &str) -> Option<String> {
        fs::read_to_string(self.object(bucket, key)).await.ok()
    }

    fn object(&self, bucket: &str, key: &str) -> PathBuf {
        self.data_dir().join("s3").join(bucket).join(key)
    }
}
