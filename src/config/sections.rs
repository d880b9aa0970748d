//! The sections of the configuration, each with its keys and their defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::settings::{JwksSource, LogFormat};
use crate::plan::site::EnvFileWriter;

/// `[store]`: the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The SQLite file. `demand.sqlite3`; in local mode that file in `local.data_dir`.
    pub path: PathBuf,
    /// How long a demand that has ended is kept; for ever without it.
    pub retention: Option<Duration>,
}

/// `[plan]`: where plans may differ from the reference's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whether containers run privileged. `false`.
    pub privileged: bool,
    /// Whether what an output's destination has beside the output is deleted. `false`.
    pub mirror_outputs: bool,
    /// Who writes the env file. `stage_in`.
    pub env_file_writer: EnvFileWriter,
}

/// `[lifecycle]`: how long the service waits for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// How long the working directory of a failed or canceled demand is kept; 0 removes it at
    /// once. 72 h.
    pub failed_retention: Duration,
    /// How long a job that was perhaps submitted may stay invisible to `ListJobs` before it is
    /// submitted again. 30 s; in local mode 0, whose engine tells at once.
    pub look_up_grace: Duration,
    /// How long a job may be unknown to DescribeJobs before it is `LOST`. 10 min; in local mode
    /// 10 s.
    pub lost_grace: Duration,
    /// How often a job that was just submitted is observed. 1 s.
    pub observe_min: Duration,
    /// How often a job of old age is observed. 1 min.
    pub observe_max: Duration,
    /// How long requests and tasks under way may take to end once the service is asked to stop.
    /// 30 s.
    pub shutdown_grace: Duration,
}

/// `[data_sync]`: the jobs of the steps `stage_in`, `wrap_up` and `clean_up`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSync {
    /// The image that has the worker (`demand sync`). Required but in local mode, which ignores
    /// images.
    pub image: String,
    /// The queue they go to; the demand's own without it.
    pub job_queue: Option<String>,
    /// The IAM role they run as, an ARN.
    pub job_role: Option<String>,
    /// Their memory, in MiB. 2048.
    pub memory: u32,
    /// Their vCPUs. 1.
    pub vcpus: u32,
    /// Where tasks too large for a job's environment are put: `s3://bucket/prefix`.
    pub payload_prefix: Option<String>,
}

/// `[aws]`: how AWS is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// The endpoint of every AWS API that the service calls; AWS's own, or those that
    /// `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_…` name, without it.
    pub endpoint_url: Option<String>,
}

/// `[efs]`: the catalogue of file systems and access points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Efs {
    /// How old it may grow before it is read again. 5 min.
    pub cache_ttl: Duration,
}

/// `[batch]`: AWS Batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The SQS queue that EventBridge feeds with *Batch Job State Change*.
    pub events_queue_url: Option<String>,
    /// The CloudWatch log group of the jobs; `/aws/batch/job` without it.
    pub log_group: Option<String>,
    /// The job queues the service is ready with, which `demand check` looks at. None.
    pub job_queues: Vec<String>,
}

/// `[auth]`: who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Whether anybody who reaches the service may use it, beyond loopback too. `false`.
    pub insecure_allow_anonymous: bool,
    /// The tokens that `demand token` makes; callers must have one of them, or a JWT.
    pub tokens_file: Option<PathBuf>,
    /// `[auth.jwt]`: tokens of an identity provider.
    pub jwt: Option<Jwt>,
}

impl Auth {
    /// Whether callers must say who they are.
    pub fn is_required(&self) -> bool {
        self.tokens_file.is_some() || self.jwt.is_some()
    }
}

/// `[auth.jwt]`: JSON Web Tokens that are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// The provider, as tokens name it in `iss`.
    pub issuer: String,
    /// This service, as tokens name it in `aud`.
    pub audience: String,
    /// `jwks`: where the provider's keys are.
    pub keys: JwksSource,
}

/// `[http]`: bounds and cross-origin access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// The largest body taken, in bytes. 1 MiB.
    pub body_limit: usize,
    /// How long a request may take; longer than [`LONGEST_HOLD`](super::LONGEST_HOLD). 60 s.
    pub timeout: Duration,
    /// Requests under way at once; those beyond are answered 503. 1024.
    pub max_concurrency: usize,
    /// Origins whose pages may call the service. None.
    pub cors_origins: Vec<String>,
}

/// `[traces]`: where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// The base URL of an OTLP collector, HTTP with Protobuf; `OTEL_EXPORTER_OTLP_ENDPOINT`, and
    /// without both nothing is traced.
    pub endpoint: Option<String>,
}

/// `[local]`: local mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Where everything is kept. `.demand`.
    pub data_dir: PathBuf,
    /// vCPU slots for jobs; as many as this machine has CPUs without it.
    pub slots: Option<u32>,
}

/// `[log]`: what is logged, to stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `text` or `json`. `text`.
    pub format: LogFormat,
    /// A level, or directives of `tracing_subscriber`'s `EnvFilter`; the environment variable
    /// `RUST_LOG` wins. `info`.
    pub level: String,
}
