//! A file becomes an object: in one call or in parts, each with a checksum that S3 verifies.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;

use super::rules::Rules;
use crate::sync::error::{SyncError, blocking};
use crate::sync::location::S3Path;
use crate::sync::outcome::Outcome;
use crate::sync::s3::integrity;
use crate::sync::s3::multipart::Multipart;
use crate::sync::s3::wire::{IN_PARTS_FROM, Part, Wire, part_size, parts, persist};
use crate::sync::s3::{length, time};

/// Bytes read from a large file at a time.
const READ: usize = 1 << 18;

/// Takes the file at `source` to `target`. `look` is false where the destination is known to be
/// empty, so that there is nothing to skip.
pub(in crate::sync) async fn upload(
    wire: &Wire,
    rules: &Rules,
    source: &Path,
    target: &S3Path,
    look: bool,
) -> Result<Outcome, SyncError> {
    let path = source.to_owned();
    let metadata = move || fs::metadata(&path).map_err(SyncError::file("look at", &path));
    let before = wire.disk.run(metadata).await?;
    let bytes = before.len();
    if look && !rules.force && is_there(wire, rules, source, &before, target).await? {
        return Ok(Outcome::Skipped { bytes });
    }
    if rules.dry_run {
        return Ok(Outcome::Transferred { bytes });
    }
    if bytes < IN_PARTS_FROM {
        whole(wire, source, bytes, target).await?;
    } else {
        in_parts(wire, source, &before, target).await?;
    }
    Ok(Outcome::Transferred { bytes })
}

/// Whether the destination has the same size, is not older and, unless `size_only`, has the same
/// bytes. S3 tells times to the second.
async fn is_there(
    wire: &Wire,
    rules: &Rules,
    source: &Path,
    file: &Metadata,
    target: &S3Path,
) -> Result<bool, SyncError> {
    let (fingerprint, same_second) = {
        let _permit = wire.permit().await;
        let Some(head) = integrity::head(&wire.client().await, target).await? else {
            return Ok(false);
        };
        let modified = file.modified().map_err(SyncError::file("look at", source))?;
        let uploaded = time(head.last_modified());
        if length(head.content_length()) != Some(file.len()) || uploaded < to_second(modified) {
            return Ok(false);
        }
        // S3 tells whole seconds: what was written in the same one may be older than the file, and
        // only its bytes tell.
        let same_second = uploaded == to_second(modified);
        if rules.size_only && !same_second {
            return Ok(true);
        }
        (integrity::of_head(&wire.client().await, target, &head).await?, same_second)
    };
    match fingerprint {
        Some(fingerprint) => fingerprint.matches(source.to_owned()).await,
        None => Ok(!same_second && !rules.moves),
    }
}

fn to_second(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())
}

/// Sends a file in one call. What is sent is one reading of it, known to be whole before any of it
/// leaves: half of an old file and half of a new one never have the object's name.
async fn whole(wire: &Wire, source: &Path, bytes: u64, target: &S3Path) -> Result<(), SyncError> {
    let _memory = wire.memory(bytes).await;
    let path = source.to_owned();
    let read = move || {
        let look = || fs::metadata(&path).map_err(SyncError::file("look at", &path));
        let before = look()?;
        let content = fs::read(&path).map_err(SyncError::file("read", &path))?;
        let is_whole = content.len() as u64 == before.len();
        if is_whole && is_same(&before, &look()?) { Ok(content) } else { Err(SyncError::Changed) }
    };
    let content = Bytes::from(blocking(read).await?);
    persist(|| put(wire, content.clone(), target)).await?;
    wire.progress.add_bytes(bytes);
    Ok(())
}

async fn put(wire: &Wire, content: Bytes, target: &S3Path) -> Result<(), SyncError> {
    let _permit = wire.permit().await;
    let put = wire
        .client()
        .await
        .put_object()
        .bucket(&target.bucket)
        .key(&target.key)
        .checksum_algorithm(Multipart::ALGORITHM)
        .body(content.into())
        .customize()
        // The checksum is signed and S3 verifies it: a second digest of the bytes says no more.
        .disable_payload_signing()
        .send()
        .await
        .map_err(SyncError::s3("PutObject"))?;
    put.e_tag().map(|_| ()).ok_or(SyncError::Unproven("PutObject"))
}

async fn in_parts(
    wire: &Wire,
    source: &Path,
    before: &Metadata,
    target: &S3Path,
) -> Result<(), SyncError> {
    let upload = Multipart::of_bytes(wire, target).await?;
    let id = upload.id().to_owned();
    upload
        .carry_out(
            parts(before.len(), part_size(before.len())),
            |number, part| {
                let id = &id;
                async move {
                    persist(|| send_part(wire, source, target, id, number, part.clone())).await
                }
            },
            || unchanged(source, before),
        )
        .await
}

async fn send_part(
    wire: &Wire,
    source: &Path,
    target: &S3Path,
    upload_id: &str,
    number: i32,
    part: Part,
) -> Result<CompletedPart, SyncError> {
    let sent = wire
        .client()
        .await
        .upload_part()
        .bucket(&target.bucket)
        .key(&target.key)
        .upload_id(upload_id)
        .part_number(number)
        .checksum_algorithm(Multipart::ALGORITHM)
        .body(part_body(source, &part).await?)
        .send()
        .await
        .map_err(SyncError::s3("UploadPart"))?;
    let etag = sent.e_tag().ok_or(SyncError::Unproven("UploadPart"))?;
    wire.progress.add_bytes(part.end - part.start);
    Ok(CompletedPart::builder()
        .part_number(number)
        .e_tag(etag)
        .set_checksum_crc64_nvme(sent.checksum_crc64_nvme().map(str::to_owned))
        .build())
}

/// A range of the file as a body that can be sent again.
async fn part_body(source: &Path, part: &Part) -> Result<ByteStream, SyncError> {
    ByteStream::read_from()
        .path(source)
        .offset(part.start)
        .length(Length::Exact(part.end - part.start))
        .buffer_size(READ)
        .build()
        .await
        .map_err(|error| SyncError::file("read", source)(std::io::Error::other(error)))
}

/// A file that was written to meanwhile may have been read half old, half new.
fn unchanged(source: &Path, before: &Metadata) -> Result<(), SyncError> {
    let after = fs::metadata(source).map_err(SyncError::file("look at", source))?;
    if is_same(before, &after) { Ok(()) } else { Err(SyncError::Changed) }
}

fn is_same(before: &Metadata, after: &Metadata) -> bool {
    after.modified().ok() == before.modified().ok() && after.len() == before.len()
}
