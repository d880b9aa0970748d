//! Execution ids: one safe path segment, since a working directory is named after it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names the service keeps for itself, in paths and in URLs.
pub const RESERVED: [&str; 4] = ["tmp", "shared", "plan", "events"];

/// `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, and none of [`RESERVED`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExecutionId(String);

/// Why a text is no execution id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionIdError {
    /// Not one safe path segment.
    #[error("`{0}` is not 1 to 128 of `A-Z a-z 0-9 . _ -`, the first a letter or a digit")]
    Unsafe(String),
    /// One of [`RESERVED`].
    #[error("`{0}` is reserved")]
    Reserved(String),
}

impl ExecutionId {
    /// Takes `text` as an id if it is one.
    pub fn parse(text: &str) -> Result<Self, ExecutionIdError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !first || !rest || text.len() > 128 {
            let shown = text.chars().take(128).collect();
            return Err(ExecutionIdError::Unsafe(shown));
        }
        if RESERVED.contains(&text) {
            return Err(ExecutionIdError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// An id for a demand that has none, while its other faults are looked for.
    pub(super) fn stand_in() -> Self {
        Self("unknown".to_owned())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ExecutionId {
    type Error = ExecutionIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<uuid::Uuid> for ExecutionId {
    fn from(id: uuid::Uuid) -> Self {
        // Hyphenated hexadecimal is a safe segment.
        Self(id.to_string())
    }
}

impl From<ExecutionId> for String {
    fn from(id: ExecutionId) -> Self {
        id.0
    }
}
