//! Job definitions: one of each content, and never another's.

use std::collections::BTreeMap;

use aws_sdk_batch::types::JobDefinition;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::service::{Service, demand};
use crate::site::Site;

/// Demands whose jobs are submitted and never run: only where they would run is looked at.
async fn service() -> Service {
    Service::start_at(Site::with(&["--slots", "0"]), &[]).await
}

async fn definitions(service: &Service) -> Vec<JobDefinition> {
    let pages = service.site.moto.batch().describe_job_definitions().into_paginator();
    pages.items().send().collect::<Result<_, _>>().await.unwrap()
}

/// A demand of one job.
fn single(id: &str) -> Value {
    let mut request = demand(id, "true");
    request["context_manager_configuration"] = json!({"cleanup_working_dir": false});
    request
}

fn is_submitted(document: &Value) -> bool {
    document["steps"].as_array().unwrap().iter().all(|step| step["job_id"].is_string())
}

#[tokio::test]
async fn a_thousand_identical_demands_register_one_revision() {
    let service = service().await;
    let ids =
        join_all((0..1000).map(async |n| service.accepted(&single(&format!("same-{n}"))).await));
    for id in ids.await {
        service.until(&id, is_submitted).await;
    }
    assert_eq!(definitions(&service).await.len(), 1);
    assert_eq!(service.site.moto.jobs().await.len(), 1000);
}

#[tokio::test]
async fn demands_that_differ_in_image_role_or_file_system_have_definitions_of_their_own() {
    let service = service().await;
    let mount = |name: &str| service.site.directory().join("efs").join(name);
    let with = |id: &str, pointer: &str, value: Value| {
        let mut request = single(id);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        request.pointer_mut(parent).unwrap()[key] = value;
        request
    };
    let role = json!("arn:aws:iam::123456789012:role/other");
    let elsewhere = json!({
        "scratch": [{"access_point": "tmp", "container_path": mount("scratch")}],
    });
    let requests = [
        single("plain"),
        with("image", "/execution_image", json!("alpine:4")),
        with("role", "/execution_platform/aws_batch/job_role", role),
        with("mount", "/file_system_configurations", elsewhere),
    ];
    let mut seen = BTreeMap::new();
    for round in 0..2 {
        for (kind, request) in requests.iter().enumerate() {
            let mut request = request.clone();
            request["execution_id"] = json!(format!("{round}-{kind}"));
            let id = service.accepted(&request).await;
            let is_seen = |document: &Value| document["steps"][0]["job_definition"].is_string();
            let document = service.until(&id, is_seen).await;
            let definition = document["steps"][0]["job_definition"].as_str().unwrap().to_owned();
            assert_eq!(*seen.entry(kind).or_insert_with(|| definition.clone()), definition);
        }
    }
    let known = definitions(&service).await;
    assert_eq!(known.len(), requests.len());
    let container = |kind: usize| {
        let name = &seen[&kind];
        let named = |each: &&JobDefinition| {
            let revision = each.revision.unwrap();
            *name == format!("{}:{revision}", each.job_definition_name().unwrap())
                || each.job_definition_arn() == Some(name)
        };
        known.iter().find(named).unwrap().container_properties().unwrap()
    };
    let point = |kind: usize| {
        let scratch = container(kind).volumes().iter().find(|v| {
            let mounts = container(kind).mount_points().iter();
            let mut at = mounts.filter(|m| m.source_volume() == v.name());
            at.any(|m| m.container_path() == mount("scratch").to_str())
        });
        let efs = scratch.unwrap().efs_volume_configuration().unwrap();
        efs.authorization_config().unwrap().access_point_id().unwrap().to_owned()
    };
    assert_eq!(container(0).image(), Some("alpine:3"));
    assert_eq!(container(1).image(), Some("alpine:4"));
    assert_eq!(container(0).job_role_arn(), None);
    assert_eq!(container(2).job_role_arn(), Some("arn:aws:iam::123456789012:role/other"));
    assert_eq!(point(0), service.site.moto.seeded("/access_points/scratch"));
    assert_eq!(point(3), service.site.moto.seeded("/access_points/tmp"));
}
