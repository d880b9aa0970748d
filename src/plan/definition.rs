//! Job definitions and their content hashes.
//!
//! Image, volumes, mounts, role and privilege cannot be overridden at submission, so each distinct
//! set needs a revision of its own. What can be overridden is left at constants, so that demands
//! differing only in it share one.

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    batch_job::BatchCreateRequest,
    submission::{ContainerProperties, JobDefinition, RegisterJobDefinition, ResourceRequirement},
};
use crate::demand::python::{dumps, sha256_hex};

/// The tag that carries a definition's content hash.
pub const CONTENT_HASH_TAG: &str = "demand:content-hash";

/// AWS Batch wants both in a definition even where every submission overrides them.
const BASE_RESOURCES: [(&str, u64); 2] = [("MEMORY", 2048), ("VCPU", 1)];

/// The definition `execute` runs on.
pub(super) fn execute(create: &BatchCreateRequest) -> JobDefinition {
    hashed(RegisterJobDefinition {
        job_definition_name: create.job_definition_name.clone(),
        kind: "container".to_owned(),
        container_properties: ContainerProperties {
            image: create.image.clone(),
            command: Vec::new(),
            job_role_arn: create.job_role_arn.clone(),
            resource_requirements: requirements(&BASE_RESOURCES),
            mount_points: create.mount_points.clone(),
            volumes: create.volumes.clone(),
            privileged: create.privileged,
        },
        retry_strategy: create.retry_strategy.clone(),
        timeout: None,
        tags: tags(&create.job_definition_tags),
    })
}

/// Completes a definition with its hash: SHA-256 of `json.dumps(register, sort_keys=True)`, the
/// tag [`CONTENT_HASH_TAG`] left out.
pub(super) fn hashed(mut register: RegisterJobDefinition) -> JobDefinition {
    register.tags.shift_remove(CONTENT_HASH_TAG);
    // A definition is made of texts and numbers alone, which always have a JSON form.
    let content = serde_json::to_value(&register).unwrap_or(Value::Null);
    let content_hash = sha256_hex(&dumps(&content));
    register.tags.insert(CONTENT_HASH_TAG.to_owned(), content_hash.clone());
    JobDefinition { content_hash, register }
}

pub(super) fn requirements(amounts: &[(&str, u64)]) -> Vec<ResourceRequirement> {
    amounts
        .iter()
        .map(|(kind, amount)| ResourceRequirement {
            kind: (*kind).to_owned(),
            value: amount.to_string(),
        })
        .collect()
}

/// Tags as AWS takes them (<https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html>):
/// at most 50, keys of 1 to 128 and values of up to 256 characters, letters, digits, spaces and
/// `+ - = . _ : / @`; `aws:` is AWS's own prefix. What does not fit is replaced, cut or left out.
pub(super) fn tags(wanted: &IndexMap<String, String>) -> IndexMap<String, String> {
    /// Job and definition together may have 50, or Batch fails the job whose tags are propagated;
    /// the definition has two of its own, [`CONTENT_HASH_TAG`] and `USER`.
    const MOST: usize = 48;
    let mut tags = IndexMap::new();
    for (key, value) in wanted {
        let mut key = tag_text(key, 128);
        if key.to_ascii_lowercase().starts_with("aws:") {
            key.replace_range(3..4, "_");
        }
        if !key.is_empty() && tags.len() < MOST {
            tags.entry(key).or_insert_with(|| tag_text(value, 256));
        }
    }
    tags
}

fn tag_text(text: &str, longest: usize) -> String {
    let fits = |c: char| c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c);
    text.chars().take(longest).map(|c| if fits(c) { c } else { '_' }).collect()
}
