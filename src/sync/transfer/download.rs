//! An object becomes a file: written beside its final name, verified, renamed.

use std::fs;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::rules::{Object, Rules};
use crate::sync::disk::partial::Partial;
use crate::sync::disk::placing::replaceable;
use crate::sync::disk::sink::{BLOCK, Digests, Sink};
use crate::sync::error::{SyncError, blocking};
use crate::sync::outcome::Outcome;
use crate::sync::progress::Passing;
use crate::sync::s3::fingerprint::{Fingerprint, Hasher, Piece, Pieces};
use crate::sync::s3::integrity;
use crate::sync::s3::length;
use crate::sync::s3::wire::{IN_PARTS_FROM, Part, Wire, part_size, parts, persist};

/// An object that is no larger is written and named in one go once all of it has come.
const AT_ONCE: u64 = 256 << 10;
/// How often a large object is brought until its checksum is right.
const WHOLE_TRIES: u32 = 3;
/// The sizes of parts that an object may be transferred in because it was uploaded in them.
const FIT: RangeInclusive<u64> = (1 << 20)..=(64 << 20);

/// Where an object becomes a file.
#[derive(Debug, Clone)]
struct Place {
    /// Where the file lies while it is under way.
    directory: PathBuf,
    target: PathBuf,
    under_way: TaskTrackerToken,
}

/// Brings `object` to `target`, whose directory exists.
pub(in crate::sync) async fn download(
    wire: &Wire,
    rules: &Rules,
    object: &Object,
    target: &Path,
) -> Result<Outcome, SyncError> {
    if is_there(wire, rules, object, target).await? {
        return Ok(Outcome::Skipped { bytes: object.size });
    }
    if rules.dry_run {
        return Ok(Outcome::Transferred { bytes: object.size });
    }
    let directory = match &rules.partial_directory {
        Some(directory) => directory.clone(),
        None => target.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let place = Place { directory, target: target.to_owned(), under_way: wire.tasks.token() };
    let bytes = if object.size < IN_PARTS_FROM {
        persist(|| whole(wire, object, &place)).await?
    } else {
        in_parts_again(wire, object, &place).await?
    };
    Ok(Outcome::Transferred { bytes })
}

/// The rule of design §8: same size, destination not older and, unless `size_only`, same bytes; with
/// `force` never.
async fn is_there(
    wire: &Wire,
    rules: &Rules,
    object: &Object,
    target: &Path,
) -> Result<bool, SyncError> {
    let path = target.to_owned();
    let look = move || {
        let found = fs::symlink_metadata(&path).ok();
        found.map(|there| replaceable(&path, &there).map(|()| there)).transpose()
    };
    let Some(metadata) = wire.disk.run(look).await? else { return Ok(false) };
    if rules.force {
        return Ok(false);
    }
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
        None => Ok(!same_second && !rules.moves),
    }
}

/// Brings a small object in one call. It may have become another since it was listed: what
/// arrives is held against its own answer.
async fn whole(wire: &Wire, object: &Object, place: &Place) -> Result<u64, SyncError> {
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
    let fingerprint = integrity::of_answer(&wire.client().await, &object.path, &answer).await?;
    let mut verification = Verification::of(&answer, fingerprint, object)?;
    let mut body = Body { stream: answer.body, passing: wire.progress.pass() };
    let place = place.clone();
    let found = if verification.expected <= AT_ONCE {
        let chunks = body.all(AT_ONCE).await?;
        verification.take(&chunks);
        let found = verification.verify()?;
        wire.disk.run(move || place.write_at_once(&chunks)).await?;
        found
    } else {
        let partial = blocking(move || place.begin().map(Arc::new)).await?;
        let blocks = partial.is_direct();
        let mut sink = Sink::new(Arc::clone(&partial), 0, blocks, verification);
        while let Some(chunk) = body.next().await? {
            sink.take(chunk).await?;
        }
        let verification = sink.finish().await?;
        blocking(move || {
            let found = verification.verify()?;
            publish(partial, found)?;
            Ok(found)
        })
        .await?
    };
    body.passing.arrived();
    Ok(found)
}

/// What an answer says about the bytes that follow it.
struct Verification {
    expected: u64,
    found: u64,
    /// The SDK holds the body against checksums itself.
    hasher: Option<(Fingerprint, Hasher)>,
}

impl Verification {
    fn of(
        answer: &GetObjectOutput,
        fingerprint: Option<Fingerprint>,
        object: &Object,
    ) -> Result<Self, SyncError> {
        // What has no tag is no object, whoever sent it.
        let etag = answer.e_tag().ok_or(SyncError::Unproven("GetObject"))?;
        let expected = length(answer.content_length()).unwrap_or(object.size);
        if etag == object.etag && expected != object.size {
            return Err(SyncError::Size { expected: object.size, found: expected });
        }
        let hasher = fingerprint.map(|fingerprint| {
            let hasher = fingerprint.hasher();
            (fingerprint, hasher)
        });
        Ok(Self { expected, found: 0, hasher })
    }

    fn take(&mut self, chunks: &[Bytes]) {
        for bytes in chunks {
            self.update(bytes);
        }
    }

    /// The number of bytes, all of which are right.
    fn verify(self) -> Result<u64, SyncError> {
        let Self { expected, found, hasher } = self;
        if found != expected {
            return Err(SyncError::Size { expected, found });
        }
        if let Some((fingerprint, hasher)) = hasher {
            let algorithm = fingerprint.algorithm();
            if !fingerprint.is_of(hasher) {
                return Err(SyncError::Checksum { algorithm });
            }
        }
        Ok(found)
    }
}

impl Digests for Verification {
    fn update(&mut self, bytes: &[u8]) {
        self.found += bytes.len() as u64;
        if let Some((_, hasher)) = &mut self.hasher {
            hasher.update(bytes);
        }
    }
}

impl Place {
    fn begin(&self) -> Result<Partial, SyncError> {
        let mut partial = Partial::create(&self.directory, &self.target)?;
        partial.go_direct();
        partial.hold(self.under_way.clone());
        Ok(partial)
    }

    /// Writes a whole small file.
    fn write_at_once(&self, chunks: &[Bytes]) -> Result<(), SyncError> {
        let partial = Partial::create(&self.directory, &self.target)?;
        let mut file = partial.file();
        for bytes in chunks {
            file.write_all(bytes).map_err(SyncError::file("write", partial.path()))?;
        }
        partial.publish()
    }
}

/// Brings a large object, from the beginning where what arrived is not what S3 has: only the whole
/// has a checksum.
async fn in_parts_again(wire: &Wire, object: &Object, place: &Place) -> Result<u64, SyncError> {
    for _ in 1..WHOLE_TRIES {
        match in_parts(wire, object, place).await {
            Err(error @ SyncError::Checksum { .. }) => {
                tracing::debug!(%error, "bringing an object again");
            }
            ended => return ended,
        }
    }
    in_parts(wire, object, place).await
}

/// Brings a large object in ranges that must all be of the same object, and verifies the whole.
async fn in_parts(wire: &Wire, object: &Object, place: &Place) -> Result<u64, SyncError> {
    let head =
        integrity::head(&wire.client().await, &object.path).await?.ok_or(SyncError::Missing)?;
    if head.e_tag() != Some(&object.etag) {
        return Err(SyncError::Changed);
    }
    let fingerprint = integrity::of_head(&wire.client().await, &object.path, &head).await?;
    let place = place.clone();
    let partial = blocking(move || place.begin().map(Arc::new)).await?;
    // Parts of the sizes their digests are known by, where these are fit to be transferred.
    let pieces = match fingerprint.as_ref().and_then(Fingerprint::pieces) {
        Some(Pieces::Parts { size, .. }) if !is_fit(size) => None,
        pieces => pieces,
    };
    let part = match pieces {
        Some(Pieces::Parts { size, .. }) => size,
        _ => part_size(object.size),
    };
    let mut digests: Vec<(u64, Option<Piece>)> = stream::iter(parts(object.size, part))
        .map(|part| {
            let partial = &partial;
            async move {
                let bring = || range(wire, object, partial, part.clone(), pieces);
                Ok::<_, SyncError>((part.start, persist(bring).await?))
            }
        })
        .buffer_unordered(wire.concurrency())
        .try_collect()
        .await?;
    digests.sort_unstable_by_key(|(start, _)| *start);
    let size = object.size;
    blocking(move || {
        if let Some(fingerprint) = fingerprint {
            let right = if pieces.is_some() {
                fingerprint.is_of_pieces(digests.into_iter().filter_map(|(_, piece)| piece))
            } else {
                partial.cut(size)?;
                let path = partial.path();
                fingerprint.matches_file(path).map_err(SyncError::file("read", path))?
            };
            if !right {
                return Err(SyncError::Checksum { algorithm: fingerprint.algorithm() });
            }
        }
        publish(partial, size)
    })
    .await?;
    Ok(object.size)
}

/// Whether an object may be transferred in parts of `size` bytes because it was uploaded so.
fn is_fit(size: u64) -> bool {
    FIT.contains(&size) && size.is_multiple_of(BLOCK as u64)
}

async fn range(
    wire: &Wire,
    object: &Object,
    partial: &Arc<Partial>,
    part: Part,
    pieces: Option<Pieces>,
) -> Result<Option<Piece>, SyncError> {
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
    let mut body = Body { stream: answer.body, passing: wire.progress.pass() };
    let expected = part.end - part.start;
    let (direct, piece) = (partial.is_direct(), pieces.map(Pieces::begin));
    let mut sink = Sink::new(Arc::clone(partial), part.start, direct, piece);
    let mut found = 0;
    while let Some(chunk) = body.next().await? {
        found += chunk.len() as u64;
        if found > expected {
            return Err(SyncError::Size { expected, found });
        }
        sink.take(chunk).await?;
    }
    if found != expected {
        return Err(SyncError::Size { expected, found });
    }
    let piece = sink.finish().await?;
    body.passing.arrived();
    Ok(piece)
}

impl Digests for Option<Piece> {
    fn update(&mut self, bytes: &[u8]) {
        if let Some(piece) = self {
            piece.update(bytes);
        }
    }
}

/// A body as it arrives.
struct Body<'a> {
    stream: ByteStream,
    passing: Passing<'a>,
}

impl Body<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, SyncError> {
        let chunk = self.stream.try_next().await.map_err(|error| SyncError::Body(error.into()))?;
        self.passing.add(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
        Ok(chunk)
    }

    /// All of it, unless it is longer than it may be.
    async fn all(&mut self, most: u64) -> Result<Vec<Bytes>, SyncError> {
        let (mut chunks, mut found) = (Vec::new(), 0);
        while let Some(chunk) = self.next().await? {
            found += chunk.len() as u64;
            if found > most {
                return Err(SyncError::Size { expected: most, found });
            }
            chunks.push(chunk);
        }
        Ok(chunks)
    }
}

/// Gives a file its name, and its length, once all transfers into it have ended.
fn publish(partial: Arc<Partial>, size: u64) -> Result<(), SyncError> {
    let partial = Arc::try_unwrap(partial).map_err(|_| SyncError::Changed)?;
    partial.cut(size)?;
    partial.publish()
}
