//! Preparing a large transfer: one request becomes batches of requests that may run one after the
//! other or side by side (the reference's `PrepareBatchDataSyncHandler`).
//!
//! Unlike a transfer it holds the names of all files, since its answer may have to name them.

mod partition;

use aws_sdk_s3::primitives::ByteStream;
use serde::Serialize;

use super::error::{Failure, SyncError};
use super::location::{Location, S3Path};
use super::source::filter::Filter;
use super::source::{self, Source, Unlisted};
use super::worker::Worker;
use crate::plan::data_sync::DataSyncRequest;
use partition::{Folder, Piece, batches};

/// The largest batch where the request names none: 250 GiB, as in the reference.
const BATCH_SIZE_BYTES_LIMIT: u64 = 250 << 30;

/// What became of a request: the reference's `PrepareBatchDataSyncResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prepared {
    /// The batches.
    pub requests: Vec<PreparedBatch>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreparedBatch {
    /// Its requests.
    pub requests: PreparedRequests,
    /// Always false, as in the reference.
    pub allow_partial_failure: bool,
}

/// The requests of a batch, or where they lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PreparedRequests {
    /// Themselves.
    Here(Vec<DataSyncRequest>),
    /// The S3 path of a JSON list of them.
    Stored(String),
}

/// Cuts `request` into batches of at most `batch_size_bytes_limit`, by what its filters take.
/// Where it has a `temporary_request_payload_path` the batches are put there.
pub async fn prepare(worker: &Worker, request: &DataSyncRequest) -> Result<Prepared, SyncError> {
    let job = worker.job();
    let location = Location::parse(&request.source_path, &job.mounts)?;
    let filter = Filter::new(request, &location, &job.mounts)?;
    let limit = request.batch_limit().unwrap_or(BATCH_SIZE_BYTES_LIMIT);
    let pieces = match source::look(job, request, &location).await? {
        Source::Missing if request.fail_if_missing => return Err(SyncError::Missing),
        Source::Missing => Folder::default().pieces(limit),
        // What a single file's filter says, its transfer tells.
        Source::Single(item) => vec![Piece { relative: "".into(), bytes: item.size }],
        Source::Folder(mut items) => {
            let (mut folder, mut listed, mut matched) = (Folder::default(), false, false);
            while let Some(item) = items.recv().await {
                let item = match item {
                    Ok(item) if item.is_directory() => continue,
                    Ok(item) => item,
                    // What filters leave out need not be listed.
                    Err(Unlisted::Entry(failure)) if !filter.takes(&failure.path)? => continue,
                    Err(unlisted) => {
                        return Err(SyncError::Listing(Failure::from(unlisted).to_string()));
                    }
                };
                listed = true;
                if filter.takes(&item.path())? {
                    matched = true;
                    folder.add(&item.below(&location), item.size);
                }
            }
            if listed && !matched && request.fail_if_missing {
                return Err(SyncError::NothingMatches);
            }
            folder.pieces(limit)
        }
    };
    let mut prepared = Vec::new();
    for batch in batches(pieces, limit) {
        let requests: Result<Vec<_>, _> =
            batch.iter().map(|piece| narrowed(request, piece)).collect();
        prepared.push(requests?);
    }
    let requests = match &request.temporary_request_payload_path {
        None => prepared.into_iter().map(PreparedRequests::Here).collect(),
        Some(path) => store(worker, path, &prepared).await?,
    };
    let batch = |requests| PreparedBatch { requests, allow_partial_failure: false };
    Ok(Prepared { requests: requests.into_iter().map(batch).collect() })
}

/// The request for one piece of the source.
fn narrowed(request: &DataSyncRequest, piece: &Piece) -> Result<DataSyncRequest, SyncError> {
    let relative = piece.relative.to_str().ok_or(SyncError::NotUtf8)?;
    let filter_root = request.filter_root.clone().unwrap_or_else(|| request.source_path.clone());
    let mut narrowed = DataSyncRequest {
        filter_root: Some(filter_root),
        batch_size_bytes_limit: None,
        temporary_request_payload_path: None,
        ..request.clone()
    };
    if relative.is_empty() {
        return Ok(narrowed);
    }
    narrowed.source_path = below(&request.source_path, relative);
    // With a prefix the keys themselves tell where below the destination each goes.
    if request.source_path_prefix.is_none() {
        narrowed.destination_path = below(&request.destination_path, relative);
    } else {
        // All of them go to one folder, where none may delete what another brought.
        narrowed.delete = false;
    }
    Ok(narrowed)
}

/// A path below `folder`. Only in S3 a folder is told from an object by its last character.
fn below(folder: &str, relative: &str) -> String {
    let path = format!("{}/{relative}", folder.trim_end_matches('/'));
    if path.starts_with("s3://") { path } else { path.trim_end_matches('/').to_owned() }
}

/// Puts each batch into an object of its own.
async fn store(
    worker: &Worker,
    path: &str,
    batches: &[Vec<DataSyncRequest>],
) -> Result<Vec<PreparedRequests>, SyncError> {
    let Location::S3(folder) = Location::parse(path, &worker.job().mounts)? else {
        return Err(SyncError::NoS3Path(path.to_owned()));
    };
    let client = worker.client().await;
    let mut stored = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        let S3Path { bucket, .. } = &folder;
        let key = format!("{}request_{index}.json", folder.folder_key());
        // A request is made of texts and numbers alone, which always have a JSON form.
        let body = serde_json::to_vec(batch).unwrap_or_default();
        let put = client.put_object().bucket(bucket).key(&key).content_type("application/json");
        let put = put.body(ByteStream::from(body)).send().await;
        put.map_err(SyncError::s3("PutObject"))?;
        stored.push(PreparedRequests::Stored(format!("s3://{bucket}/{key}")));
    }
    Ok(stored)
}
