//! The request's shape for the OpenAPI document: the reference's DemandExecution (core 1.1.0) with
//! its optional siblings. What is taken is decided by [`crate::demand`], which coerces as the
//! reference does and names every fault; these types only describe.

use indexmap::IndexMap;
use serde_json::Value;
use utoipa::ToSchema;

/// A demand execution, with optional configurations beside it.
#[derive(ToSchema)]
pub struct DemandRequest {
    /// The kind of computation; part of the names of its jobs.
    #[schema(example = "align-reads")]
    pub execution_type: String,
    /// One safe path segment; the service makes one (UUIDv7) when it is absent.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", nullable = false)]
    pub execution_id: Option<String>,
    /// The container image.
    #[schema(example = "ghcr.io/acme/align:1.2")]
    pub execution_image: String,
    /// Command, parameters, inputs and outputs.
    #[schema(nullable = false)]
    pub execution_parameters: Option<ExecutionParameters>,
    /// Who and what for.
    #[schema(nullable = false)]
    pub execution_metadata: Option<ExecutionMetadata>,
    /// Where it runs.
    pub execution_platform: ExecutionPlatform,
    /// What it needs.
    #[schema(nullable = false)]
    pub resource_requirements: Option<ResourceRequirements>,
    /// Candidates for the volumes; the service's defaults without it.
    #[schema(nullable = false)]
    pub file_system_configurations: Option<FileSystemConfigurations>,
    /// How inputs, outputs and the working directory are treated; the service's defaults without
    /// it.
    #[schema(nullable = false)]
    pub context_manager_configuration: Option<ContextManagerConfiguration>,
}

/// Command, parameters, inputs and outputs.
#[derive(ToSchema)]
pub struct ExecutionParameters {
    /// The words of the command, joined by spaces and run by bash; they may name parameters as
    /// `${NAME}`.
    pub command: Vec<String>,
    /// Parameters by name; each is an environment variable of the command. An input's value is an
    /// S3 path, or `s3://… @ local`; an output's is `local @ s3://…`, or a local path below
    /// `output_s3_prefix`; either may be an object with `local` and `remote`. Values may name other
    /// parameters as `${NAME}`.
    #[schema(nullable = false)]
    pub params: Option<IndexMap<String, Value>>,
    /// The parameters that are brought from S3 before the command runs.
    #[schema(nullable = false)]
    pub inputs: Option<Vec<String>>,
    /// The parameters that are taken to S3 after the command has succeeded.
    #[schema(nullable = false)]
    pub outputs: Option<Vec<String>>,
    /// Free-form facts about outputs.
    #[schema(nullable = false)]
    pub outputs_metadata: Option<IndexMap<String, IndexMap<String, Value>>>,
    /// Where outputs without a destination of their own go.
    #[schema(example = "s3://bucket/prefix/", nullable = false)]
    pub output_s3_prefix: Option<String>,
    /// Which inputs belong to which outputs.
    #[schema(nullable = false)]
    pub param_pair_overrides: Option<Vec<Value>>,
    /// Passed on.
    #[schema(nullable = false)]
    pub verbosity: Option<bool>,
}

/// Who and what for.
#[derive(ToSchema)]
pub struct ExecutionMetadata {
    /// Who it is for.
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// Free-form tags; lists filter by them.
    #[schema(nullable = false)]
    pub tags: Option<IndexMap<String, String>>,
    /// Which statuses somebody wants to hear of; passed on.
    #[schema(nullable = false)]
    pub notify_on: Option<IndexMap<String, bool>>,
    /// Who wants to hear; passed on.
    #[schema(nullable = false)]
    pub notify_list: Option<Vec<String>>,
    /// The state machine that sent it; passed on.
    #[schema(nullable = false)]
    pub arn: Option<String>,
}

/// Where it runs.
#[derive(ToSchema)]
pub struct ExecutionPlatform {
    /// On AWS Batch, or on the local engine that stands in for it.
    pub aws_batch: AwsBatchPlatform,
}

/// An AWS Batch queue and role.
#[derive(ToSchema)]
pub struct AwsBatchPlatform {
    /// The queue.
    pub job_queue_name: String,
    /// The role its command has.
    #[schema(nullable = false)]
    pub job_role: Option<String>,
}

/// What it needs; absent or 0 leaves it to the job definition.
#[derive(ToSchema)]
pub struct ResourceRequirements {
    /// GPUs.
    #[schema(minimum = 0, nullable = false)]
    pub gpu: Option<u32>,
    /// Memory in MiB.
    #[schema(minimum = 0, nullable = false)]
    pub memory: Option<u32>,
    /// Virtual CPUs.
    #[schema(minimum = 0, nullable = false)]
    pub vcpus: Option<u32>,
}

/// Candidates for the volumes.
#[derive(ToSchema)]
pub struct FileSystemConfigurations {
    /// For inputs shared between demands; one of them is chosen by the `execution_id`.
    #[schema(nullable = false)]
    pub shared: Option<Vec<FileSystemConfiguration>>,
    /// For the working directory.
    #[schema(nullable = false)]
    pub scratch: Option<Vec<FileSystemConfiguration>>,
    /// For temporary files; beside the working directories without it.
    #[schema(nullable = false)]
    pub tmp: Option<Vec<FileSystemConfiguration>>,
    /// How one is chosen.
    #[schema(nullable = false)]
    pub selection_strategy: Option<SelectionStrategy>,
}

/// How one of several candidates is chosen.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SelectionStrategy {
    /// By chance, seeded with the `execution_id`.
    Random,
}

/// One candidate.
#[derive(ToSchema)]
pub struct FileSystemConfiguration {
    /// Id, name or ARN of the file system.
    #[schema(nullable = false)]
    pub file_system: Option<String>,
    /// Id, name or ARN of the access point.
    #[schema(nullable = false)]
    pub access_point: Option<String>,
    /// Where it is mounted.
    #[schema(nullable = false)]
    pub container_path: Option<String>,
}

/// How inputs, outputs and the working directory are treated.
#[derive(ToSchema)]
pub struct ContextManagerConfiguration {
    /// Whether inputs go into the working directory instead of the shared volume; `true` without it.
    #[schema(nullable = false)]
    pub isolate_inputs: Option<bool>,
    /// Whether inputs are removed in the end; `true` without it.
    #[schema(nullable = false)]
    pub cleanup_inputs: Option<bool>,
    /// Whether the working directory is removed in the end; `true` without it.
    #[schema(nullable = false)]
    pub cleanup_working_dir: Option<bool>,
    /// Whether parameters reach the command through a file: `ALWAYS`, `IF_REQUIRED` (too many for
    /// a job's environment) or `NEVER`.
    #[schema(nullable = false)]
    pub env_file_write_mode: Option<EnvFileWriteMode>,
    /// How inputs are transferred.
    #[schema(nullable = false)]
    pub input_data_sync_configuration: Option<DataSyncConfiguration>,
    /// How outputs are transferred.
    #[schema(nullable = false)]
    pub output_data_sync_configuration: Option<DataSyncConfiguration>,
}

/// When parameters reach the command through a file.
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EnvFileWriteMode {
    /// Whenever something can write the file.
    Always,
    /// When they are too many for a job's environment.
    IfRequired,
    /// Never.
    Never,
}

/// How data is transferred.
#[derive(ToSchema)]
pub struct DataSyncConfiguration {
    /// An S3 prefix for large requests.
    #[schema(nullable = false)]
    pub temporary_request_payload_path: Option<String>,
    /// Whether to transfer what is there already; `false` without it.
    #[schema(nullable = false)]
    pub force: Option<bool>,
    /// Whether equal sizes are enough to skip; `true` without it.
    #[schema(nullable = false)]
    pub size_only: Option<bool>,
}
