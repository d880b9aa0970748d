//! The jobs that move data: the same binary, running `demand sync` on the demand's own volumes.

use indexmap::IndexMap;

use super::{
    batch_job::retry_strategy,
    context::ExecutionContext,
    definition, naming,
    site::Site,
    submission::{
        ContainerOverrides, ContainerProperties, JobDefinition, KeyValuePair, MountPoint,
        RegisterJobDefinition,
    },
    volume::Volume,
};

/// The worker's command; it finds its task in [`TASK_VARIABLE`].
pub const COMMAND: [&str; 3] = ["demand", "sync", "--task"];

/// The variable that holds the worker's task, as compact JSON; an engine puts the place of it there
/// instead (a file's absolute path, an S3 path) where it is too large for a job's environment.
pub const TASK_VARIABLE: &str = "DEMAND_TASK";

/// The definition of a worker: the demand's volumes at the same paths, the shared one writable.
///
/// Its name is one for all of a site; sets of volumes are its revisions, told apart by content.
pub(super) fn definition(context: &ExecutionContext, site: &Site) -> JobDefinition {
    let jobs = &site.data_sync;
    let writable = |mount: MountPoint| MountPoint { read_only: false, ..mount };
    definition::hashed(RegisterJobDefinition {
        job_definition_name: naming::prefixed(site.env_base.as_str(), &["data-sync"]),
        kind: "container".to_owned(),
        container_properties: ContainerProperties {
            image: jobs.image.clone(),
            command: command(),
            job_role_arn: jobs.job_role.clone(),
            resource_requirements: definition::requirements(&[
                ("MEMORY", u64::from(jobs.memory)),
                ("VCPU", u64::from(jobs.vcpus)),
            ]),
            mount_points: context
                .volumes()
                .iter()
                .map(|volume| writable(volume.to_mount_point()))
                .collect(),
            volumes: context.volumes().iter().map(Volume::to_volume).collect(),
            privileged: false,
        },
        retry_strategy: retry_strategy(),
        timeout: None,
        tags: IndexMap::new(),
    })
}

/// What a worker's submission puts over its definition: its task, as JSON.
pub(super) fn overrides(task: &str, site: &Site) -> ContainerOverrides {
    let variable =
        |name: &str, value: &str| KeyValuePair { name: name.to_owned(), value: value.to_owned() };
    ContainerOverrides {
        command: command(),
        environment: vec![variable("AWS_REGION", &site.region), variable(TASK_VARIABLE, task)],
        resource_requirements: Vec::new(),
    }
}

fn command() -> Vec<String> {
    COMMAND.map(str::to_owned).to_vec()
}
