//! The embedded S3 endpoint: the buckets of local mode, over plain directories.
//!
//! `<root>/<bucket>/<key>` is the object, byte for byte, and nothing else lies in a bucket's
//! directory, so that users may put files there with `aws s3 cp` or with `cp` alike. The `s3s`
//! library speaks the protocol (signatures, chunked bodies, XML); what it asks of a backend is
//! answered by `protocol`. Its companion `s3s-fs` is not used: it trusts metadata files that a
//! copied file leaves stale, answers a directory as if it were an object, ignores `If-Match` on
//! reads and `encoding-type` in listings, gives listings no `ETag`, and rescans the whole bucket
//! for each page.
//!
//! Not kept: user metadata, content types, tags, ACLs, versions. What was acknowledged survives
//! the end of this process, not a power failure.

mod buckets;
mod digests;
mod listing;
mod objects;
mod protocol;
mod uploads;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::error_handling::HandleError;
use axum::http::StatusCode;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The only key pair the endpoint accepts.
#[derive(Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
}

/// The endpoint could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The directory that holds the buckets.
    #[error("cannot prepare the bucket directory {}", path.display())]
    Root {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address on loopback.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// Why.
        source: io::Error,
    },
}

/// An endpoint that serves until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// The address taken, on loopback.
    pub addr: SocketAddr,
    server: JoinHandle<io::Result<()>>,
}

impl Running {
    /// What `AWS_ENDPOINT_URL_S3` takes.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns when the token was cancelled and the requests under way were answered.
    pub async fn finished(self) -> io::Result<()> {
        self.server.await.map_err(io::Error::other)?
    }
}

/// Serves the buckets under `root` on loopback, `port` 0 leaving the choice to the system.
/// Requests must be signed with `credentials`; any region is taken.
pub async fn serve(
    root: &Path,
    credentials: Credentials,
    port: u16,
    shutdown: CancellationToken,
) -> Result<Running, ServeError> {
    let store = objects::Store::open(root)
        .map_err(|source| ServeError::Root { path: root.to_owned(), source })?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|source| ServeError::Listen { port, source })?;
    let addr = listener.local_addr().map_err(|source| ServeError::Listen { port, source })?;

    let mut builder = S3ServiceBuilder::new(buckets::Buckets::new(store));
    builder.set_auth(SimpleAuth::from_single(
        credentials.access_key_id,
        credentials.secret_access_key.as_str(),
    ));
    let service = HandleError::new(builder.build(), |error: s3s::HttpError| async move {
        tracing::warn!(error = ?error, "the S3 endpoint could not answer");
        StatusCode::INTERNAL_SERVER_ERROR
    });
    let app = Router::new().fallback_service(service);
    let server = tokio::spawn(async move {
        axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await
    });
    Ok(Running { addr, server })
}
