//! Copies that do not leave their side: from S3 to S3 by S3 itself, from disk to disk.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_sdk_s3::types::CompletedPart;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::rules::{Object, Rules};
use crate::sync::disk::partial::Partial;
use crate::sync::disk::placing::replaceable;
use crate::sync::error::{SyncError, blocking};
use crate::sync::location::S3Path;
use crate::sync::outcome::Outcome;
use crate::sync::s3::integrity;
use crate::sync::s3::multipart::Multipart;
use crate::sync::s3::wire::{Part, Wire, part_size, parts, persist};
use crate::sync::s3::{length, time};
use crate::telemetry::chain;

/// `CopyObject` takes objects up to this size.
const IN_ONE_CALL: u64 = 5 << 30;
/// A part that S3 copies itself costs one call whatever its size.
const PART: u64 = 512 << 20;
const SOURCE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Has S3 copy `object` to `target`.
pub(in crate::sync) async fn in_s3(
    wire: &Wire,
    rules: &Rules,
    object: &Object,
    target: &S3Path,
) -> Result<Outcome, SyncError> {
    let permit = wire.permit().await;
    if !rules.force && is_there(wire, rules, object, target).await? {
        return Ok(Outcome::Skipped { bytes: object.size });
    }
    if rules.dry_run {
        return Ok(Outcome::Transferred { bytes: object.size });
    }
    let source = format!("{}/{}", object.path.bucket, object.path.key);
    let source = utf8_percent_encode(&source, SOURCE).to_string();
    if object.size <= IN_ONE_CALL {
        persist(|| copy(wire, object, &source, target)).await?;
    } else {
        // Its parts take one each: holding on to this as well would leave none for the last of
        // as many objects as there are permits.
        drop(permit);
        in_parts(wire, object, &source, target).await?;
    }
    wire.progress.add_bytes(object.size);
    Ok(Outcome::Transferred { bytes: object.size })
}

async fn copy(
    wire: &Wire,
    object: &Object,
    source: &str,
    target: &S3Path,
) -> Result<(), SyncError> {
    let call = wire.client().await.copy_object().copy_source(source);
    let call = call.copy_source_if_match(&object.etag).bucket(&target.bucket).key(&target.key);
    let copied = call.send().await.map_err(SyncError::s3("CopyObject"))?;
    let etag = copied.copy_object_result().and_then(|copied| copied.e_tag());
    etag.map(|_| ()).ok_or(SyncError::Unproven("CopyObject"))
}

async fn is_there(
    wire: &Wire,
    rules: &Rules,
    object: &Object,
    target: &S3Path,
) -> Result<bool, SyncError> {
    let Some(there) = integrity::head(&wire.client().await, target).await? else {
        return Ok(false);
    };
    let copied = time(there.last_modified());
    if length(there.content_length()) != Some(object.size) || copied < object.modified {
        return Ok(false);
    }
    // S3 tells whole seconds: a copy of the same one may be older, and only its bytes tell.
    let newer = copied > object.modified;
    if rules.size_only && newer || there.e_tag() == Some(&object.etag) {
        return Ok(true);
    }
    let Some(here) = integrity::head(&wire.client().await, &object.path).await? else {
        return Ok(false);
    };
    let here = integrity::of_head(&wire.client().await, &object.path, &here).await?;
    let there = integrity::of_head(&wire.client().await, target, &there).await?;
    match (here, there) {
        (Some(here), Some(there)) if here.is_comparable(&there) => Ok(here == there),
        // A copy need not be known by what its source is known by.
        _ => Ok(newer && !rules.moves),
    }
}

async fn in_parts(
    wire: &Wire,
    object: &Object,
    source: &str,
    target: &S3Path,
) -> Result<(), SyncError> {
    let head = integrity::head(&wire.client().await, &object.path).await?;
    let head = head.ok_or(SyncError::Missing)?;
    let tags = tags(wire, &object.path).await?;
    let upload = Multipart::of_copies(wire, target, &head, tags).await?;
    let id = upload.id().to_owned();
    upload
        .carry_out(
            parts(object.size, part_size(object.size).max(PART)),
            |number, part| {
                let id = &id;
                let copy =
                    move || copy_part(wire, object, source, target, id, number, part.clone());
                async move { persist(copy).await }
            },
            || Ok(()),
        )
        .await?;
    let found = integrity::head(&wire.client().await, target).await?;
    let found = found.and_then(|head| length(head.content_length())).unwrap_or(0);
    if found == object.size {
        Ok(())
    } else {
        Err(SyncError::Size { expected: object.size, found })
    }
}

/// The tags of an object, as a header carries them; none where they may not be read.
async fn tags(wire: &Wire, path: &S3Path) -> Result<Option<String>, SyncError> {
    let call = wire.client().await.get_object_tagging().bucket(&path.bucket).key(&path.key);
    match call.send().await.map_err(SyncError::s3("GetObjectTagging")) {
        Ok(answer) => {
            let mut tags = url::form_urlencoded::Serializer::new(String::new());
            for tag in answer.tag_set() {
                tags.append_pair(tag.key(), tag.value());
            }
            Ok(Some(tags.finish()).filter(|tags| !tags.is_empty()))
        }
        Err(error @ SyncError::S3(_)) => {
            tracing::warn!(%path, error = %chain(&error), "copied without its tags");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn copy_part(
    wire: &Wire,
    object: &Object,
    source: &str,
    target: &S3Path,
    upload_id: &str,
    number: i32,
    part: Part,
) -> Result<CompletedPart, SyncError> {
    let copied = wire
        .client()
        .await
        .upload_part_copy()
        .copy_source(source)
        .copy_source_if_match(&object.etag)
        .copy_source_range(format!("bytes={}-{}", part.start, part.end - 1))
        .bucket(&target.bucket)
        .key(&target.key)
        .upload_id(upload_id)
        .part_number(number)
        .send()
        .await
        .map_err(SyncError::s3("UploadPartCopy"))?;
    let etag = copied.copy_part_result().and_then(|part| part.e_tag());
    let etag = etag.ok_or(SyncError::Unproven("UploadPartCopy"))?;
    Ok(CompletedPart::builder().part_number(number).e_tag(etag).build())
}

/// Copies the file at `source` to `target`, whose directory exists.
pub(in crate::sync) async fn on_disk(
    rules: &Rules,
    source: PathBuf,
    target: PathBuf,
    under_way: TaskTrackerToken,
) -> Result<Outcome, SyncError> {
    let Rules { force, size_only, dry_run, .. } = *rules;
    let directory = rules.partial_directory.clone();
    blocking(move || {
        let before = fs::metadata(&source).map_err(SyncError::file("look at", &source))?;
        let bytes = before.len();
        let there = fs::symlink_metadata(&target).ok();
        if let Some(there) = &there {
            replaceable(&target, there)?;
        }
        if !force && is_copied(&source, &before, &target, there.as_ref(), size_only)? {
            return Ok(Outcome::Skipped { bytes });
        }
        if dry_run {
            return Ok(Outcome::Transferred { bytes });
        }
        let directory =
            directory.or_else(|| target.parent().map(Path::to_owned)).unwrap_or_default();
        let mut partial = Partial::create(&directory, &target)?;
        partial.hold(under_way);
        let mut from = File::open(&source).map_err(SyncError::file("read", &source))?;
        let found = io::copy(&mut from, &mut partial.file())
            .map_err(SyncError::file("write", partial.path()))?;
        let after = fs::metadata(&source).map_err(SyncError::file("look at", &source))?;
        if found != bytes || after.modified().ok() != before.modified().ok() {
            return Err(SyncError::Changed);
        }
        // A program stays one. Whose rights it runs with is not copied.
        let mode = Permissions::from_mode(before.permissions().mode() & 0o777);
        partial.file().set_permissions(mode).map_err(SyncError::file("write", partial.path()))?;
        partial.publish()?;
        Ok(Outcome::Transferred { bytes })
    })
    .await
}

fn is_copied(
    source: &Path,
    before: &fs::Metadata,
    target: &Path,
    there: Option<&fs::Metadata>,
    size_only: bool,
) -> Result<bool, SyncError> {
    let Some(there) = there else { return Ok(false) };
    let not_older = there.modified().ok() >= before.modified().ok();
    if !there.is_file() || there.len() != before.len() || !not_older {
        return Ok(false);
    }
    if size_only {
        return Ok(true);
    }
    let read = || -> io::Result<bool> { same_bytes(File::open(source)?, File::open(target)?) };
    read().map_err(SyncError::file("read", target))
}

fn same_bytes(one: File, other: File) -> io::Result<bool> {
    use std::io::{BufRead, BufReader};
    let (mut one, mut other) =
        (BufReader::with_capacity(1 << 18, one), BufReader::with_capacity(1 << 18, other));
    loop {
        let (here, there) = (one.fill_buf()?, other.fill_buf()?);
        let length = here.len().min(there.len());
        if length == 0 {
            return Ok(here.is_empty() && there.is_empty());
        }
        if here[..length] != there[..length] {
            return Ok(false);
        }
        one.consume(length);
        other.consume(length);
    }
}
