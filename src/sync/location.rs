//! Where data lies: an S3 path or a local one, and how EFS URIs become local paths.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::plan::submission::Mount;

/// A path as a request names it, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `s3://bucket/key`.
    S3(S3Path),
    /// An absolute path, or one relative to the current directory.
    Local(PathBuf),
}

/// A bucket and a key, which may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Path {
    /// The bucket's name.
    pub bucket: String,
    /// The key, byte for byte.
    pub key: String,
}

/// A path that names no location.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LocationError {
    /// Neither a bucket nor a path.
    #[error("`{0}` is no S3 path: it needs the form s3://bucket/key")]
    NoBucket(String),
    /// An EFS URI without its two parts.
    #[error("`{0}` is no EFS path: it needs the form efs://fs-0123abcd:/path")]
    NoEfsPath(String),
    /// No mount has this file system and a directory above the path.
    #[error(
        "`{0}` lies on no mounted file system that a task or EFS_MOUNT_POINT_PATH_x and EFS_MOUNT_POINT_ID_x name"
    )]
    NotMounted(String),
    /// A path that could leave the directory it is under.
    #[error("`{0}` has a `..` in it")]
    Escapes(String),
    /// A URL of something else.
    #[error("`{0}` is neither s3://, efs:// nor file://; a path of that name begins with ./")]
    Scheme(String),
    /// Nothing.
    #[error("a path is empty")]
    Empty,
}

impl Location {
    /// Reads `s3://bucket/key`, `fs-…:/path`, `efs://fs-…:/path`, `file:///path` or a path.
    pub fn parse(text: &str, mounts: &[Mount]) -> Result<Self, LocationError> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(LocationError::NoBucket(text.to_owned()));
            }
            return Ok(Self::S3(S3Path { bucket: bucket.to_owned(), key: key.to_owned() }));
        }
        if let Some((file_system, path)) = efs_uri(text)? {
            return resolve_efs(text, file_system, path, mounts).map(Self::Local);
        }
        let path = text.strip_prefix("file://").unwrap_or(text);
        if has_scheme(path) {
            return Err(LocationError::Scheme(text.to_owned()));
        }
        if path.is_empty() {
            return Err(LocationError::Empty);
        }
        if escapes(path) {
            return Err(LocationError::Escapes(text.to_owned()));
        }
        // As one spelling, whatever slashes and dots it has in its middle and at its end.
        Ok(Self::Local(Path::new(path).components().collect()))
    }

    /// The same location by the path that no link is on; what does not exist yet, below what does.
    #[must_use]
    pub fn real(&self) -> Self {
        match self {
            Self::S3(_) => self.clone(),
            Self::Local(path) => Self::Local(real(path)),
        }
    }

    /// The same location by its name in the directory it really lies in: of a link, the link's.
    /// What has no name of its own, such as `.`, by that of what it leads to.
    #[must_use]
    pub fn unfollowed(&self) -> Self {
        match self {
            Self::Local(path) => match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => Self::Local(real(parent).join(name)),
                _ => self.real(),
            },
            Self::S3(_) => self.clone(),
        }
    }

    /// Whether `other` is this location or lies below it, by whole segments.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::S3(above), Self::S3(below)) => above.contains(below),
            (Self::Local(above), Self::Local(below)) => below.starts_with(above),
            _ => false,
        }
    }
}

impl S3Path {
    /// Whether the key says that it is a folder's.
    pub fn is_folder(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// The key that all objects of this folder start with; empty for the whole bucket.
    pub fn folder_key(&self) -> String {
        if self.is_folder() { self.key.clone() } else { format!("{}/", self.key) }
    }

    /// The same bucket with another key.
    #[must_use]
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self { bucket: self.bucket.clone(), key: key.into() }
    }

    fn contains(&self, other: &Self) -> bool {
        self.bucket == other.bucket
            && (self.key.trim_end_matches('/') == other.key
                || other.key.starts_with(&self.folder_key()))
    }
}

/// The absolute path without links that `path` leads to.
fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        let existing = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
        if let Ok(existing) = existing.canonicalize() {
            return missing.iter().rev().fold(existing, |path, name| path.join(name));
        }
        missing.extend(ancestor.file_name());
    }
    path.to_owned()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(path) => path.fmt(f),
            Self::Local(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for S3Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Whether a path begins as a URL does: `word:/`.
fn has_scheme(path: &str) -> bool {
    let scheme = path.split_once(":/").map_or("", |(scheme, _)| scheme);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
}

fn escapes(path: &str) -> bool {
    Path::new(path).components().any(|component| component == Component::ParentDir)
}

/// The file system and path of an EFS URI in any form the reference takes: `[efs://]fs-…:/path`,
/// `efs://fs-…/path`, with the file system's DNS name instead of its id.
fn efs_uri(text: &str) -> Result<Option<(&str, &str)>, LocationError> {
    let (rest, is_uri) = match text.strip_prefix("efs://") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    // Without a scheme only the colon tells it from a directory of that name.
    let (id, dns) = host.split_once('.').unwrap_or((host, ""));
    let named = id.strip_prefix("fs-").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let named =
        named && (dns.is_empty() || dns.starts_with("efs.") && dns.ends_with(".amazonaws.com"));
    match (is_uri, path.strip_prefix(':')) {
        (true, colon) if named => Ok(Some((id, colon.unwrap_or(path)))),
        (true, _) => Err(LocationError::NoEfsPath(text.to_owned())),
        (false, Some(path)) if named => Ok(Some((id, path))),
        (false, _) => Ok(None),
    }
}

/// The mount whose directory on the file system is nearest above `path`, then the rest below its
/// mount point.
fn resolve_efs(
    text: &str,
    file_system: &str,
    path: &str,
    mounts: &[Mount],
) -> Result<PathBuf, LocationError> {
    if escapes(path) {
        return Err(LocationError::Escapes(text.to_owned()));
    }
    let path = Path::new("/").join(path.trim_start_matches('/'));
    mounts
        .iter()
        .filter(|mount| mount.file_system == file_system)
        .filter_map(|mount| {
            let root = Path::new("/").join(mount.access_point_path.trim_start_matches('/'));
            let rest = path.strip_prefix(&root).ok()?;
            Some((root.components().count(), Path::new(&mount.mount_point).join(rest)))
        })
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, path)| path)
        .ok_or_else(|| LocationError::NotMounted(text.to_owned()))
}
