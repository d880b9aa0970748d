//! S3 paths, parsed in linear time: `s3://bucket/key` with any UTF-8 key.
//!
//! As in the reference (`aibs_informatics_core.models.aws.s3`), runs of slashes are one slash,
//! unless they follow a colon. Its pattern refuses legal keys and may take exponential time.

use std::fmt;

/// A bucket and a key, which may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Path {
    text: String,
    bucket_end: usize,
}

/// Why a text is no S3 path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3PathError {
    /// Another scheme, or none.
    #[error("`{0}` does not start with `s3://`")]
    Scheme(String),
    /// A bucket name that no bucket can have.
    #[error("`{0}` is no bucket name: 3 to 63 of `A-Z a-z 0-9 . -`, the ends letters or digits")]
    Bucket(String),
    /// A reference that nothing replaced.
    #[error("`{0}` still holds `${{`: only references to parameters are replaced")]
    Placeholder(String),
}

const SCHEME: &str = "s3://";

impl S3Path {
    /// Takes `text` as an S3 path if it is one.
    pub fn parse(text: &str) -> Result<Self, S3PathError> {
        let text = collapse_slashes(text);
        let Some(rest) = text.strip_prefix(SCHEME) else { return Err(S3PathError::Scheme(text)) };
        let bucket = rest.split('/').next().unwrap_or_default();
        if !is_bucket(bucket) {
            return Err(S3PathError::Bucket(bucket.to_owned()));
        }
        if rest.contains("${") {
            return Err(S3PathError::Placeholder(text));
        }
        let bucket_end = SCHEME.len() + bucket.len();
        Ok(Self { text, bucket_end })
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.text[SCHEME.len()..self.bucket_end]
    }

    /// The key, without its leading slash; empty for a whole bucket.
    pub fn key(&self) -> &str {
        self.text[self.bucket_end..].strip_prefix('/').unwrap_or_default()
    }

    /// This path, a slash, and `more`, which may hold references yet to be replaced.
    #[must_use]
    pub fn join(&self, more: &str) -> Self {
        let text = collapse_slashes(&format!("{}/{more}", self.text));
        Self { text, bucket_end: self.bucket_end }
    }
}

impl fmt::Display for S3Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_bucket(name: &str) -> bool {
    let ends = name.bytes().next().zip(name.bytes().last());
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        && ends.is_some_and(|(a, z)| a.is_ascii_alphanumeric() && z.is_ascii_alphanumeric())
}

/// What the reference's substitution of `([^:]/)(/)+` by its first group gives, past the first
/// three characters.
fn collapse_slashes(text: &str) -> String {
    let start = text.char_indices().nth(3).map_or(text.len(), |(offset, _)| offset);
    let (head, tail) = text.split_at(start);
    let mut out = String::with_capacity(text.len());
    out.push_str(head);
    let mut rest = tail.chars();
    while let Some(c) = rest.next() {
        out.push(c);
        if c != ':' && rest.as_str().starts_with("//") {
            out.push('/');
            rest = rest.as_str().trim_start_matches('/').chars();
        }
    }
    out
}
