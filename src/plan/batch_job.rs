//! The Batch job that runs the user's command (the reference's `generate_batch_job_builder`).

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    PlanErrors,
    context::{ExecutionContext, batch_job_queue_name},
    env_file,
    mount_point::container_path,
    naming::{self, JobNames, REVISION_DIGITS, VOLUME_COMPONENT_BUDGET},
    site::{EnvFileWriter, Site},
    submission::{
        EnvFile, EvaluateOnExit, MountPoint, ResourceRequirement, RetryStrategy, Step, Volume,
    },
    volume::Volume as MountedVolume,
};
use crate::demand::{
    Demand,
    configuration::EnvFileWriteMode,
    fault::{Code, Fault, Faults},
    python::PurePath,
};

/// The reference's `CreateDefinitionAndPrepareArgsRequest`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchCreateRequest {
    /// The container image.
    pub image: String,
    /// The job definition's name.
    pub job_definition_name: String,
    /// The queue.
    pub job_queue_name: String,
    /// The command's IAM role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_role_arn: Option<String>,
    /// The job's name.
    pub job_name: String,
    /// One element an argument.
    pub command: Vec<String>,
    /// Variables passed directly.
    pub environment: IndexMap<String, String>,
    /// Tags of the job definition.
    pub job_definition_tags: IndexMap<String, String>,
    /// GPUs, memory in MiB, vCPUs.
    pub resource_requirements: Vec<ResourceRequirement>,
    /// Where volumes are mounted.
    pub mount_points: Vec<MountPoint>,
    /// The volumes.
    pub volumes: Vec<Volume>,
    /// When Batch runs the command again.
    pub retry_strategy: RetryStrategy,
    /// Whether it runs with root's power over its host.
    pub privileged: bool,
}

/// The job and what reaches its command through a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BatchJob {
    pub create: BatchCreateRequest,
    pub env_file: Option<EnvFile>,
    pub names: JobNames,
}

impl BatchJob {
    pub fn of(
        context: &ExecutionContext,
        site: &Site,
        mode: EnvFileWriteMode,
    ) -> Result<Self, PlanErrors> {
        let demand = context.demand();
        let names = Names::unchecked(demand, site);
        let mut faults = names.faults(context);
        let environment = environment(context, &mut faults);
        let queue = batch_job_queue_name(demand)?.to_owned();
        let mut job = Self {
            create: BatchCreateRequest {
                image: demand.execution_image().to_owned(),
                job_definition_name: names.job_definition,
                job_queue_name: queue,
                job_role_arn: demand.aws_batch().and_then(|platform| platform.job_role.clone()),
                job_name: names.jobs.job_name(Step::Execute, 1),
                command: command(demand, false),
                environment: with_site(environment.clone(), site),
                job_definition_tags: IndexMap::from([("USER".to_owned(), user_tag(demand))]),
                resource_requirements: resource_requirements(demand),
                mount_points: context.volumes().iter().map(MountedVolume::to_mount_point).collect(),
                volumes: context.volumes().iter().map(MountedVolume::to_volume).collect(),
                retry_strategy: retry_strategy(),
                privileged: site.policy.privileged,
            },
            env_file: None,
            names: names.jobs,
        };
        if writes_file(&job.create, &environment, site.policy.env_file_writer, mode) {
            job.use_file(context, site, environment);
        }
        Faults::or(faults, job)
    }

    fn use_file(
        &mut self,
        context: &ExecutionContext,
        site: &Site,
        environment: IndexMap<String, String>,
    ) {
        let demand = context.demand();
        let words = || {
            let before = PREPARE.iter().flat_map(|words| words.iter().copied());
            demand.parameters().command().iter().map(String::as_str).chain(before)
        };
        let (mut direct, in_file) = env_file::split(environment, words());
        let seen = command_directory(context).join(env_file::NAME);
        direct.insert(env_file::VARIABLE.to_owned(), seen.to_string());
        self.create.environment = with_site(direct, site);
        self.create.command = command(demand, true);
        let path = context.working_path().container.join(env_file::NAME);
        self.env_file = Some(EnvFile { path: path.to_string(), environment: in_file });
    }
}

/// What every command is preceded by.
const PREPARE: [&[&str]; 3] =
    [&["mkdir", "-p", "${WORKING_DIR}"], &["mkdir", "-p", "${TMPDIR}"], &["cd", "${WORKING_DIR}"]];

/// The user's command behind what prepares its directories, as one line for bash.
fn command(demand: &Demand, with_file: bool) -> Vec<String> {
    let mut parts: Vec<String> = PREPARE.iter().map(|words| words.join(" ")).collect();
    if with_file {
        parts.push(format!(". ${{{}}}", env_file::VARIABLE));
    }
    parts.push(demand.parameters().command().join(" "));
    vec!["/bin/bash".to_owned(), "-c".to_owned(), parts.join(" && ")]
}

/// What the working directory is called in the command: its place on EFS, seen through the first
/// mount that reaches it.
fn command_directory(context: &ExecutionContext) -> PurePath {
    let place = context.working_path();
    container_path(&place.efs, context.mounts()).unwrap_or_else(|| place.container.clone())
}

/// The demand's own variables, then its parameters'.
fn environment(context: &ExecutionContext, faults: &mut Vec<Fault>) -> IndexMap<String, String> {
    let demand = context.demand();
    let tmp = context.tmp_path();
    let tmp_path =
        container_path(&tmp.efs, context.mounts()).unwrap_or_else(|| tmp.container.clone());
    let mut environment = IndexMap::from([
        ("EXECUTION_ID".to_owned(), demand.execution_id().to_string()),
        ("WORKING_DIR".to_owned(), command_directory(context).to_string()),
        ("TMPDIR".to_owned(), tmp_path.to_string()),
    ]);
    for parameter in demand.parameters().job_parameters() {
        let name = &parameter.env_name;
        match environment.get(name) {
            Some(taken) if *taken != parameter.value => {
                let place = demand.places().params.key(&parameter.name);
                let detail = format!("{name} is always `{taken}`");
                faults.push(place.fault(Code::NameCollision, detail));
            }
            _ => {
                environment.insert(name.clone(), parameter.value.clone());
            }
        }
    }
    environment
}

/// The site's variables are over everything a parameter may say.
fn with_site(mut environment: IndexMap<String, String>, site: &Site) -> IndexMap<String, String> {
    environment.insert("ENV_BASE".to_owned(), site.env_base.as_str().to_owned());
    environment.insert("AWS_REGION".to_owned(), site.region.clone());
    environment
}

fn writes_file(
    create: &BatchCreateRequest,
    environment: &IndexMap<String, String>,
    writer: EnvFileWriter,
    mode: EnvFileWriteMode,
) -> bool {
    match (writer, mode) {
        (EnvFileWriter::None, _) | (_, EnvFileWriteMode::Never) => false,
        (EnvFileWriter::StageIn, EnvFileWriteMode::Always) => true,
        (EnvFileWriter::StageIn, EnvFileWriteMode::IfRequired) => {
            env_file::is_large_in_python(environment) || env_file::is_too_large_to_send(create)
        }
    }
}

/// What a demand's job definition and jobs are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The definition of the step `execute`.
    pub job_definition: String,
    /// The jobs of every step and attempt.
    pub jobs: JobNames,
}

impl Names {
    /// The names on that site; an error where AWS Batch would not take them.
    pub fn of(context: &ExecutionContext, site: &Site) -> Result<Self, PlanErrors> {
        let names = Self::unchecked(context.demand(), site);
        Faults::or(names.faults(context), names)
    }

    fn unchecked(demand: &Demand, site: &Site) -> Self {
        let (env_base, kind) = (site.env_base.as_str(), demand.execution_type());
        Self {
            job_definition: naming::prefixed(env_base, &[kind, &demand.loose_hash()]),
            jobs: JobNames {
                prefix: naming::prefixed(env_base, &[kind]),
                strict_hash: demand.strict_hash(),
            },
        }
    }

    fn faults(&self, context: &ExecutionContext) -> Vec<Fault> {
        let place = &context.demand().places().execution_type;
        let mut faults = Vec::new();
        // All its names have one shape and length.
        if !naming::is_job_name(&self.job_definition) {
            let detail = format!(
                "AWS Batch takes nothing named `{}`: at most {} of `A-Z a-z 0-9 _ -`",
                self.job_definition,
                naming::JOB_NAME_LIMIT
            );
            faults.push(place.fault(Code::InvalidName, detail));
        }
        let used = volume_component_size(&self.job_definition, context);
        if used > VOLUME_COMPONENT_BUDGET {
            let detail = format!(
                "`{}`, its revision and a volume's name have {used} characters together; \
                 EFS volumes mount with at most {VOLUME_COMPONENT_BUDGET}",
                self.job_definition
            );
            faults.push(place.fault(Code::InvalidName, detail));
        }
        faults
    }
}

/// What [`VOLUME_COMPONENT_BUDGET`] limits.
pub(super) fn volume_component_size(definition: &str, context: &ExecutionContext) -> usize {
    let names = context.volumes().iter().map(|volume| volume.name().len());
    definition.chars().count() + REVISION_DIGITS + names.max().unwrap_or(0)
}

fn user_tag(demand: &Demand) -> String {
    demand.user().filter(|user| !user.is_empty()).unwrap_or("unknown").to_owned()
}

fn resource_requirements(demand: &Demand) -> Vec<ResourceRequirement> {
    demand
        .resources()
        .by_kind()
        .map(|(kind, amount)| ResourceRequirement {
            kind: kind.to_owned(),
            value: amount.to_string(),
        })
        .collect()
}

/// Again where the host or the start of the container failed, five times in all; never because
/// the command failed (the reference's `build_retry_strategy`).
pub(super) fn retry_strategy() -> RetryStrategy {
    let rule = |action: &str, status_reason: &str, reason: Option<&str>| EvaluateOnExit {
        action: action.to_owned(),
        on_status_reason: Some(status_reason.to_owned()),
        on_reason: reason.map(str::to_owned),
        on_exit_code: None,
    };
    RetryStrategy {
        attempts: 5,
        evaluate_on_exit: vec![
            rule("RETRY", "Task failed to start", Some("DockerTimeoutError*")),
            rule("RETRY", "Host EC2*", None),
            rule("EXIT", "*", None),
        ],
    }
}
