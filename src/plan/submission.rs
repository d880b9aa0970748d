//! What a plan asks of an engine: its steps, and each step's calls as AWS Batch takes them.
//!
//! Shapes are those of `RegisterJobDefinition` and `SubmitJob`
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html>), camelCase.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::data_sync::{DataSyncRequest, RemoveDataPathsRequest};

/// One Batch job of a demand.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Brings the inputs and writes the env file.
    StageIn,
    /// Runs the user's command.
    Execute,
    /// Takes the outputs away, then removes what is to be removed.
    WrapUp,
    /// Removals only, after a failure or cancellation; outside the phases.
    CleanUp,
}

impl Step {
    /// The step's name in the API, in job names and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StageIn => "stage_in",
            Self::Execute => "execute",
            Self::WrapUp => "wrap_up",
            Self::CleanUp => "clean_up",
        }
    }
}

/// One step with all that is needed to run it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedStep {
    /// Which step.
    pub step: Step,
    /// What the worker does in it; absent for `execute`, whose command is the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub task: Option<Task>,
    /// The definition its job runs on.
    pub job_definition: JobDefinition,
    /// The call that submits attempt 1; `jobDefinition` and `dependsOn` are completed with what
    /// is known only then.
    pub submit_job: SubmitJob,
    /// Sizes against AWS's limits.
    pub budgets: Vec<Budget>,
}

/// What `demand sync` does for one step: the env file, the transfers, then the removals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// The demand it belongs to.
    pub execution_id: String,
    /// The step it is.
    pub step: Step,
    /// Where file systems are mounted in the job; EFS URIs are resolved through these.
    pub mounts: Vec<Mount>,
    /// The demand's working directory as the job sees it; absolute.
    pub working_path: String,
    /// Written before anything is transferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub env_file: Option<EnvFile>,
    /// Transfers, in order.
    #[serde(default)]
    pub data_sync_requests: Vec<DataSyncRequest>,
    /// Removals, after every transfer succeeded.
    #[serde(default)]
    pub remove_data_paths_requests: Vec<RemoveDataPathsRequest>,
}

/// A mounted file system, as the reference's `MountPointConfiguration` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mount {
    /// `fs-…`.
    pub file_system: String,
    /// `fsap-…`, where the mount goes through an access point.
    #[schema(required)]
    pub access_point: Option<String>,
    /// The access point's root directory on the file system; `/` without one.
    pub access_point_path: String,
    /// Where it is mounted in the container.
    pub mount_point: String,
}

/// Environment variables that reach the command through a file it sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvFile {
    /// Absolute path in the container.
    pub path: String,
    /// The variables in the file.
    pub environment: IndexMap<String, String>,
}

/// A size against the limit it must respect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Budget {
    /// What is measured: `container_overrides`, `submit_job`, `job_definition`, `job_name`, …
    pub name: String,
    /// Its size, in bytes (names: characters).
    pub used: u64,
    /// AWS's limit in the same unit.
    pub limit: u64,
}

/// A job definition, identified by its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobDefinition {
    /// SHA-256, hex, of the canonical JSON of `register`, without the tag that carries the hash.
    pub content_hash: String,
    /// The call that registers it.
    pub register: RegisterJobDefinition,
}

/// `RegisterJobDefinition`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterJobDefinition {
    /// The name; revisions of it differ in content.
    pub job_definition_name: String,
    /// Always `container`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Image, volumes, mounts and what else cannot be overridden at submission.
    pub container_properties: ContainerProperties,
    /// Batch's own tries inside a job.
    pub retry_strategy: RetryStrategy,
    /// Ends a try that runs longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timeout: Option<Timeout>,
    /// The definition's tags.
    pub tags: IndexMap<String, String>,
}

/// What a job's container is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProperties {
    /// The image.
    pub image: String,
    /// The command, where the submission does not override it.
    pub command: Vec<String>,
    /// The IAM role of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_role_arn: Option<String>,
    /// `VCPU`, `MEMORY` (MiB) and `GPU`, where the submission does not override them.
    pub resource_requirements: Vec<ResourceRequirement>,
    /// Mount points, as in the reference's answer.
    pub mount_points: Vec<MountPoint>,
    /// Volumes, as in the reference's answer.
    pub volumes: Vec<Volume>,
    /// Whether the container runs with root's power over its host.
    pub privileged: bool,
}

/// `SubmitJob`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubmitJob {
    /// At most 128 characters of `[A-Za-z0-9_-]`.
    pub job_name: String,
    /// Name or ARN of the queue.
    pub job_queue: String,
    /// `name`, or `name:revision` once registered.
    pub job_definition: String,
    /// The jobs that must succeed first.
    pub depends_on: Vec<JobDependency>,
    /// What this job has of its own.
    pub container_overrides: ContainerOverrides,
    /// Overrides the definition's.
    pub retry_strategy: RetryStrategy,
    /// Ends a try that runs longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timeout: Option<Timeout>,
    /// The job's tags.
    pub tags: IndexMap<String, String>,
    /// Whether the tags reach the ECS task.
    pub propagate_tags: bool,
}

/// A job that must succeed first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobDependency {
    /// Its id.
    pub job_id: String,
}

/// What a submission puts over its definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerOverrides {
    /// The command, one element an argument.
    pub command: Vec<String>,
    /// Environment variables, in order.
    pub environment: Vec<KeyValuePair>,
    /// `VCPU`, `MEMORY` (MiB) and `GPU`.
    pub resource_requirements: Vec<ResourceRequirement>,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyValuePair {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// An amount of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceRequirement {
    /// `GPU`, `MEMORY` or `VCPU`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The amount, as a string; memory in MiB.
    pub value: String,
}

/// Where a volume is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MountPoint {
    /// Whether the container may not write to it.
    pub read_only: bool,
    /// Absolute path in the container.
    pub container_path: String,
    /// The volume's name.
    pub source_volume: String,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What it is.
    pub efs_volume_configuration: EfsVolumeConfiguration,
}

/// An EFS file system as a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EfsVolumeConfiguration {
    /// `fs-…`.
    pub file_system_id: String,
    /// `/`, as an access point demands.
    pub root_directory: String,
    /// `ENABLED` with an access point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub transit_encryption: Option<String>,
    /// The access point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub authorization_config: Option<EfsAuthorizationConfig>,
}

/// How a volume's file system is entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EfsAuthorizationConfig {
    /// `fsap-…`.
    pub access_point_id: String,
    /// `DISABLED`, as in the reference.
    pub iam: String,
}

/// When Batch runs a job's command again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryStrategy {
    /// 1 to 10.
    pub attempts: u32,
    /// At most five; the first that matches decides, and none matching means a retry.
    pub evaluate_on_exit: Vec<EvaluateOnExit>,
}

/// A rule about one way of ending. A pattern may end in `*`; every given one must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvaluateOnExit {
    /// `RETRY` or `EXIT`.
    pub action: String,
    /// Matched against the try's status reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub on_status_reason: Option<String>,
    /// Matched against the container's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub on_reason: Option<String>,
    /// Matched against the exit code in decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub on_exit_code: Option<String>,
}

/// Ends a try that runs longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeout {
    /// At least 60.
    pub attempt_duration_seconds: u32,
}
