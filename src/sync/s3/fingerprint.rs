//! What the bytes of an object are known by, and computing it: of the whole at once, of its pieces
//! as they arrive, or of the parts it was uploaded in.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_smithy_checksums::ChecksumAlgorithm;
use aws_smithy_checksums::http::HttpChecksum;
use crc_fast::{CrcAlgorithm, Digest};
use md5::{Digest as _, Md5};

use crate::sync::error::{SyncError, blocking};

/// Bytes read from a file at a time.
const CHUNK: usize = 1 << 20;

/// What a file with the object's bytes must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sync) struct Fingerprint {
    pub kind: Kind,
    pub expected: Vec<u8>,
    /// Where it is a digest of the digests of parts: what these are.
    pub parts: Option<PartSizes>,
}

/// What is computed of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sync) enum Kind {
    Md5,
    Checksum(ChecksumAlgorithm),
}

/// The bytes of an object's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sync) enum PartSizes {
    /// So many each, but for the last, which may have fewer.
    Even(u64),
    /// As many as these say.
    Uneven(Vec<u64>),
}

impl PartSizes {
    fn of(&self, index: usize) -> u64 {
        match self {
            Self::Even(size) => *size,
            Self::Uneven(sizes) => sizes.get(index).copied().unwrap_or(u64::MAX),
        }
    }
}

impl Fingerprint {
    /// The name a failure gives it.
    pub fn algorithm(&self) -> &'static str {
        match &self.kind {
            Kind::Md5 => "md5",
            Kind::Checksum(algorithm) => algorithm.as_str(),
        }
    }

    /// Whether objects with this one and with `other` can be told apart by them.
    pub fn is_comparable(&self, other: &Self) -> bool {
        self.kind == other.kind && self.parts == other.parts
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
        let parts = self.parts.as_ref().map(|sizes| PartsHasher {
            kind: self.kind,
            digests: self.kind.begin(),
            left: sizes.of(0),
            sizes: sizes.clone(),
            ended: 0,
            has_begun: false,
        });
        Hasher { running: self.kind.begin(), parts }
    }

    /// Whether the bytes that [`Fingerprint::hasher`] was given have it.
    pub fn is_of(&self, hasher: Hasher) -> bool {
        hasher.finish() == self.expected
    }

    /// How digests of consecutive pieces make up this one, if they do.
    pub fn pieces(&self) -> Option<Pieces> {
        match (&self.parts, self.kind) {
            (Some(PartSizes::Even(size)), kind) => Some(Pieces::Parts { kind, size: *size }),
            (None, Kind::Checksum(algorithm)) => combined(algorithm).map(Pieces::Crc),
            (Some(PartSizes::Uneven(_)), _) | (None, Kind::Md5) => None,
        }
    }

    /// Whether the object that consists of these pieces, in order, has it.
    pub fn is_of_pieces(&self, pieces: impl IntoIterator<Item = Piece>) -> bool {
        let mut pieces = pieces.into_iter();
        let Some(first) = pieces.next() else { return false };
        match first {
            Piece::Crc(mut whole) => {
                for piece in pieces {
                    let Piece::Crc(piece) = piece else { return false };
                    whole.combine(&piece);
                }
                whole.finalize().to_be_bytes().ends_with(&self.expected)
            }
            Piece::Part(first) => {
                let mut digests = self.kind.begin();
                digests.update(&first.finish());
                for piece in pieces {
                    let Piece::Part(piece) = piece else { return false };
                    digests.update(&piece.finish());
                }
                digests.finish() == self.expected
            }
        }
    }
}

/// The algorithm whose digests of pieces of any length can be combined.
fn combined(algorithm: ChecksumAlgorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        _ => None,
    }
}

impl Kind {
    fn begin(self) -> Running {
        match self {
            Self::Md5 => Running::Md5(Md5::new()),
            Self::Checksum(algorithm) => Running::Checksum(algorithm.into_impl()),
        }
    }
}

/// A digest under way.
pub(in crate::sync) enum Running {
    Md5(Md5),
    Checksum(Box<dyn HttpChecksum>),
}

impl Running {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(md5) => md5.update(bytes),
            Self::Checksum(checksum) => checksum.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(md5) => md5.finalize().to_vec(),
            Self::Checksum(checksum) => checksum.finalize().to_vec(),
        }
    }
}

/// The digest of an object under way, of its bytes in their order.
pub(in crate::sync) struct Hasher {
    /// Of the whole, or of the part that is read.
    running: Running,
    parts: Option<PartsHasher>,
}

struct PartsHasher {
    kind: Kind,
    digests: Running,
    sizes: PartSizes,
    left: u64,
    ended: usize,
    has_begun: bool,
}

impl Hasher {
    pub fn update(&mut self, mut bytes: &[u8]) {
        let Some(parts) = &mut self.parts else { return self.running.update(bytes) };
        while !bytes.is_empty() {
            let length = usize::try_from(parts.left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(length);
            self.running.update(now);
            parts.left -= length as u64;
            parts.has_begun = true;
            bytes = later;
            if parts.left == 0 {
                parts.end(&mut self.running);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let Some(mut parts) = self.parts.take() else { return self.running.finish() };
        // Of nothing there is one part, of nothing.
        if parts.has_begun || parts.ended == 0 {
            parts.end(&mut self.running);
        }
        parts.digests.finish()
    }
}

impl PartsHasher {
    fn end(&mut self, running: &mut Running) {
        let part = std::mem::replace(running, self.kind.begin());
        self.digests.update(&part.finish());
        self.ended += 1;
        self.left = self.sizes.of(self.ended).max(1);
        self.has_begun = false;
    }
}

/// How digests of an object's consecutive pieces make up that of the whole.
#[derive(Debug, Clone, Copy)]
pub(in crate::sync) enum Pieces {
    /// Checksums of pieces of any length.
    Crc(CrcAlgorithm),
    /// Digests of pieces of this many bytes.
    Parts { kind: Kind, size: u64 },
}

impl Pieces {
    /// Begins the digest of a piece.
    pub fn begin(self) -> Piece {
        match self {
            Self::Crc(algorithm) => Piece::Crc(Box::new(Digest::new(algorithm))),
            Self::Parts { kind, .. } => Piece::Part(kind.begin()),
        }
    }
}

/// The digest of a piece.
pub(in crate::sync) enum Piece {
    Crc(Box<Digest>),
    Part(Running),
}

impl Piece {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(digest) => digest.update(bytes),
            Self::Part(running) => running.update(bytes),
        }
    }
}
