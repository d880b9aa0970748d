//! The site: the facts a plan needs beside the demand.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::catalog::Catalog;
use super::submission::{Step, Timeout};
use crate::demand::{
    configuration::{ContextConfiguration, FileSystemConfigurations},
    fault::{Faults, Pointer},
    python::text::is_word,
};

/// Everything a plan depends on beside the demand. Built once, planned with often.
///
/// Its two configurations lie under a demand's own, key by key, and the reference's defaults
/// under both. Among these is `env_file_write_mode` ALWAYS; a service that wants `IF_REQUIRED`
/// (design §5) says so in its own `context_manager_configuration`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "SiteFile")]
pub struct Site {
    /// Prefix of names and tag of file systems: `dev`, `test` or `prod`, with an optional label.
    pub env_base: EnvBase,
    /// The AWS region.
    pub region: String,
    /// The file systems and access points there are; shared, since there may be thousands.
    pub catalog: Arc<Catalog>,
    /// Where this service differs from the reference on purpose.
    pub policy: PlanPolicy,
    /// The jobs that move data.
    pub data_sync: DataSyncJobs,
    /// How long each step's command may run.
    pub timeouts: StepTimeouts,
    /// Under a demand's `file_system_configurations`.
    pub file_systems: FileSystemConfigurations,
    /// Under a demand's `context_manager_configuration`.
    pub configuration: ContextConfiguration,
}

/// `dev`, `test` or `prod`, perhaps with `-<label>` of word characters (the reference's
/// `EnvBase`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct EnvBase(String);

impl EnvBase {
    /// Takes `text` as an environment base if it is one.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let rest = ["dev", "test", "prod"].iter().find_map(|kind| text.strip_prefix(kind));
        let label = rest.map(|rest| rest.strip_prefix('-').unwrap_or(rest));
        let fits = match (rest, label) {
            (Some(""), _) => true,
            (Some(rest), Some(label)) => {
                rest.starts_with('-') && !label.is_empty() && label.chars().all(is_word)
            }
            _ => false,
        };
        if fits { Ok(Self(text.to_owned())) } else { Err(SiteError::EnvBase(text.to_owned())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EnvBase {
    type Error = SiteError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

/// Where this service differs from the reference on purpose; `true`, `true` and either writer
/// restore what the reference does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PlanPolicy {
    /// Whether commands run with root's power over their hosts.
    pub privileged: bool,
    /// Whether an output's destination loses what the output does not hold.
    pub mirror_outputs: bool,
    /// Who writes env files.
    pub env_file_writer: EnvFileWriter,
}

/// Who writes env files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvFileWriter {
    /// Nobody: variables are passed directly.
    None,
    /// The worker of the step `stage_in`.
    #[default]
    StageIn,
}

/// The jobs that move data: same binary, own image and resources.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DataSyncJobs {
    /// The image whose `demand` runs.
    pub image: String,
    /// The queue; the demand's own where absent.
    pub job_queue: Option<String>,
    /// The IAM role, which needs S3.
    pub job_role: Option<String>,
    /// Memory in MiB.
    pub memory: u32,
    /// Virtual CPUs.
    pub vcpus: u32,
}

impl Default for DataSyncJobs {
    fn default() -> Self {
        Self { image: "demand".to_owned(), job_queue: None, job_role: None, memory: 2048, vcpus: 1 }
    }
}

/// How long one try of each step's command may run, in seconds; for ever where absent. AWS Batch
/// takes 60 at least (`AttemptDurationSeconds`,
/// <https://docs.aws.amazon.com/batch/latest/APIReference/API_JobTimeout.html>). They are sent with
/// each submission, so that they make no definitions of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepTimeouts {
    /// Bringing the inputs.
    pub stage_in: Option<u32>,
    /// The user's command.
    pub execute: Option<u32>,
    /// Taking the outputs away.
    pub wrap_up: Option<u32>,
    /// Removing the working directory.
    pub clean_up: Option<u32>,
}

impl StepTimeouts {
    /// The step's, as a job takes it.
    pub(super) fn of(self, step: Step) -> Option<Timeout> {
        let seconds = match step {
            Step::StageIn => self.stage_in,
            Step::Execute => self.execute,
            Step::WrapUp => self.wrap_up,
            Step::CleanUp => self.clean_up,
        };
        seconds.map(|attempt_duration_seconds| Timeout { attempt_duration_seconds })
    }
}

/// Why a site cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Not an environment base.
    #[error("`{0}` is no env_base: dev, test or prod, with an optional -label")]
    EnvBase(String),
    /// Faults in one of the two configurations.
    #[error("the site's own configurations cannot be used: {0}")]
    Configuration(Faults),
}

/// `SITE.json`.
#[derive(Deserialize)]
struct SiteFile {
    env_base: EnvBase,
    region: String,
    catalog: Catalog,
    #[serde(default)]
    plan: PlanPolicy,
    #[serde(default)]
    data_sync: DataSyncJobs,
    #[serde(default)]
    timeouts: StepTimeouts,
    #[serde(default)]
    file_system_configurations: Option<Value>,
    #[serde(default)]
    context_manager_configuration: Option<Value>,
}

impl TryFrom<SiteFile> for Site {
    type Error = SiteError;

    fn try_from(file: SiteFile) -> Result<Self, Self::Error> {
        let configurations = Configurations::read(
            file.file_system_configurations.as_ref(),
            file.context_manager_configuration.as_ref(),
        )?;
        Ok(Self {
            env_base: file.env_base,
            region: file.region,
            catalog: Arc::new(file.catalog),
            policy: file.plan,
            data_sync: file.data_sync,
            timeouts: file.timeouts,
            file_systems: configurations.file_systems,
            configuration: configurations.context,
        })
    }
}

/// A site's own configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configurations {
    /// `file_system_configurations`.
    pub file_systems: FileSystemConfigurations,
    /// `context_manager_configuration`.
    pub context: ContextConfiguration,
}

impl Configurations {
    /// Reads both in the shapes a request has them in.
    pub fn read(file_systems: Option<&Value>, context: Option<&Value>) -> Result<Self, SiteError> {
        let (mut read, mut found) = (Self::default(), Vec::new());
        let root = Pointer::default();
        if let Some(value) = file_systems {
            let at = root.key("file_system_configurations");
            read.file_systems = FileSystemConfigurations::read(value, at, &mut found);
        }
        if let Some(value) = context {
            let at = root.key("context_manager_configuration");
            read.context = ContextConfiguration::read(value, at, &mut found);
        }
        Faults::or(found, read).map_err(SiteError::Configuration)
    }
}
