//! Multipart uploads: parts are files of their own until the upload is completed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use s3s::{S3Result, s3_error};
use tempfile::NamedTempFile;
use uuid::Uuid;

use super::objects::{Store, etag, internal};

/// S3's smallest part, but for the last of an upload.
const SMALLEST_PART: u64 = 5 << 20;

/// An upload that has not been completed.
pub(super) struct Upload {
    directory: PathBuf,
}

impl Upload {
    /// Starts one and answers its id.
    pub fn create(store: &Store, bucket: &str, key: &str) -> S3Result<String> {
        store.locate(bucket, key)?;
        let id = Uuid::new_v4().to_string();
        let directory = store.under_way().join(&id);
        fs::create_dir(&directory).map_err(internal)?;
        fs::write(directory.join("target"), target(bucket, key)).map_err(internal)?;
        Ok(id)
    }

    /// Finds the upload `id`, which must be of this bucket and key.
    pub fn find(store: &Store, bucket: &str, key: &str, id: &str) -> S3Result<Self> {
        let id = Uuid::parse_str(id).map_err(|_| s3_error!(NoSuchUpload))?;
        let directory = store.under_way().join(id.to_string());
        match fs::read_to_string(directory.join("target")) {
            Ok(found) if found == target(bucket, key) => Ok(Self { directory }),
            _ => Err(s3_error!(NoSuchUpload)),
        }
    }

    /// Keeps a part and answers its tag; a part sent again replaces the earlier one.
    pub fn keep(&self, number: i32, file: NamedTempFile) -> S3Result<String> {
        if !(1..=10_000).contains(&number) {
            return Err(s3_error!(InvalidArgument, "Part number must be between 1 and 10000"));
        }
        let kept = file.persist(self.part(number)).map_err(|error| internal(error.error))?;
        Ok(etag(&kept.metadata().map_err(internal)?))
    }

    /// Joins the parts, given with the tags the client has for them, into one file.
    pub fn join(&self, store: &Store, parts: &[(i32, Option<String>)]) -> S3Result<NamedTempFile> {
        if !parts.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(s3_error!(InvalidPartOrder));
        }
        for (index, (number, expected)) in parts.iter().enumerate() {
            let metadata = fs::metadata(self.part(*number)).map_err(|_| s3_error!(InvalidPart))?;
            if expected.as_ref().is_some_and(|expected| *expected != etag(&metadata)) {
                return Err(s3_error!(InvalidPart));
            }
            if index + 1 < parts.len() && metadata.len() < SMALLEST_PART {
                return Err(s3_error!(EntityTooSmall));
            }
        }
        let joined = store.temporary().map_err(internal)?;
        let mut target = OpenOptions::new().append(true).open(joined.path()).map_err(internal)?;
        for (number, _) in parts {
            append(&self.part(*number), &mut target).map_err(internal)?;
        }
        Ok(joined)
    }

    /// Forgets the upload and its parts.
    pub fn forget(self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!(%error, "cannot remove the parts of an upload");
        }
    }

    fn part(&self, number: i32) -> PathBuf {
        self.directory.join(format!("part-{number:05}"))
    }
}

fn target(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

fn append(part: &Path, target: &mut File) -> io::Result<u64> {
    io::copy(&mut File::open(part)?, target)
}
