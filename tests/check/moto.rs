//! A server of moto's (<https://docs.getmoto.org>), and the binary told to take it for AWS. What
//! starts one is ignored without a Python that `TEST_PYTHON` names; `tests/run aws` does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Far beyond what anything here takes; reaching it means that something hangs.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub struct Moto {
    _process: Child,
    pub endpoint: String,
    key: (String, String),
    pub directory: TempDir,
}

/// The Python that has what `tests/requirements.txt` lists.
fn python() -> OsString {
    std::env::var_os("TEST_PYTHON")
        .expect("TEST_PYTHON names a Python with what tests/requirements.txt lists")
}

impl Moto {
    /// An account with nothing in it.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// An account in which the service's user may do nothing.
    pub async fn start_denying() -> Self {
        // The two calls that make the user and its key are the last that nobody is asked about.
        let mut moto = Self::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "2")]).await;
        let key = moto.script("tests/check/nobody.py").await;
        let (id, secret) = key.trim().split_once(' ').unwrap();
        moto.key = (id.to_owned(), secret.to_owned());
        moto
    }

    /// An account with what a service needs.
    pub async fn start_with_lab() -> Self {
        let moto = Self::start().await;
        moto.script("tests/check/lab.py").await;
        moto
    }

    /// What a script prints that is told where moto is.
    async fn script(&self, script: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let ran = Command::new(python()).arg(script).arg(&self.endpoint).output();
        let ran = ran.await.unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    async fn start_with(environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(python())
            .args(["-m", "moto.server", "--host", "127.0.0.1", "--port", "0"])
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let endpoint = timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.unwrap().expect("moto says where it listens");
                if let Some((_, address)) = line.split_once("Running on ") {
                    return address.trim().to_owned();
                }
            }
        });
        let endpoint = endpoint.await.expect("moto starts");
        // It logs every request, and must not wait for somebody to read that.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let key = ("test".to_owned(), "test".to_owned());
        Self { _process: process, endpoint, key, directory: TempDir::new().unwrap() }
    }

    /// The configuration of a service that needs all there is, with `more` lines before its tables.
    pub fn configuration(&self, queue: &str) -> PathBuf {
        let text = format!(
            "env_base = \"dev-marmot\"\n\
             region = \"us-west-2\"\n\
             [store]\n\
             path = \"{directory}/demand.sqlite3\"\n\
             [data_sync]\n\
             image = \"demand:1\"\n\
             job_role = \"arn:aws:iam::123456789012:role/data-sync\"\n\
             payload_prefix = \"s3://payloads/demand\"\n\
             [policy]\n\
             images = [\"ghcr.io/lab\"]\n\
             [batch]\n\
             job_queues = [\"{queue}\"]\n\
             events_queue_url = \"{endpoint}/123456789012/events\"\n",
            directory = self.directory.path().display(),
            endpoint = self.endpoint,
        );
        let path = self.directory.path().join("demand.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary, told to take this for AWS.
    pub fn demand(&self, arguments: &[&str]) -> Command {
        let mut command = demand(arguments, self.directory.path());
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", &self.key.0)
            .env("AWS_SECRET_ACCESS_KEY", &self.key.1);
        command
    }
}

/// The binary with nothing of this process's environment, at home in `directory`.
pub fn demand(arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demand"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", directory)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Exit code, stdout, stderr.
pub async fn ended(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().expect("it is not killed"), text(stdout), text(stderr))
}
