//! What a client says of the bytes it sends, and whether the bytes agree.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::Checksum;
use s3s::{S3Result, TrailingHeaders, s3_error};

/// What a client says of the bytes it sends.
#[derive(Default)]
pub(super) struct Digests {
    pub md5: Option<String>,
    pub algorithm: Option<String>,
    pub given: Checksum,
    pub trailers: Option<TrailingHeaders>,
}

impl Digests {
    pub fn hasher(&self) -> ChecksumHasher {
        let is = |name: &str, given: &Option<String>| {
            given.is_some() || self.algorithm.as_deref() == Some(name)
        };
        ChecksumHasher {
            crc32: is("CRC32", &self.given.checksum_crc32).then(Crc32::new),
            crc32c: is("CRC32C", &self.given.checksum_crc32c).then(Crc32c::new),
            crc64nvme: is("CRC64NVME", &self.given.checksum_crc64nvme).then(Crc64Nvme::new),
            sha1: is("SHA1", &self.given.checksum_sha1).then(Sha1::new),
            sha256: is("SHA256", &self.given.checksum_sha256).then(Sha256::new),
        }
    }

    /// A digest may also come after the body, in a trailing header.
    pub fn check(&self, found: &Checksum, md5: &[u8]) -> S3Result<()> {
        let trailers = self.trailers.as_ref().and_then(TrailingHeaders::take).unwrap_or_default();
        let pairs = [
            ("x-amz-checksum-crc32", &self.given.checksum_crc32, &found.checksum_crc32),
            ("x-amz-checksum-crc32c", &self.given.checksum_crc32c, &found.checksum_crc32c),
            ("x-amz-checksum-crc64nvme", &self.given.checksum_crc64nvme, &found.checksum_crc64nvme),
            ("x-amz-checksum-sha1", &self.given.checksum_sha1, &found.checksum_sha1),
            ("x-amz-checksum-sha256", &self.given.checksum_sha256, &found.checksum_sha256),
        ];
        for (header, given, found) in pairs {
            let trailer = trailers.get(header).and_then(|value| value.to_str().ok());
            if let (Some(given), Some(found)) = (given.as_deref().or(trailer), found)
                && given != found
            {
                return Err(s3_error!(BadDigest, "The body does not have its {header}"));
            }
        }
        match self.md5.as_deref().map(|given| STANDARD.decode(given)) {
            Some(Ok(given)) if given != md5 => {
                Err(s3_error!(BadDigest, "The body does not have its Content-MD5"))
            }
            Some(Err(_)) => Err(s3_error!(InvalidDigest)),
            _ => Ok(()),
        }
    }
}
