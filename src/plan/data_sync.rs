//! Data-sync and removal requests: the reference's shapes (`aibs_informatics_core`
//! `models.data_sync`, `handlers.data_sync.model` 1.1.0), with its defaults.
//!
//! Paths are strings here: `s3://bucket/key`, `fs-…:/path` (an EFS URI), or an absolute path.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One transfer. The two batch fields are those of the reference's `PrepareBatchDataSyncRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataSyncRequest {
    /// Where data comes from.
    pub source_path: String,
    /// Where it goes.
    pub destination_path: String,
    /// What is cut off the keys of an S3 source to tell where below the destination each goes; the
    /// source itself without it. The source starts with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub source_path_prefix: Option<String>,
    /// What of the source is transferred; everything without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub filter_config: Option<FilterConfig>,
    /// What patterns are relative to; the source without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub filter_root: Option<String>,
    /// Transfers under way at once.
    #[serde(default = "defaults::max_concurrency")]
    pub max_concurrency: u32,
    /// Whether the source is kept.
    #[serde(default = "defaults::yes")]
    pub retain_source_data: bool,
    /// Whether the destination mirrors the (filtered) source.
    #[serde(default = "defaults::yes")]
    pub delete: bool,
    /// Whether the destination is locked meanwhile.
    #[serde(default)]
    pub require_lock: bool,
    /// Whether to transfer what is there already.
    #[serde(default)]
    pub force: bool,
    /// Whether equal sizes are enough to skip.
    #[serde(default)]
    pub size_only: bool,
    /// Whether an absent source is an error.
    #[serde(default = "defaults::yes")]
    pub fail_if_missing: bool,
    /// Whether the answer counts what was transferred.
    #[serde(default)]
    pub include_detailed_response: bool,
    /// How objects reach a directory.
    #[serde(default)]
    pub remote_to_local_config: RemoteToLocalConfig,
    /// The largest batch a large source is cut into, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub batch_size_bytes_limit: Option<u64>,
    /// Where the batches' requests are kept; an S3 prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub temporary_request_payload_path: Option<String>,
}

impl DataSyncRequest {
    /// The bytes of a batch at most; as in the reference, zero is no limit.
    pub fn batch_limit(&self) -> Option<u64> {
        self.batch_size_bytes_limit.filter(|limit| *limit > 0)
    }
}

/// Regular expressions, Python's syntax, that match a whole relative path; exclude wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FilterConfig {
    /// Takes what any of these match; everything without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub include: Option<Patterns>,
    /// Leaves out what any of these match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub exclude: Option<Patterns>,
}

/// One pattern or several, as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Patterns {
    /// A single pattern.
    #[schema(title = "Pattern")]
    One(String),
    /// Several, any of which may match.
    #[schema(title = "PatternList")]
    Many(Vec<String>),
}

impl Patterns {
    /// The patterns, however they were written.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(pattern) => std::slice::from_ref(pattern),
            Self::Many(patterns) => patterns,
        }
    }
}

/// How objects reach a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoteToLocalConfig {
    /// Whether `custom_tmp_dir` is used for files under way.
    #[serde(default)]
    pub use_custom_tmp_dir: bool,
    /// That directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub custom_tmp_dir: Option<String>,
}

/// Paths to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoveDataPathsRequest {
    /// EFS URIs, absolute paths or S3 paths.
    #[serde(default)]
    pub paths: Vec<String>,
}

mod defaults {
    pub fn max_concurrency() -> u32 {
        25
    }
    pub fn yes() -> bool {
        true
    }
}
