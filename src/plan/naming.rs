//! Names of volumes, job definitions and jobs, within the limits of what consumes them (the
//! reference's `demand/naming.py` and `EnvBase`).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{mount_point::MountPoint, submission::Step};
use crate::demand::python::{dumps, sha256_hex};

/// Job definition name, three digits of revision and the longest volume name together, in
/// characters. More makes `amazon-efs-utils` fail on a path too long when the container starts.
pub const VOLUME_COMPONENT_BUDGET: usize = 139;

/// Digits kept for a job definition's revision.
pub const REVISION_DIGITS: usize = 3;

/// The longest job name AWS Batch takes.
pub const JOB_NAME_LIMIT: usize = 128;

const VOLUME_NAME_LENGTH: usize = 24;
const HASH_LENGTH: usize = 8;

/// `env_base` and `names`, joined by `-`; without it where the first name starts so already.
pub fn prefixed(env_base: &str, names: &[&str]) -> String {
    let joined = names.join("-");
    let first = names.first().copied().unwrap_or_default();
    let has_prefix =
        first.strip_prefix(env_base).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    if has_prefix { joined } else { format!("{env_base}-{joined}") }
}

/// A readable, short and unique name for a mount's volume: the last segment of its path, and a
/// hash of everything that identifies it.
pub fn volume_name(mount: &MountPoint) -> String {
    let path = mount.mount_point();
    let access_point = mount.access_point_id().unwrap_or_default();
    let identity = format!("{}|{access_point}|{path}", mount.file_system_id());
    let label = if path.name().is_empty() { mount.file_system_id() } else { path.name() };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let label: String = label.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    let label = label.trim_matches('-');
    let label = if label.is_empty() { "vol" } else { label };
    let name = format!("{label}-{}", &sha256_hex(&identity)[..HASH_LENGTH]);
    if name.len() <= VOLUME_NAME_LENGTH {
        return name;
    }
    let kept = &name[..VOLUME_NAME_LENGTH - 1 - HASH_LENGTH];
    format!("{kept}-{}", &sha256_hex(&name)[..HASH_LENGTH])
}

/// Whether AWS Batch takes `name` for a job or a job definition: `[A-Za-z0-9][A-Za-z0-9_-]*`, at
/// most 128 (<https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html>).
pub fn is_job_name(name: &str) -> bool {
    name.len() <= JOB_NAME_LIMIT
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// What the names of a demand's jobs are made of, for this attempt and every later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobNames {
    /// The part all its jobs share: `<env_base>-<execution_type>`.
    pub prefix: String,
    /// The demand's strict hash, which `execute` of attempt 1 is named after.
    pub strict_hash: String,
}

impl JobNames {
    /// The name of the job for `step` in `attempt`, which counts from 1: one shape and length for
    /// all of them.
    pub fn job_name(&self, step: Step, attempt: u32) -> String {
        if (step, attempt) == (Step::Execute, 1) {
            return format!("{}-{}", self.prefix, self.strict_hash);
        }
        let parts = serde_json::json!([self.strict_hash, attempt, step.as_str()]);
        format!("{}-{}", self.prefix, sha256_hex(&dumps(&parts)))
    }
}
