//! An object becomes a file: written beside its final name, verified, renamed.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::error::{SyncError, blocking};
use super::integrity::{self, Fingerprint};
use super::outcome::Outcome;
use super::partial::Partial;
use super::rules::{Object, Rules};
use super::wire::{IN_PARTS_FROM, Part, Wire, parts, persist};

/// Bytes gathered before they are written.
const WRITE: usize = 1 << 20;

/// Brings `object` to `target`, whose directory exists.
pub(super) async fn download(
    wire: &Wire,
    rules: &Rules,
    object: &Object,
    target: &Path,
) -> Result<Outcome, SyncError> {
    if !rules.force && is_there(wire, rules, object, target).await? {
        return Ok(Outcome::Skipped { bytes: object.size });
    }
    if target.is_dir() {
        let error = io::Error::from(io::ErrorKind::IsADirectory);
        return Err(SyncError::file("replace", target)(error));
    }
    let directory = match &rules.partial_directory {
        Some(directory) => directory.clone(),
        None => target.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let partial = {
        let target = target.to_owned();
        Arc::new(blocking(move || Partial::create(&directory, &target)).await?)
    };
    let bytes = if object.size < IN_PARTS_FROM {
        persist(|| whole(wire, object, &partial)).await?
    } else {
        in_parts(wire, object, &partial).await?;
        object.size
    };
    let target = target.to_owned();
    // All transfers into it have ended; this is the only owner left.
    let partial = Arc::try_unwrap(partial).map_err(|_| SyncError::Changed)?;
    blocking(move || partial.publish(&target)).await?;
    Ok(Outcome::Transferred { bytes })
}

/// The rule of design §8: same size, destination not older and, unless `size_only`, same bytes.
async fn is_there(
    wire: &Wire,
    rules: &Rules,
    object: &Object,
    target: &Path,
) -> Result<bool, SyncError> {
    let Ok(metadata) = fs::symlink_metadata(target) else { return Ok(false) };
    let Ok(modified) = metadata.modified() else { return Ok(false) };
    if !metadata.is_file() || metadata.len() != object.size || modified < object.modified {
        return Ok(false);
    }
    // S3 tells whole seconds: an object written in the same one may be newer than the file, and
    // only its bytes tell.
    let same_second = modified < object.modified + Duration::from_secs(1);
    if rules.size_only && !same_second {
        return Ok(true);
    }
    let fingerprint = {
        let _permit = wire.permit().await;
        let head = integrity::head(&wire.client().await, &object.path).await?;
        let Some(head) = head else { return Ok(false) };
        if head.e_tag() != Some(&object.etag) {
            return Ok(false);
        }
        integrity::of_head(&wire.client().await, &object.path, &head).await?
    };
    match fingerprint {
        Some(fingerprint) => fingerprint.matches(target.to_owned()).await,
        // S3 has nothing to compare; size and time are what any tool goes by then.
        None => Ok(!same_second),
    }
}

/// Brings a small object in one call. It may have become another since it was listed: what
/// arrives is held against its own answer.
async fn whole(wire: &Wire, object: &Object, partial: &Arc<Partial>) -> Result<u64, SyncError> {
    let _permit = wire.permit().await;
    let answer = wire
        .client()
        .await
        .get_object()
        .bucket(&object.path.bucket)
        .key(&object.path.key)
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .map_err(SyncError::s3("GetObject"))?;
    let expected = answer.content_length().and_then(|length| u64::try_from(length).ok());
    let fingerprint = integrity::of_answer(&answer);
    let expected = expected.unwrap_or(object.size);
    let found = receive(wire, answer.body, partial, 0).await?;
    if found != expected {
        return Err(SyncError::Size { expected, found });
    }
    let file = Arc::clone(partial);
    blocking(move || {
        // An earlier try may have written more.
        file.file().set_len(found).map_err(SyncError::file("write", file.path()))?;
        verify(fingerprint.as_ref(), file.path())
    })
    .await?;
    Ok(found)
}

/// Brings a large object in ranges that must all be of the same object, then verifies the whole.
async fn in_parts(wire: &Wire, object: &Object, partial: &Arc<Partial>) -> Result<(), SyncError> {
    let head =
        integrity::head(&wire.client().await, &object.path).await?.ok_or(SyncError::Missing)?;
    if head.e_tag() != Some(&object.etag) {
        return Err(SyncError::Changed);
    }
    let fingerprint = integrity::of_head(&wire.client().await, &object.path, &head).await?;
    let file = Arc::clone(partial);
    let size = object.size;
    blocking(move || file.file().set_len(size).map_err(SyncError::file("write", file.path())))
        .await?;
    stream::iter(parts(size, 0))
        .map(|part| async move { persist(|| range(wire, object, partial, part.clone())).await })
        .buffer_unordered(wire.concurrency())
        .try_collect::<()>()
        .await?;
    let file = Arc::clone(partial);
    blocking(move || verify(fingerprint.as_ref(), file.path())).await
}

async fn range(
    wire: &Wire,
    object: &Object,
    partial: &Arc<Partial>,
    part: Part,
) -> Result<(), SyncError> {
    let _permit = wire.permit().await;
    let answer = wire
        .client()
        .await
        .get_object()
        .bucket(&object.path.bucket)
        .key(&object.path.key)
        .if_match(&object.etag)
        .range(format!("bytes={}-{}", part.start, part.end - 1))
        .send()
        .await
        .map_err(SyncError::s3("GetObject"))?;
    let found = receive(wire, answer.body, partial, part.start).await?;
    let expected = part.end - part.start;
    if found == expected { Ok(()) } else { Err(SyncError::Size { expected, found }) }
}

/// Writes a body from `offset` on and answers its length.
async fn receive(
    wire: &Wire,
    mut body: ByteStream,
    partial: &Arc<Partial>,
    offset: u64,
) -> Result<u64, SyncError> {
    let mut gathered = BytesMut::new();
    let mut written = 0;
    loop {
        let chunk = body.try_next().await.map_err(|error| SyncError::Body(Box::new(error)))?;
        let ended = chunk.is_none();
        gathered.extend_from_slice(&chunk.unwrap_or_default());
        if gathered.len() >= WRITE || (ended && !gathered.is_empty()) {
            let bytes = gathered.split().freeze();
            let length = bytes.len() as u64;
            write(Arc::clone(partial), bytes, offset + written).await?;
            wire.progress.add_bytes(length);
            written += length;
        }
        if ended {
            return Ok(written);
        }
    }
}

async fn write(partial: Arc<Partial>, bytes: Bytes, offset: u64) -> Result<(), SyncError> {
    blocking(move || {
        let file = partial.file();
        file.write_all_at(&bytes, offset).map_err(SyncError::file("write", partial.path()))
    })
    .await
}

fn verify(fingerprint: Option<&Fingerprint>, path: &Path) -> Result<(), SyncError> {
    let Some(fingerprint) = fingerprint else { return Ok(()) };
    if fingerprint.matches_file(path).map_err(SyncError::file("read", path))? {
        Ok(())
    } else {
        Err(SyncError::Checksum { algorithm: fingerprint.algorithm() })
    }
}
