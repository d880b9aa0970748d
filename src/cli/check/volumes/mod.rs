//! Whether the file systems that demands get by default can be found and mounted, and whether
//! what the worker writes there can be read by the command.

mod users;

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::{AccessPointDescription, LifeCycleState, MountTargetDescription};

use super::finding::Finding;
use crate::aws::{CallError, call};
use crate::config::Config;
use crate::efs::{AwsCatalogue, CatalogueSource, ReadError};
use crate::plan::site::EnvFileWriter;
use crate::plan::volume::Volume;
use crate::plan::volumes::candidates;
use crate::service::aws::site;

/// An access point and the role it has for demands.
struct Entered {
    role: &'static str,
    access_point: AccessPointDescription,
}

pub(super) async fn check(config: &Config, sdk: &SdkConfig) -> Vec<Finding> {
    let catalogue = match AwsCatalogue::new(sdk, config.efs.cache_ttl).catalogue().await {
        Ok(catalogue) => catalogue,
        Err(error) => return vec![unreadable(&error.source)],
    };
    let mut findings = vec![Finding::ok(format!(
        "EFS catalogue: {} file systems, {} access points",
        catalogue.file_systems.len(),
        catalogue.access_points.len()
    ))];
    let site = match site(config, catalogue) {
        Ok(site) => site,
        Err(error) => {
            let what_to_do = "correct env_base, file_system_configurations or \
                              context_manager_configuration";
            findings.push(Finding::failed("site", &error, what_to_do));
            return findings;
        }
    };
    let mut volumes = Vec::new();
    for (role, found) in candidates(&site) {
        match found {
            Ok(volume) => {
                findings.push(Finding::ok(resolved(role, &volume)));
                volumes.push((role, volume));
            }
            Err(fault) => findings.push(Finding::missing(
                format!("{role} volume ({}): {}", fault.pointer, fault.detail),
                format!(
                    "tag the file system and its access point `{role}` with env_base={}, or name \
                     others in file_system_configurations",
                    config.env_base
                ),
            )),
        }
    }
    let efs = Client::new(sdk);
    let file_systems: BTreeSet<&str> =
        volumes.iter().map(|(_, volume)| volume.mount.file_system_id()).collect();
    for file_system in file_systems {
        findings.push(mount_targets(&efs, file_system).await);
    }
    let mut entered = Vec::new();
    for (role, volume) in &volumes {
        let Some(id) = volume.mount.access_point_id() else { continue };
        match access_point(&efs, id).await {
            Ok(found) => {
                entered.extend(found.map(|access_point| Entered { role, access_point }));
            }
            Err(error) => findings.push(Finding::of_call(
                &format!("access point {id}"),
                &error,
                "elasticfilesystem:DescribeAccessPoints",
                "see that it is still there",
            )),
        }
    }
    let writes_env_files = config.plan.env_file_writer != EnvFileWriter::None;
    findings.extend(users::check(&entered, writes_env_files));
    findings
}

fn unreadable(why: &ReadError) -> Finding {
    const WHAT: &str = "EFS catalogue";
    match why {
        ReadError::Call(error) => Finding::of_call(
            WHAT,
            error,
            "elasticfilesystem:DescribeFileSystems and elasticfilesystem:DescribeAccessPoints",
            "see what AWS says",
        ),
        slow @ ReadError::TooSlow(_) => {
            Finding::failed(WHAT, slow, "see that AWS can be reached from here")
        }
    }
}

fn resolved(role: &str, volume: &Volume) -> String {
    let mount = &volume.mount;
    let access_point = mount.access_point_id().unwrap_or("no access point");
    format!("{role} volume: {} through {access_point}", mount.file_system_id())
}

async fn mount_targets(efs: &Client, file_system: &str) -> Finding {
    let what = format!("mount targets of {file_system}");
    let targets = match describe_mount_targets(efs, file_system).await {
        Ok(targets) => targets,
        Err(error) => {
            let permission = "elasticfilesystem:DescribeMountTargets";
            return Finding::of_call(&what, &error, permission, "see what AWS says");
        }
    };
    let waiting: Vec<String> = targets
        .iter()
        .filter(|target| *target.life_cycle_state() != LifeCycleState::Available)
        .map(|target| format!("{} is {}", target.mount_target_id(), target.life_cycle_state()))
        .collect();
    if waiting.len() == targets.len() {
        let why = if targets.is_empty() { "there are none".to_owned() } else { waiting.join(", ") };
        let what_to_do = "create one in each subnet of the queues' compute environments";
        return Finding::missing(format!("{what}: {why}"), what_to_do);
    }
    if !waiting.is_empty() {
        let what = format!("{what}: {}", waiting.join(", "));
        return Finding::warning(what, "jobs in their subnets cannot mount it; look at them");
    }
    Finding::ok(format!("{what}: {} available", targets.len()))
}

async fn describe_mount_targets(
    efs: &Client,
    file_system: &str,
) -> Result<Vec<MountTargetDescription>, CallError> {
    let request = efs.describe_mount_targets().file_system_id(file_system);
    let mut items = request.into_paginator().items().send();
    let mut targets = Vec::new();
    while let Some(target) = items.next().await {
        targets.push(target.map_err(call("DescribeMountTargets"))?);
    }
    Ok(targets)
}

async fn access_point(efs: &Client, id: &str) -> Result<Option<AccessPointDescription>, CallError> {
    let described = efs.describe_access_points().access_point_id(id).send().await;
    let described = described.map_err(call("DescribeAccessPoints"))?;
    Ok(described.access_points.unwrap_or_default().into_iter().next())
}
