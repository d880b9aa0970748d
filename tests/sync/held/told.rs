//! What the S3 in memory tells of an object's bytes beside its tag, and where its tag tells nothing.

use aws_smithy_checksums::ChecksumAlgorithm;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use s3s::dto::{ChecksumType, ETag, GetObjectOutput, HeadObjectOutput, ServerSideEncryption};

use super::{Held, ranges, tag};

/// The checksum of an object.
#[derive(Debug, Clone)]
pub struct Told {
    algorithm: ChecksumAlgorithm,
    value: String,
    /// Those of the parts, where that of the object is one of theirs.
    parts: Vec<String>,
}

impl Held {
    /// Has answers tell a checksum of the whole of an object.
    pub fn tell(&self, key: &str, algorithm: ChecksumAlgorithm) {
        let value = BASE64_STANDARD.encode(digest(algorithm, &self.get(key).unwrap()));
        let told = Told { algorithm, value, parts: Vec::new() };
        self.told.lock().unwrap().insert(key.to_owned(), told);
    }

    /// Has answers tell a checksum of the checksums of the parts of an object.
    pub fn tell_of_parts(&self, key: &str, algorithm: ChecksumAlgorithm) {
        let content = self.get(key).unwrap();
        let sizes = self.part_sizes.lock().unwrap()[key].clone();
        let parts: Vec<_> = ranges(&sizes).map(|part| digest(algorithm, &content[part])).collect();
        let whole = BASE64_STANDARD.encode(digest(algorithm, &parts.concat()));
        let value = format!("{whole}-{}", parts.len());
        let parts = parts.iter().map(|part| BASE64_STANDARD.encode(part)).collect();
        self.told.lock().unwrap().insert(key.to_owned(), Told { algorithm, value, parts });
    }

    /// Has KMS encrypt an object: its tag looks like the MD5 it is not.
    pub fn encrypt(&self, key: &str) {
        let parts = self.part_sizes.lock().unwrap().get(key).map(Vec::len);
        let ETag::Strong(mut opaque) = tag(format!("encrypted {key}").as_bytes()) else {
            unreachable!("it is a strong one")
        };
        opaque.extend(parts.map(|parts| format!("-{parts}")));
        self.opaque.lock().unwrap().insert(key.to_owned(), ETag::Strong(opaque));
    }

    pub(super) fn encryption(&self, key: &str) -> Option<ServerSideEncryption> {
        let is_opaque = self.opaque.lock().unwrap().contains_key(key);
        is_opaque.then(|| ServerSideEncryption::from_static(ServerSideEncryption::AWS_KMS))
    }
}

fn digest(algorithm: ChecksumAlgorithm, content: &[u8]) -> Bytes {
    let mut checksum = algorithm.into_impl();
    checksum.update(content);
    checksum.finalize()
}

macro_rules! tell {
    ($told:expr, $output:expr, $part:expr) => {
        let Some((value, kind)) = $told.of($part) else { return };
        $output.checksum_type = Some(ChecksumType::from_static(kind));
        let field = match $told.algorithm {
            ChecksumAlgorithm::Crc64Nvme => &mut $output.checksum_crc64nvme,
            ChecksumAlgorithm::Crc32c => &mut $output.checksum_crc32c,
            ChecksumAlgorithm::Crc32 => &mut $output.checksum_crc32,
            ChecksumAlgorithm::Sha256 => &mut $output.checksum_sha256,
            ChecksumAlgorithm::Sha1 => &mut $output.checksum_sha1,
            another => unreachable!("S3 has no {another:?}"),
        };
        *field = Some(value);
    };
}

impl Told {
    pub(super) fn in_head(&self, output: &mut HeadObjectOutput, part: Option<i32>) {
        tell!(self, output, part);
    }

    pub(super) fn in_get(&self, output: &mut GetObjectOutput, part: Option<i32>) {
        tell!(self, output, part);
    }

    /// That of the object or of one of its parts, and what it is made of.
    fn of(&self, part: Option<i32>) -> Option<(String, &'static str)> {
        let kind =
            if self.parts.is_empty() { ChecksumType::FULL_OBJECT } else { ChecksumType::COMPOSITE };
        let value = match part {
            None => self.value.clone(),
            Some(number) => self.parts.get(usize::try_from(number - 1).ok()?)?.clone(),
        };
        Some((value, kind))
    }
}
