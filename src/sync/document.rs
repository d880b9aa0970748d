//! What to do, as the command line names it: a JSON document given inline, on standard input, in
//! a file or in S3.

use std::io::Read;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::SyncError;
use super::location::{Location, LocationError};
use super::s3::length;
use super::worker::Worker;
use crate::plan::data_sync::DataSyncRequest;

/// Bytes that a document may have: requests for a million files.
const LONGEST: u64 = 1 << 30;

/// A document that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A reference that names nothing.
    #[error("cannot tell where the document is")]
    Location(#[from] LocationError),
    /// A document in S3.
    #[error("cannot read the document {path}")]
    Object {
        /// Where it is.
        path: String,
        /// Why.
        source: SyncError,
    },
    /// A document on this machine.
    #[error("cannot read the document {}", path.display())]
    File {
        /// The file, `-` for standard input.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A document of another shape.
    #[error("the document is not what is asked for (to transfer a source, name a DESTINATION too)")]
    Shape(#[from] serde_json::Error),
    /// A directory, or more than any document has.
    #[error("`{0}` is no document; to transfer it, name a DESTINATION too")]
    NoDocument(String),
}

/// Several requests, as the reference's batches have them.
#[derive(Debug, Default, Deserialize)]
pub struct Batch {
    /// The requests.
    pub requests: Vec<DataSyncRequest>,
    /// Whether requests that fail leave the whole a success.
    #[serde(default)]
    pub allow_partial_failure: bool,
}

/// Reads the document that `reference` names: JSON itself, `-` for standard input, an `s3://`
/// path, or a file's path.
pub async fn load<T: DeserializeOwned>(
    worker: &Worker,
    reference: &str,
) -> Result<T, DocumentError> {
    let text = reference.trim_start();
    if text.starts_with(['{', '[']) {
        return Ok(serde_json::from_str(text)?);
    }
    if reference == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().read_to_end(&mut bytes);
        read.map_err(|source| DocumentError::File { path: PathBuf::from("-"), source })?;
        return Ok(serde_json::from_slice(&bytes)?);
    }
    match Location::parse(reference, worker.mounts())? {
        Location::Local(path) => match tokio::fs::metadata(&path).await {
            Ok(found) if found.is_dir() || found.len() > LONGEST => {
                Err(DocumentError::NoDocument(reference.to_owned()))
            }
            _ => local(path).await,
        },
        Location::S3(path) if path.is_folder() => {
            Err(DocumentError::NoDocument(reference.to_owned()))
        }
        Location::S3(path) => {
            let fail = |source| DocumentError::Object { path: path.to_string(), source };
            let client = worker.client().await;
            let answer = client.get_object().bucket(&path.bucket).key(&path.key).send().await;
            let answer = answer.map_err(SyncError::s3("GetObject")).map_err(fail)?;
            if length(answer.content_length()).is_some_and(|length| length > LONGEST) {
                return Err(DocumentError::NoDocument(reference.to_owned()));
            }
            let body = answer.body.collect().await;
            let body = body.map_err(|error| fail(SyncError::Body(Box::new(error))))?;
            Ok(serde_json::from_slice(&body.into_bytes())?)
        }
    }
}

async fn local<T: DeserializeOwned>(path: PathBuf) -> Result<T, DocumentError> {
    match tokio::fs::read(&path).await {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(source) => Err(DocumentError::File { path, source }),
    }
}

/// Reads the requests that `reference` names: one, a list, or a batch whose list may lie in S3; or
/// several batches, as a preparation gives them.
pub async fn load_requests(worker: &Worker, reference: &str) -> Result<Batch, DocumentError> {
    let document: Value = load(worker, reference).await?;
    let mut batch = Batch::default();
    let allowed = add(worker, document, &mut batch.requests).await?;
    batch.allow_partial_failure = allowed;
    Ok(batch)
}

/// Adds what `document` holds to `requests`; answers whether some of it may fail.
async fn add(
    worker: &Worker,
    mut document: Value,
    requests: &mut Vec<DataSyncRequest>,
) -> Result<bool, DocumentError> {
    if let Some(Value::String(elsewhere)) = document.get("requests") {
        let elsewhere = elsewhere.clone();
        document["requests"] = load(worker, &elsewhere).await?;
    }
    if document.is_array() {
        requests.extend(serde_json::from_value::<Vec<_>>(document)?);
        return Ok(false);
    }
    let is_batch = |value: &Value| value.get("requests").is_some();
    let nested = match document.get_mut("requests") {
        Some(Value::Array(batches)) if batches.iter().any(is_batch) => std::mem::take(batches),
        Some(_) => {
            let batch: Batch = serde_json::from_value(document)?;
            requests.extend(batch.requests);
            return Ok(batch.allow_partial_failure);
        }
        None => {
            requests.push(serde_json::from_value(document)?);
            return Ok(false);
        }
    };
    let mut allowed = true;
    for batch in nested {
        allowed &= Box::pin(add(worker, batch, requests)).await?;
    }
    Ok(allowed)
}
