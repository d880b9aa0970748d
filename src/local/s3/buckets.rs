//! The buckets under one directory, and what the answers of the protocol have in common.

use std::io::{self, SeekFrom};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::TryStreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    Checksum, ChecksumMode, ChecksumType, CopySource, ETagCondition, EncodingType,
    ListObjectsV2Input, StreamingBlob,
};
use s3s::{S3Result, s3_error};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use super::digests::Digests;
use super::listing::{Page, Query};
use super::objects::{Object, Store, internal};

/// Keys in listings, where a client asks for it; what S3 leaves as it is, and `/`.
const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');
/// Bytes read from a file at a time.
pub(super) const CHUNK: usize = 1 << 18;
/// S3's largest page.
pub(super) const PAGE: i32 = 1000;

/// The buckets under one directory.
pub(super) struct Buckets {
    pub store: Arc<Store>,
}

impl Buckets {
    pub fn new(store: Store) -> Self {
        Self { store: Arc::new(store) }
    }

    /// Runs file work where it may block.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(internal)?
    }

    pub async fn find(&self, bucket: String, key: String) -> S3Result<Arc<Object>> {
        self.blocking(move |store| store.find(&bucket, &key).map(Arc::new)).await
    }

    pub async fn checksum(
        &self,
        object: &Arc<Object>,
        mode: Option<&ChecksumMode>,
    ) -> S3Result<(Checksum, Option<ChecksumType>)> {
        if mode.is_none_or(|mode| mode.as_str() != ChecksumMode::ENABLED) || object.path.is_dir() {
            return Ok((Checksum::default(), None));
        }
        let object = Arc::clone(object);
        let checksum =
            self.blocking(move |store| store.checksum(&object).map_err(internal)).await?;
        Ok((checksum, Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT))))
    }

    /// Writes a request's body to a temporary file, held against every digest the client gave.
    pub async fn receive(
        &self,
        body: Option<StreamingBlob>,
        digests: Digests,
    ) -> S3Result<NamedTempFile> {
        let mut body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let temporary = self.blocking(|store| store.temporary().map_err(internal)).await?;
        let mut file =
            tokio::fs::File::from_std(temporary.as_file().try_clone().map_err(internal)?);
        file.set_max_buf_size(CHUNK);
        let mut hasher = digests.hasher();
        let mut md5 = Md5::new();
        while let Some(chunk) = body.try_next().await.map_err(internal)? {
            hasher.update(&chunk);
            if digests.md5.is_some() {
                md5.update(&chunk);
            }
            file.write_all(&chunk).await.map_err(internal)?;
        }
        file.flush().await.map_err(internal)?;
        digests.check(&hasher.finalize(), md5.finalize().as_ref())?;
        Ok(temporary)
    }

    pub async fn page(&self, input: &ListObjectsV2Input) -> S3Result<Page> {
        if input.delimiter.as_deref().is_some_and(|delimiter| delimiter != "/") {
            return Err(s3_error!(NotImplemented, "The only delimiter here is /"));
        }
        let bucket = input.bucket.clone();
        let prefix = input.prefix.clone().unwrap_or_default();
        let folders = input.delimiter.is_some();
        let after = match &input.continuation_token {
            Some(token) => Some(key_of(token).ok_or_else(|| s3_error!(InvalidArgument))?),
            None => input.start_after.clone(),
        };
        let limit = usize::try_from(input.max_keys.unwrap_or(PAGE).clamp(0, PAGE)).unwrap_or(0);
        self.blocking(move |store| {
            let directory = store.bucket(&bucket)?;
            if limit == 0 {
                return Ok(Page::default());
            }
            let after = after.unwrap_or_default();
            let query = Query { prefix: &prefix, folders, after: &after, limit };
            Page::read(&directory, &query).map_err(internal)
        })
        .await
    }
}

/// The token that a listing goes on by after `key`, which XML has no way to carry as it is.
pub(super) fn continuation_token(key: String) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key)
}

/// The key that a token stands for.
pub(super) fn key_of(token: &str) -> Option<String> {
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

pub(super) fn key_text(key: String, encoding: Option<&EncodingType>) -> String {
    match encoding {
        Some(encoding) if encoding.as_str() == EncodingType::URL => {
            utf8_percent_encode(&key, KEY).to_string()
        }
        _ => key,
    }
}

pub(super) fn length(size: u64) -> S3Result<i64> {
    i64::try_from(size).map_err(internal)
}

pub(super) fn part_file(
    range: Option<&str>,
    source: &Object,
    target: &mut std::fs::File,
) -> io::Result<u64> {
    use std::io::{Read, Seek};
    let mut file = std::fs::File::open(&source.path)?;
    let bounds = range
        .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
        .and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?)));
    let (first, last) = match (range, bounds) {
        (None, _) => (0, source.size),
        (Some(_), Some((first, last))) if first <= last && last < source.size => (first, last + 1),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such range")),
    };
    file.seek(SeekFrom::Start(first))?;
    io::copy(&mut file.take(last - first), target)
}

pub(super) fn copy_source(source: CopySource) -> S3Result<(String, String)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => Ok((bucket.into(), key.into())),
        _ => Err(s3_error!(NotImplemented, "The only sources of copies here are buckets")),
    }
}

pub(super) fn must_match(condition: Option<&ETagCondition>, object: &Object) -> S3Result<()> {
    match condition.and_then(ETagCondition::as_etag) {
        Some(expected) if !expected.strong_cmp(&object.strong_etag()) => {
            Err(s3_error!(PreconditionFailed))
        }
        _ => Ok(()),
    }
}
