//! Where the embedded S3 is and who may use it: kept in `<data-dir>/s3.env`, so that jobs which
//! outlive a service find its successor at the same address with the same credentials, and so that
//! users can `source` it.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::s3::{self, Credentials, Running, ServeError};

const URL: &str = "AWS_ENDPOINT_URL_S3";
const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const REGION: &str = "AWS_REGION";

/// Why the endpoint could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The file cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// `read` or `write`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The endpoint itself.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A running endpoint, and the variables with which programs find and use it.
#[derive(Debug)]
pub struct Endpoint {
    /// The server.
    pub running: Running,
    /// The variables.
    pub environment: IndexMap<String, String>,
}

/// Serves the buckets under `root` at the address and with the credentials in `file`; makes both
/// where the file is absent. Takes another address where that one is in use by somebody else.
pub async fn serve(
    root: &Path,
    file: &Path,
    region: &str,
    shutdown: CancellationToken,
) -> Result<Endpoint, EndpointError> {
    let kept = read(file)?;
    let secret =
        |name| kept.get(name).cloned().unwrap_or_else(|| Uuid::new_v4().simple().to_string());
    let (access_key_id, secret_access_key) = (secret(ACCESS_KEY_ID), secret(SECRET_ACCESS_KEY));
    let credentials = Credentials {
        access_key_id: access_key_id.clone(),
        secret_access_key: secret_access_key.clone(),
    };
    let port = kept
        .get(URL)
        .and_then(|url| url.strip_prefix("http://"))
        .and_then(|address| address.parse::<SocketAddr>().ok())
        .map_or(0, |address| address.port());
    let running = match s3::serve(root, credentials.clone(), port, shutdown.clone()).await {
        Err(ServeError::Listen { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
            s3::serve(root, credentials, 0, shutdown).await?
        }
        served => served?,
    };
    let environment = IndexMap::from([
        (URL.to_owned(), running.endpoint_url()),
        (ACCESS_KEY_ID.to_owned(), access_key_id),
        (SECRET_ACCESS_KEY.to_owned(), secret_access_key),
        (REGION.to_owned(), region.to_owned()),
    ]);
    write(file, &environment)?;
    Ok(Endpoint { running, environment })
}

/// The variables in the file; none where it is absent.
fn read(file: &Path) -> Result<IndexMap<String, String>, EndpointError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => {
            return Err(EndpointError::File { operation: "read", path: file.to_owned(), source });
        }
    };
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// Written beside and renamed, so that no reader finds half of it; for its owner only.
fn write(file: &Path, environment: &IndexMap<String, String>) -> Result<(), EndpointError> {
    let failed = |source| EndpointError::File { operation: "write", path: file.to_owned(), source };
    let beside = file.with_extension("env.new");
    let mut text = String::from("# The S3 of local mode; `source` this file to use it.\n");
    for (name, value) in environment {
        text.extend(["export ", name, "=", value, "\n"]);
    }
    std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut new| new.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&beside, file))
        .map_err(failed)
}

/// The variables of a service's environment that jobs need to find programs and their home.
pub fn inherited() -> IndexMap<String, String> {
    ["PATH", "HOME", "LANG"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect()
}
