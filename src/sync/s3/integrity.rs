//! Whether a file holds the bytes S3 says an object has.
//!
//! S3 gives a checksum of the whole object where the uploader chose one
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>); else
//! the `ETag` is an MD5 of the whole, or of the parts' MD5s, unless KMS encrypts the object.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, CompletedPart, ServerSideEncryption};
use aws_smithy_checksums::ChecksumAlgorithm;
use aws_smithy_checksums::http::HttpChecksum;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crc_fast::{CrcAlgorithm, Digest, checksum_combine};
use md5::{Digest as _, Md5};

use super::length;
use crate::sync::error::{SyncError, blocking};
use crate::sync::location::S3Path;

/// Bytes read from a file at a time.
const CHUNK: usize = 1 << 20;

/// What a file with the object's bytes must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sync) enum Fingerprint {
    /// A checksum of the whole, base64.
    Whole(ChecksumAlgorithm, String),
    /// The MD5 of the whole, hex.
    Md5(String),
    /// The MD5 of the MD5s of parts of this many bytes, hex, then `-` and their number.
    Parts(String, u64),
}

impl Fingerprint {
    /// The name a failure gives it.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Whole(algorithm, _) => algorithm.as_str(),
            Self::Md5(_) | Self::Parts(..) => "md5",
        }
    }

    /// Whether the file at `path` has it, read where that may block.
    pub async fn matches(self, path: PathBuf) -> Result<bool, SyncError> {
        blocking(move || self.matches_file(&path).map_err(SyncError::file("read", &path))).await
    }

    /// Whether the file at `path` has it.
    pub fn matches_file(&self, path: &Path) -> io::Result<bool> {
        let (mut file, mut hasher) = (File::open(path)?, self.hasher());
        let mut buffer = vec![0; CHUNK];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(self.is_of(hasher)),
                Ok(read) => hasher.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins to compute what this is compared with.
    pub fn hasher(&self) -> Hasher {
        match self {
            Self::Whole(algorithm, _) => Hasher::Whole(algorithm.into_impl()),
            Self::Md5(_) => Hasher::Md5(Md5::new()),
            Self::Parts(_, size) => Hasher::Parts {
                part: Md5::new(),
                left: *size,
                size: *size,
                digests: Md5::new(),
                ended: 0,
            },
        }
    }

    /// Whether the bytes that [`Fingerprint::hasher`] was given have it.
    pub fn is_of(&self, hasher: Hasher) -> bool {
        match (self, hasher) {
            (Self::Whole(_, expected), Hasher::Whole(checksum)) => {
                BASE64_STANDARD.encode(checksum.finalize()) == *expected
            }
            (Self::Md5(expected), Hasher::Md5(md5)) => hex::encode(md5.finalize()) == *expected,
            (Self::Parts(expected, _), Hasher::Parts { part, left, size, mut digests, ended }) => {
                let last = u64::from(left < size);
                if last > 0 {
                    digests.update(part.finalize());
                }
                format!("{}-{}", hex::encode(digests.finalize()), ended + last) == *expected
            }
            _ => false,
        }
    }

    /// How digests of consecutive pieces make up this one, if they do.
    pub fn pieces(&self) -> Option<Pieces> {
        match self {
            Self::Whole(ChecksumAlgorithm::Crc64Nvme, _) => {
                Some(Pieces::Crc(CrcAlgorithm::Crc64Nvme))
            }
            Self::Whole(ChecksumAlgorithm::Crc32c, _) => {
                Some(Pieces::Crc(CrcAlgorithm::Crc32Iscsi))
            }
            Self::Whole(ChecksumAlgorithm::Crc32, _) => {
                Some(Pieces::Crc(CrcAlgorithm::Crc32IsoHdlc))
            }
            Self::Parts(_, size) => Some(Pieces::Md5 { size: *size }),
            Self::Whole(..) | Self::Md5(_) => None,
        }
    }

    /// Whether the object that consists of these pieces, in order, has it.
    pub fn is_of_pieces(&self, pieces: impl IntoIterator<Item = Piece>) -> bool {
        let mut pieces = pieces.into_iter().peekable();
        match (self, pieces.peek()) {
            (Self::Whole(algorithm, expected), Some(Piece::Crc(first))) => {
                let mut whole = **first;
                for piece in pieces.skip(1) {
                    let Piece::Crc(piece) = piece else { return false };
                    whole.combine(&piece);
                }
                let unused = if *algorithm == ChecksumAlgorithm::Crc64Nvme { 0 } else { 4 };
                BASE64_STANDARD.encode(&whole.finalize().to_be_bytes()[unused..]) == *expected
            }
            (Self::Parts(expected, _), Some(Piece::Md5(_))) => {
                let (mut digests, mut count) = (Md5::new(), 0);
                for piece in pieces {
                    let Piece::Md5(md5) = piece else { return false };
                    digests.update(md5.finalize());
                    count += 1;
                }
                format!("{}-{count}", hex::encode(digests.finalize())) == *expected
            }
            _ => false,
        }
    }
}

/// A digest under way, of bytes in their order.
pub(in crate::sync) enum Hasher {
    Whole(Box<dyn HttpChecksum>),
    Md5(Md5),
    Parts { part: Md5, left: u64, size: u64, digests: Md5, ended: u64 },
}

impl Hasher {
    pub fn update(&mut self, mut bytes: &[u8]) {
        match self {
            Self::Whole(checksum) => checksum.update(bytes),
            Self::Md5(md5) => md5.update(bytes),
            Self::Parts { part, left, size, digests, ended } => {
                while !bytes.is_empty() {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (now, later) = bytes.split_at(length);
                    part.update(now);
                    *left -= length as u64;
                    bytes = later;
                    if *left == 0 {
                        digests.update(part.finalize_reset());
                        *ended += 1;
                        *left = *size;
                    }
                }
            }
        }
    }
}

/// How digests of an object's consecutive pieces make up that of the whole.
#[derive(Debug, Clone, Copy)]
pub(in crate::sync) enum Pieces {
    /// Checksums of pieces of any length.
    Crc(CrcAlgorithm),
    /// MD5s of pieces of this many bytes.
    Md5 { size: u64 },
}

impl Pieces {
    /// Begins the digest of a piece.
    pub fn begin(self) -> Piece {
        match self {
            Self::Crc(algorithm) => Piece::Crc(Box::new(Digest::new(algorithm))),
            Self::Md5 { .. } => Piece::Md5(Md5::new()),
        }
    }
}

/// The digest of a piece.
#[derive(Debug, Clone)]
pub(in crate::sync) enum Piece {
    Crc(Box<Digest>),
    Md5(Md5),
}

impl Piece {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(digest) => digest.update(bytes),
            Self::Md5(md5) => md5.update(bytes),
        }
    }
}

/// What an answer of S3 says about an object's bytes.
struct Told<'a> {
    checksums: [(ChecksumAlgorithm, Option<&'a str>); 5],
    etag: Option<&'a str>,
    encryption: Option<&'a ServerSideEncryption>,
    customer_key: bool,
}

impl Told<'_> {
    fn fingerprint(&self) -> Option<Fingerprint> {
        let whole = self.checksums.iter().find_map(|(algorithm, value)| {
            // A checksum of checksums ends in the number of parts.
            let value = value.filter(|value| !value.contains('-'))?;
            Some(Fingerprint::Whole(*algorithm, value.to_owned()))
        });
        whole.or_else(|| self.md5_etag().filter(|etag| etag.len() == 32).map(Fingerprint::Md5))
    }

    /// The `ETag`, where it is made of MD5s.
    fn md5_etag(&self) -> Option<String> {
        let opaque = self.customer_key
            || self
                .encryption
                .is_some_and(|encryption| *encryption != ServerSideEncryption::Aes256);
        let etag = self.etag?.trim_matches('"');
        let md5 = etag.split('-').next()?;
        let is_md5 = md5.len() == 32 && md5.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_md5 && !opaque).then(|| etag.to_owned())
    }
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
            etag: $answer.e_tag(),
            encryption: $answer.server_side_encryption(),
            customer_key: $answer.sse_customer_algorithm().is_some(),
        }
    };
}

/// The fingerprint a whole object's answer carries, where the SDK does not hold the body against
/// it itself, as it does with checksums.
pub(in crate::sync) fn of_answer(answer: &GetObjectOutput) -> Option<Fingerprint> {
    told!(answer).fingerprint().filter(|fingerprint| !matches!(fingerprint, Fingerprint::Whole(..)))
}

/// The fingerprint of an object whose `head` is known, or none where S3 gives nothing to compare.
/// Asks for the size of the parts where only their MD5s are known.
pub(in crate::sync) async fn of_head(
    client: &Client,
    path: &S3Path,
    head: &HeadObjectOutput,
) -> Result<Option<Fingerprint>, SyncError> {
    let told = told!(head);
    if let Some(fingerprint) = told.fingerprint() {
        return Ok(Some(fingerprint));
    }
    let Some(etag) = told.md5_etag() else { return Ok(None) };
    let first = client
        .head_object()
        .bucket(&path.bucket)
        .key(&path.key)
        .if_match(head.e_tag().unwrap_or_default())
        .part_number(1)
        .send()
        .await
        .map_err(SyncError::s3("HeadObject"))?;
    let (size, whole) = (length(first.content_length()), length(head.content_length()));
    let (Some(size @ 1..), Some(whole)) = (size, whole) else { return Ok(None) };
    // Parts of other sizes than the first one's cannot be told from one another.
    let count = whole.div_ceil(size);
    let even = first.parts_count().is_some_and(|parts| u64::try_from(parts) == Ok(count));
    Ok((even && etag.ends_with(&format!("-{count}"))).then_some(Fingerprint::Parts(etag, size)))
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
