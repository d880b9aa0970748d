//! Calls of the plan in the SDK's types.

use std::collections::HashMap;

use aws_sdk_batch::operation::register_job_definition::builders::RegisterJobDefinitionInputBuilder;
use aws_sdk_batch::operation::submit_job::builders::SubmitJobInputBuilder;
use aws_sdk_batch::types;
use indexmap::IndexMap;

use crate::plan::submission::{
    ContainerOverrides, ContainerProperties, MountPoint, RegisterJobDefinition,
    ResourceRequirement, RetryStrategy, SubmitJob, Timeout, Volume,
};

pub(super) fn submit_job(job: &SubmitJob) -> SubmitJobInputBuilder {
    let depends_on = job
        .depends_on
        .iter()
        .map(|other| types::JobDependency::builder().job_id(&other.job_id).build());
    SubmitJobInputBuilder::default()
        .job_name(&job.job_name)
        .job_queue(&job.job_queue)
        .job_definition(&job.job_definition)
        .set_depends_on(some(depends_on.collect()))
        .container_overrides(container_overrides(&job.container_overrides))
        .retry_strategy(retry_strategy(&job.retry_strategy))
        .set_timeout(job.timeout.map(timeout))
        .set_tags(tags(&job.tags))
        .propagate_tags(job.propagate_tags)
}

pub(super) fn register_job_definition(
    definition: &RegisterJobDefinition,
) -> RegisterJobDefinitionInputBuilder {
    RegisterJobDefinitionInputBuilder::default()
        .job_definition_name(&definition.job_definition_name)
        .r#type(definition.kind.as_str().into())
        .container_properties(container_properties(&definition.container_properties))
        .retry_strategy(retry_strategy(&definition.retry_strategy))
        .set_timeout(definition.timeout.map(timeout))
        .set_tags(tags(&definition.tags))
}

pub(super) fn container_properties(wanted: &ContainerProperties) -> types::ContainerProperties {
    types::ContainerProperties::builder()
        .image(&wanted.image)
        .set_command(some(wanted.command.clone()))
        .set_job_role_arn(wanted.job_role_arn.clone())
        .set_resource_requirements(resource_requirements(&wanted.resource_requirements))
        .set_mount_points(some(wanted.mount_points.iter().map(mount_point).collect()))
        .set_volumes(some(wanted.volumes.iter().map(volume).collect()))
        .privileged(wanted.privileged)
        .build()
}

fn container_overrides(overrides: &ContainerOverrides) -> types::ContainerOverrides {
    let variable =
        |name: &str, value: &str| types::KeyValuePair::builder().name(name).value(value).build();
    let environment = overrides.environment.iter().map(|pair| variable(&pair.name, &pair.value));
    types::ContainerOverrides::builder()
        .set_command(some(overrides.command.clone()))
        .set_environment(some(environment.collect()))
        .set_resource_requirements(resource_requirements(&overrides.resource_requirements))
        .build()
}

fn resource_requirements(
    wanted: &[ResourceRequirement],
) -> Option<Vec<types::ResourceRequirement>> {
    let requirement = |wanted: &ResourceRequirement| {
        types::ResourceRequirement::builder()
            .r#type(wanted.kind.as_str().into())
            .value(&wanted.value)
            .build()
    };
    some(wanted.iter().map(requirement).collect())
}

fn mount_point(mount: &MountPoint) -> types::MountPoint {
    types::MountPoint::builder()
        .read_only(mount.read_only)
        .container_path(&mount.container_path)
        .source_volume(&mount.source_volume)
        .build()
}

fn volume(volume: &Volume) -> types::Volume {
    let efs = &volume.efs_volume_configuration;
    let authorization = efs.authorization_config.as_ref().map(|entered| {
        types::EfsAuthorizationConfig::builder()
            .access_point_id(&entered.access_point_id)
            .iam(entered.iam.as_str().into())
            .build()
    });
    types::Volume::builder()
        .name(&volume.name)
        .efs_volume_configuration(
            types::EfsVolumeConfiguration::builder()
                .file_system_id(&efs.file_system_id)
                .root_directory(&efs.root_directory)
                .set_transit_encryption(efs.transit_encryption.as_deref().map(Into::into))
                .set_authorization_config(authorization)
                .build(),
        )
        .build()
}

fn retry_strategy(strategy: &RetryStrategy) -> types::RetryStrategy {
    let rules = strategy.evaluate_on_exit.iter().map(|rule| {
        types::EvaluateOnExit::builder()
            .action(rule.action.as_str().into())
            .set_on_status_reason(rule.on_status_reason.clone())
            .set_on_reason(rule.on_reason.clone())
            .set_on_exit_code(rule.on_exit_code.clone())
            .build()
    });
    types::RetryStrategy::builder()
        // At most ten.
        .attempts(i32::try_from(strategy.attempts).unwrap_or(i32::MAX))
        .set_evaluate_on_exit(some(rules.collect()))
        .build()
}

fn timeout(timeout: Timeout) -> types::JobTimeout {
    let seconds = i32::try_from(timeout.attempt_duration_seconds).unwrap_or(i32::MAX);
    types::JobTimeout::builder().attempt_duration_seconds(seconds).build()
}

fn tags(tags: &IndexMap<String, String>) -> Option<HashMap<String, String>> {
    let tags: HashMap<_, _> = tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    (!tags.is_empty()).then_some(tags)
}

/// An empty list is left out of a call.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
