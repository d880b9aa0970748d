//! Objects as files: where a key lies, how a file is written whole or not at all, and what
//! identifies its content.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use s3s::crypto::{Checksum as _, Crc64Nvme};
use s3s::dto::{Checksum, ETag, Timestamp};
use s3s::{S3Error, S3Result, s3_error};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// Files and uploads under way. No bucket's name starts with a dot.
const UNDER_WAY: &str = ".uploads";
/// An upload that got no part for so long was abandoned.
const ABANDONED_AFTER: Duration = Duration::from_hours(7 * 24);
/// Above this size a file's checksum is remembered; below, computing is as cheap.
const REMEMBER_FROM: u64 = 1 << 20;
/// Checksums remembered at most.
const REMEMBERED: usize = 10_000;

/// The directory that holds the buckets.
pub(super) struct Store {
    root: PathBuf,
    checksums: Mutex<HashMap<(PathBuf, String), String>>,
}

/// A file that is an object.
pub(super) struct Object {
    pub path: PathBuf,
    pub size: u64,
    pub modified: Timestamp,
    pub etag: String,
}

impl Object {
    pub fn new(path: PathBuf, metadata: &Metadata) -> io::Result<Self> {
        Ok(Self {
            path,
            size: metadata.len(),
            modified: Timestamp::from(metadata.modified()?),
            etag: etag(metadata),
        })
    }

    pub fn strong_etag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }
}

/// Identifies a file's content without reading it, so that files copied in by hand have one too.
/// The suffix is that of multipart uploads: clients do not take such a tag for an MD5.
pub(super) fn etag(metadata: &Metadata) -> String {
    let mut hash = Sha256::new();
    hash.update(metadata.len().to_be_bytes());
    hash.update(metadata.mtime().to_be_bytes());
    hash.update(metadata.mtime_nsec().to_be_bytes());
    hash.update(metadata.ino().to_be_bytes());
    let hash = hash.finalize();
    let half: [u8; 16] = std::array::from_fn(|index| hash[index]);
    format!("{:032x}-1", u128::from_be_bytes(half))
}

impl Store {
    /// Creates `root` where it is missing. Of an earlier process's work under way, files are
    /// removed, whose requests ended with it; uploads that clients may go on with are kept.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let under_way = root.join(UNDER_WAY);
        fs::create_dir_all(&under_way)?;
        remove_abandoned(&under_way)?;
        Ok(Self { root, checksums: Mutex::default() })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn under_way(&self) -> PathBuf {
        self.root.join(UNDER_WAY)
    }

    /// The directory of an existing bucket. The protocol library has checked the name.
    pub fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let path = self.root.join(bucket);
        if path.is_dir() { Ok(path) } else { Err(s3_error!(NoSuchBucket)) }
    }

    /// Makes a bucket that is written to where it is not there: nobody has to set up a laptop
    /// before the first output.
    pub fn make_bucket(&self, bucket: &str) -> S3Result<()> {
        std::fs::create_dir_all(self.root.join(bucket)).map_err(S3Error::internal_error)
    }

    /// Where an object of this key lies, whether it exists or not; `x/` is the directory `x`.
    pub fn locate(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let mut path = self.bucket(bucket)?;
        for segment in key.strip_suffix('/').unwrap_or(key).split('/') {
            if matches!(segment, "" | "." | "..") || segment.contains('\0') {
                return Err(s3_error!(
                    InvalidArgument,
                    "This endpoint keeps objects as files; no file can have this key"
                ));
            }
            if segment.len() > 255 {
                return Err(s3_error!(
                    KeyTooLongError,
                    "This endpoint keeps objects as files; a segment has at most 255 bytes"
                ));
            }
            path.push(segment);
        }
        Ok(path)
    }

    /// The object of this key. A directory is one only as the placeholder `x/`, while empty.
    pub fn find(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let path = self.locate(bucket, key)?;
        let metadata = fs::metadata(&path).map_err(|_| s3_error!(NoSuchKey))?;
        let placeholder = key.ends_with('/');
        if metadata.is_dir() != placeholder || (placeholder && !is_empty_dir(&path)) {
            return Err(s3_error!(NoSuchKey));
        }
        let mut object = Object::new(path, &metadata).map_err(internal)?;
        if placeholder {
            object.size = 0;
        }
        Ok(object)
    }

    /// A file under way, on the buckets' file system.
    pub fn temporary(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().permissions(plain_file()).tempfile_in(self.under_way())
    }

    /// Puts a finished file under its key, replacing what was there.
    pub fn publish(&self, bucket: &str, key: &str, mut file: NamedTempFile) -> S3Result<Object> {
        let path = self.locate(bucket, key)?;
        loop {
            make_parent(&path)?;
            match file.persist(&path) {
                Ok(persisted) => {
                    let metadata = persisted.metadata().map_err(internal)?;
                    return Object::new(path, &metadata).map_err(internal);
                }
                // A delete swept the emptied directory away in between.
                Err(error) if error.error.kind() == io::ErrorKind::NotFound => file = error.file,
                Err(error) if path.is_dir() => {
                    tracing::debug!(error = %error.error, "a folder is in the way of an object");
                    return Err(clash());
                }
                Err(error) => return Err(internal(error.error)),
            }
        }
    }

    /// Makes the directory that stands for the placeholder `x/`.
    pub fn make_placeholder(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let path = self.locate(bucket, key)?;
        fs::create_dir_all(&path).map_err(|_| clash())?;
        let metadata = fs::metadata(&path).map_err(internal)?;
        Object::new(path, &metadata).map_err(internal)
    }

    /// Deletes an object, absent or not, and the directories that are empty without it.
    /// With `expected`, only the object that has this tag.
    pub fn delete(&self, bucket: &str, key: &str, expected: Option<&str>) -> S3Result<()> {
        if let (Some(expected), Ok(object)) = (expected, self.find(bucket, key))
            && object.etag != expected
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let bucket_path = self.bucket(bucket)?;
        let path = self.locate(bucket, key)?;
        let removed =
            if key.ends_with('/') { fs::remove_dir(&path) } else { fs::remove_file(&path) };
        match removed {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::NotADirectory
                        | io::ErrorKind::IsADirectory
                        | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(internal(error)),
        }
        let mut parent = path.parent();
        while let Some(directory) = parent.filter(|directory| *directory != bucket_path) {
            if fs::remove_dir(directory).is_err() {
                break;
            }
            parent = directory.parent();
        }
        Ok(())
    }

    /// The file's CRC64NVME, as S3 gives it for a whole object.
    pub fn checksum(&self, object: &Object) -> io::Result<Checksum> {
        let known = (object.path.clone(), object.etag.clone());
        let remembered =
            self.checksums.lock().unwrap_or_else(PoisonError::into_inner).get(&known).cloned();
        let checksum = if let Some(checksum) = remembered {
            checksum
        } else {
            let checksum = crc64(&object.path)?;
            if object.size >= REMEMBER_FROM {
                let mut checksums = self.checksums.lock().unwrap_or_else(PoisonError::into_inner);
                if checksums.len() >= REMEMBERED {
                    checksums.clear();
                }
                checksums.insert(known, checksum.clone());
            }
            checksum
        };
        Ok(Checksum { checksum_crc64nvme: Some(checksum), ..Checksum::default() })
    }
}

fn remove_abandoned(under_way: &Path) -> io::Result<()> {
    let now = SystemTime::now();
    for entry in fs::read_dir(under_way)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if !metadata.is_dir() {
            fs::remove_file(entry.path())?;
        } else if now.duration_since(metadata.modified()?).is_ok_and(|age| age > ABANDONED_AFTER) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn make_parent(path: &Path) -> S3Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => clash(),
        _ => internal(error),
    })
}

fn crc64(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = s3s::checksum::ChecksumHasher {
        crc64nvme: Some(Crc64Nvme::new()),
        ..s3s::checksum::ChecksumHasher::default()
    };
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finalize().checksum_crc64nvme.unwrap_or_default())
}

pub(super) fn is_empty_dir(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn plain_file() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

/// Where S3 would hold both, a file system cannot.
fn clash() -> s3s::S3Error {
    s3_error!(
        InvalidRequest,
        "This endpoint keeps objects as files; an object and a folder cannot share a name"
    )
}

pub(super) fn internal(error: impl Into<s3s::StdError>) -> s3s::S3Error {
    s3s::S3Error::with_source(s3s::S3ErrorCode::InternalError, error.into())
}
