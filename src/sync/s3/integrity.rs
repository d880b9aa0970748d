//! What S3 says the bytes of an object are known by.
//!
//! S3 gives a checksum of the whole object, or of its parts' checksums, where the uploader chose one
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>); else
//! the `ETag` is an MD5 of the whole, or of the parts' MD5s, unless KMS encrypts the object.

use std::ops::Range;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType, CompletedPart, ServerSideEncryption};
use aws_smithy_checksums::{Checksum, ChecksumAlgorithm};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crc_fast::{CrcAlgorithm, checksum_combine};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::fingerprint::{Fingerprint, Kind, PartSizes};
use super::length;
use crate::sync::error::SyncError;
use crate::sync::location::S3Path;

/// Parts that are asked about at once.
const ASKED: usize = 25;

/// What an answer of S3 says about an object's bytes.
struct Told<'a> {
    checksums: [(ChecksumAlgorithm, Option<&'a str>); 5],
    checksum_type: Option<&'a ChecksumType>,
    etag: Option<&'a str>,
    encryption: Option<&'a ServerSideEncryption>,
    customer_key: bool,
    length: Option<u64>,
}

/// A digest of the digests of so many parts.
struct OfParts {
    kind: Kind,
    expected: Vec<u8>,
    count: u64,
}

impl Told<'_> {
    /// What the whole is known by.
    fn whole(&self) -> Option<Fingerprint> {
        let of = |kind, expected| Fingerprint { kind, expected, parts: None };
        let checksum = self.checksums.iter().find_map(|(algorithm, value)| {
            let value = value.filter(|value| !self.is_composite(*algorithm, value))?;
            Some(of(Kind::Checksum(*algorithm), decode(*algorithm, value)?))
        });
        let md5 = || {
            let (md5, count) = self.md5_etag()?;
            count.is_none().then(|| of(Kind::Md5, md5))
        };
        checksum.or_else(md5)
    }

    /// What the parts are known by, where the whole is not.
    fn parts(&self) -> Option<OfParts> {
        if let Some((expected, Some(count))) = self.md5_etag() {
            return Some(OfParts { kind: Kind::Md5, expected, count });
        }
        self.checksums.iter().find_map(|(algorithm, value)| {
            let value = value.filter(|value| self.is_composite(*algorithm, value))?;
            let (value, count) = value
                .split_once('-')
                .map_or((value, None), |(value, count)| (value, count.parse().ok()));
            let kind = Kind::Checksum(*algorithm);
            let expected = decode(*algorithm, value)?;
            Some(OfParts { kind, expected, count: count.or_else(|| self.count())? })
        })
    }

    /// Whether a checksum is one of checksums. Its type says so, or else the number of parts after
    /// it; not all servers tell these of what was uploaded in parts.
    fn is_composite(&self, algorithm: ChecksumAlgorithm, value: &str) -> bool {
        match self.checksum_type {
            Some(ChecksumType::FullObject) => false,
            Some(ChecksumType::Composite) => true,
            _ if value.contains('-') => true,
            _ => algorithm != ChecksumAlgorithm::Crc64Nvme && self.count().is_some(),
        }
    }

    /// The number of parts it was uploaded in, where that is known.
    fn count(&self) -> Option<u64> {
        self.etag?.trim_matches('"').split_once('-')?.1.parse().ok()
    }

    /// The `ETag`, where it is made of MD5s, and of how many where of more than one.
    fn md5_etag(&self) -> Option<(Vec<u8>, Option<u64>)> {
        let opaque = self.customer_key
            || self
                .encryption
                .is_some_and(|encryption| *encryption != ServerSideEncryption::Aes256);
        let md5 = self.etag?.trim_matches('"').split('-').next()?;
        let md5 = hex::decode(md5).ok().filter(|md5| md5.len() == 16)?;
        (!opaque).then(|| (md5, self.count()))
    }
}

/// The bytes of a checksum; none where it is not as long as its algorithm's are, and so something
/// else that a server took for it.
fn decode(algorithm: ChecksumAlgorithm, value: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_STANDARD.decode(value).ok()?;
    let length = Checksum::size(algorithm.into_impl().as_ref());
    (bytes.len() as u64 == length).then_some(bytes)
}

macro_rules! told {
    ($answer:expr) => {
        Told {
            checksums: [
                (ChecksumAlgorithm::Crc64Nvme, $answer.checksum_crc64_nvme()),
                (ChecksumAlgorithm::Crc32c, $answer.checksum_crc32_c()),
                (ChecksumAlgorithm::Crc32, $answer.checksum_crc32()),
                (ChecksumAlgorithm::Sha256, $answer.checksum_sha256()),
                (ChecksumAlgorithm::Sha1, $answer.checksum_sha1()),
            ],
            checksum_type: $answer.checksum_type(),
            etag: $answer.e_tag(),
            encryption: $answer.server_side_encryption(),
            customer_key: $answer.sse_customer_algorithm().is_some(),
            length: length($answer.content_length()),
        }
    };
}

/// The fingerprint of a whole object's answer, where the SDK does not hold the body against it
/// itself, as it does with checksums of the whole.
pub(in crate::sync) async fn of_answer(
    client: &Client,
    path: &S3Path,
    answer: &GetObjectOutput,
) -> Result<Option<Fingerprint>, SyncError> {
    let fingerprint = of_told(client, path, told!(answer)).await?;
    Ok(fingerprint.filter(|found| found.kind == Kind::Md5 || found.parts.is_some()))
}

/// The fingerprint of an object whose `head` is known, or none where S3 gives nothing to compare.
pub(in crate::sync) async fn of_head(
    client: &Client,
    path: &S3Path,
    head: &HeadObjectOutput,
) -> Result<Option<Fingerprint>, SyncError> {
    of_told(client, path, told!(head)).await
}

/// Asks for the sizes of parts where only their digests are known.
async fn of_told(
    client: &Client,
    path: &S3Path,
    told: Told<'_>,
) -> Result<Option<Fingerprint>, SyncError> {
    if let Some(whole) = told.whole() {
        return Ok(Some(whole));
    }
    let (Some(OfParts { kind, expected, count }), Some(length)) = (told.parts(), told.length)
    else {
        return Ok(None);
    };
    let parts = part_sizes(client, path, count, length).await?;
    Ok(parts.map(|parts| Fingerprint { kind, expected, parts: Some(parts) }))
}

/// The sizes of the `count` parts of an object of `whole` bytes; none where S3 does not tell them.
/// What lies between a first and a last part of even sizes is taken to be even too.
async fn part_sizes(
    client: &Client,
    path: &S3Path,
    count: u64,
    whole: u64,
) -> Result<Option<PartSizes>, SyncError> {
    if count <= 1 {
        return Ok((count == 1).then_some(PartSizes::Even(whole)));
    }
    let Some(first @ 1..) = part_size(client, path, 1).await? else { return Ok(None) };
    let last_if_even = first.checked_mul(count - 1).and_then(|before| whole.checked_sub(before));
    if let Some(last @ 1..) = last_if_even.filter(|last| *last <= first)
        && (count == 2 || part_size(client, path, count).await? == Some(last))
    {
        return Ok(Some(PartSizes::Even(first)));
    }
    let sizes: Vec<_> = stream::iter(1..=count)
        .map(|number| part_size(client, path, number))
        .buffered(ASKED)
        .try_collect()
        .await?;
    let sizes: Option<Vec<u64>> = sizes.into_iter().collect();
    // A server that does not know of parts tells the whole of each.
    let sizes = sizes.filter(|sizes| sizes.iter().sum::<u64>() == whole && !sizes.contains(&0));
    Ok(sizes.map(PartSizes::Uneven))
}

/// The bytes of a part. The object may be another by now: its parts then do not fit the digest.
async fn part_size(client: &Client, path: &S3Path, number: u64) -> Result<Option<u64>, SyncError> {
    let Ok(number) = i32::try_from(number) else { return Ok(None) };
    let call = client.head_object().bucket(&path.bucket).key(&path.key).part_number(number);
    let part = call.send().await.map_err(SyncError::s3("HeadObject"))?;
    Ok(length(part.content_length()))
}

/// The CRC64NVME of the whole, base64, of parts that were sent with theirs.
pub(in crate::sync) fn of_parts(sent: &[CompletedPart], parts: &[Range<u64>]) -> Option<String> {
    let mut whole = 0;
    for (sent, part) in sent.iter().zip(parts) {
        let told = BASE64_STANDARD.decode(sent.checksum_crc64_nvme()?).ok()?;
        let told = u64::from_be_bytes(told.try_into().ok()?);
        let length = part.end - part.start;
        whole = if part.start == 0 {
            told
        } else {
            checksum_combine(CrcAlgorithm::Crc64Nvme, whole, told, length)
        };
    }
    Some(BASE64_STANDARD.encode(whole.to_be_bytes()))
}

/// What S3 knows of an object, checksums included; none where there is no such object.
pub(in crate::sync) async fn head(
    client: &Client,
    path: &S3Path,
) -> Result<Option<HeadObjectOutput>, SyncError> {
    let answer = client
        .head_object()
        .bucket(&path.bucket)
        .key(&path.key)
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .map_err(SyncError::s3("HeadObject"));
    match answer {
        Ok(head) => Ok(Some(head)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
