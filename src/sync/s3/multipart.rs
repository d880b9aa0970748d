//! An object made of parts: begun, its parts brought by others, completed or abandoned.

use std::future::Future;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat as Format};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::integrity;
use super::open_uploads::abandon;
use super::wire::{Part, Wire};
use super::{length, time};
use crate::sync::error::SyncError;
use crate::sync::location::S3Path;

/// By how much the clocks of this machine and of S3 may differ: more, and S3 takes no request.
const CLOCKS: Duration = Duration::from_mins(15);

/// A multipart upload that has begun.
#[derive(Debug)]
pub(in crate::sync) struct Multipart<'a> {
    wire: &'a Wire,
    target: &'a S3Path,
    id: String,
    checksum: Option<ChecksumType>,
    began: SystemTime,
}

impl<'a> Multipart<'a> {
    /// Begins one whose parts S3 copies from another object, which `source` and
    /// `tags` describe: what `CopyObject` would take over by itself.
    pub async fn of_copies(
        wire: &'a Wire,
        target: &'a S3Path,
        source: &HeadObjectOutput,
        tags: Option<String>,
    ) -> Result<Self, SyncError> {
        // The header is not always a time, and then nothing expires.
        let expires = source.expires_string.as_deref();
        let expires = expires.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        let call = wire.client().await.create_multipart_upload();
        let call = call
            .set_content_type(source.content_type.clone())
            .set_content_encoding(source.content_encoding.clone())
            .set_content_language(source.content_language.clone())
            .set_content_disposition(source.content_disposition.clone())
            .set_cache_control(source.cache_control.clone())
            .set_website_redirect_location(source.website_redirect_location.clone())
            .set_expires(expires)
            .set_metadata(source.metadata.clone())
            .set_tagging(tags);
        Self::begin(wire, target, call, None).await
    }

    /// Begins one whose parts are sent, each with the checksum that [`Multipart::ALGORITHM`] names.
    pub async fn of_bytes(wire: &'a Wire, target: &'a S3Path) -> Result<Self, SyncError> {
        let whole = ChecksumType::FullObject;
        let call = wire.client().await.create_multipart_upload();
        let call = call.checksum_algorithm(Self::ALGORITHM).checksum_type(whole.clone());
        Self::begin(wire, target, call, Some(whole)).await
    }

    /// What S3 verifies sent parts, and the whole, by.
    pub const ALGORITHM: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

    async fn begin(
        wire: &'a Wire,
        target: &'a S3Path,
        call: CreateMultipartUploadFluentBuilder,
        checksum: Option<ChecksumType>,
    ) -> Result<Self, SyncError> {
        let began = SystemTime::now();
        let created = call
            .bucket(&target.bucket)
            .key(&target.key)
            .send()
            .await
            .map_err(SyncError::s3("CreateMultipartUpload"))?;
        let id = created.upload_id().ok_or(SyncError::Unproven("CreateMultipartUpload"))?;
        let id = id.to_owned();
        wire.uploads.begun(&id, target);
        Ok(Self { wire, target, id, checksum, began })
    }

    /// Its id at S3.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Brings every part by `bring`, which is given its number, each under a permit of its own,
    /// and completes the object once `verify` agrees. An upload that fails leaves no object and
    /// no parts that S3 would charge for.
    pub async fn carry_out<F: Future<Output = Result<CompletedPart, SyncError>>>(
        self,
        parts: impl Iterator<Item = Part>,
        bring: impl Fn(i32, Part) -> F,
        verify: impl FnOnce() -> Result<(), SyncError>,
    ) -> Result<(), SyncError> {
        let ended = self.bring_and_complete(parts, bring, verify).await;
        if ended.is_err() {
            abandon(&self.wire.client().await, self.target, &self.id).await;
        }
        self.wire.uploads.ended(&self.id);
        ended
    }

    async fn bring_and_complete<F: Future<Output = Result<CompletedPart, SyncError>>>(
        &self,
        parts: impl Iterator<Item = Part>,
        bring: impl Fn(i32, Part) -> F,
        verify: impl FnOnce() -> Result<(), SyncError>,
    ) -> Result<(), SyncError> {
        let (bring, parts) = (&bring, parts.collect::<Vec<_>>());
        let whole = parts.clone();
        let mut brought: Vec<CompletedPart> = stream::iter((1..).zip(parts))
            .map(|(number, part)| async move {
                let _permit = self.wire.permit().await;
                bring(number, part).await
            })
            .buffer_unordered(self.wire.concurrency())
            .try_collect()
            .await?;
        brought.sort_by_key(CompletedPart::part_number);
        let told = integrity::of_parts(&brought, &whole);
        verify()?;
        let completed = self
            .wire
            .client()
            .await
            .complete_multipart_upload()
            .bucket(&self.target.bucket)
            .key(&self.target.key)
            .upload_id(&self.id)
            .set_checksum_type(self.checksum.clone())
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(brought)).build())
            .send()
            .await
            .map_err(SyncError::s3("CompleteMultipartUpload"));
        let completed = completed.and_then(|completed| {
            completed.e_tag().map(|_| ()).ok_or(SyncError::Unproven("CompleteMultipartUpload"))
        });
        match completed {
            // Tried again after an answer that was lost, it may have been done the first time.
            Err(error)
                if (error.is_unknown_upload() || matches!(error, SyncError::Unproven(_)))
                    && self.is_complete(&whole, told).await =>
            {
                Ok(())
            }
            completed => completed,
        }
    }

    /// Whether the object is what these parts make: by the checksum of the whole, `told`, where
    /// their own are known, else by its size, its tag and its age.
    async fn is_complete(&self, parts: &[Part], told: Option<String>) -> bool {
        let head = integrity::head(&self.wire.client().await, self.target).await;
        let Ok(Some(head)) = head else { return false };
        if let (Some(told), Some(found)) = (told, head.checksum_crc64_nvme()) {
            return told == found;
        }
        let count = format!("-{}", parts.len());
        let is_of_parts = head.e_tag().is_some_and(|tag| tag.trim_matches('"').ends_with(&count));
        let found = length(head.content_length());
        let size = parts.last().map_or(0, |part| part.end);
        // Clocks may differ; an older object would have been skipped or be of another size.
        let is_new = time(head.last_modified()) + CLOCKS >= self.began;
        is_of_parts && found == Some(size) && is_new
    }
}
