//! Definitions: one revision for each content, however often, by whomever and after whatever loss
//! it is asked for.

use std::collections::HashSet;
use std::sync::Arc;

use demand_context_manager::engine::aws_batch::{AwsBatch, AwsBatchSettings};
use demand_context_manager::engine::{Engine, SubmitError};
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::proxy::{Fault, Proxy};
use crate::{Lab, definition, definition_of, job, sdk, volume};

#[tokio::test]
async fn a_thousand_identical_definitions_register_one_revision() {
    let endpoint = Endpoint::start().await;
    let lab = Arc::new(Lab::on(&endpoint.url).await);
    let defines = (0..1000).map(|_| {
        let lab = Arc::clone(&lab);
        tokio::spawn(async move { lab.engine.define(&definition("image")).await.unwrap() })
    });
    let mut arns = HashSet::new();
    for define in defines.collect::<Vec<_>>() {
        arns.insert(define.await.unwrap());
    }
    assert_eq!(arns.len(), 1);
    assert!(arns.iter().all(|arn| arn.ends_with(":job-definition/dev-work:1")), "{arns:?}");
    assert_eq!(endpoint.calls("registerjobdefinition"), 1);
    assert_eq!(endpoint.calls("describejobdefinitions"), 1);
}

#[tokio::test]
async fn other_file_systems_images_roles_or_privilege_never_share_a_revision() {
    let endpoint = Endpoint::start().await;
    let lab = Lab::on(&endpoint.url).await;
    let contents = [
        json!({}),
        json!({"image": "another"}),
        json!({"jobRoleArn": "arn:aws:iam::123456789012:role/a"}),
        json!({"jobRoleArn": "arn:aws:iam::123456789012:role/b"}),
        json!({"volumes": [volume("fs-2", "fsap-1")]}),
        json!({"volumes": [volume("fs-1", "fsap-2")]}),
        json!({"privileged": true}),
        json!({"mountPoints": []}),
    ];
    let mut arns = HashSet::new();
    for content in &contents {
        arns.insert(lab.engine.define(&definition_of(content)).await.unwrap());
    }
    assert_eq!(arns.len(), contents.len());
    for content in &contents {
        assert!(!arns.insert(lab.engine.define(&definition_of(content)).await.unwrap()));
    }
    assert_eq!(endpoint.calls("registerjobdefinition"), contents.len());
}

#[tokio::test]
async fn what_is_registered_holds_all_of_the_content() {
    let endpoint = Endpoint::start().await;
    let lab = Lab::on(&endpoint.url).await;
    let wanted = definition_of(&json!({"jobRoleArn": "arn:aws:iam::123456789012:role/a"}));
    lab.engine.define(&wanted).await.unwrap();
    let mut registered = endpoint.inside().definitions[0].clone();
    for added in ["jobDefinitionArn", "revision", "status"] {
        registered.as_object_mut().unwrap().remove(added);
    }
    let mut wanted = serde_json::to_value(&wanted.register).unwrap();
    // Nothing is sent of what is empty.
    wanted["containerProperties"].as_object_mut().unwrap().shift_remove("command");
    assert_eq!(sorted(&registered), sorted(&wanted));
}

#[tokio::test]
async fn a_new_ledger_finds_what_is_registered_by_its_tag_beyond_the_first_page() {
    let endpoint = Endpoint::start().await;
    let first = Lab::on(&endpoint.url).await;
    let mut arns = Vec::new();
    for number in 0..8 {
        arns.push(first.engine.define(&definition(&format!("image-{number}"))).await.unwrap());
    }
    let second = Lab::on(&endpoint.url).await;
    for (number, arn) in arns.iter().enumerate() {
        let found = second.engine.define(&definition(&format!("image-{number}"))).await.unwrap();
        assert_eq!(found, *arn);
    }
    assert_eq!(endpoint.calls("registerjobdefinition"), 8);
}

#[tokio::test]
async fn the_ledger_is_enough_after_a_restart() {
    let endpoint = Endpoint::start().await;
    let lab = Lab::on(&endpoint.url).await;
    let arn = lab.engine.define(&definition("image")).await.unwrap();
    let settings = AwsBatchSettings::default();
    let again = AwsBatch::new(settings, &sdk(&endpoint.url).await, lab.store.clone());
    assert_eq!(again.define(&definition("image")).await.unwrap(), arn);
    assert_eq!(endpoint.calls("describejobdefinitions"), 1);
}

#[tokio::test]
async fn a_revision_that_carries_our_tag_but_not_our_content_is_left_alone() {
    let endpoint = Endpoint::start().await;
    let lab = Lab::on(&endpoint.url).await;
    let ours = lab.engine.define(&definition("image")).await.unwrap();
    {
        // Somebody makes a new revision from ours by hand: its tags come along.
        let mut inside = endpoint.inside();
        let mut copy = inside.definitions[0].clone();
        copy["containerProperties"]["image"] = json!("another");
        copy["revision"] = json!(2);
        copy["jobDefinitionArn"] = json!(ours.replace(":1", ":2"));
        inside.definitions.push(copy);
    }
    let second = Lab::on(&endpoint.url).await;
    assert_eq!(second.engine.define(&definition("image")).await.unwrap(), ours);
}

#[tokio::test]
async fn a_revision_that_was_deregistered_is_registered_anew() {
    let endpoint = Endpoint::start().await;
    let lab = Lab::on(&endpoint.url).await;
    let gone = lab.engine.define(&definition("image")).await.unwrap();
    endpoint.deregister(&gone);
    let refused = lab.engine.submit(&job("work", &gone)).await;
    assert!(matches!(refused, Err(SubmitError::Retryable(_))), "{refused:?}");
    let anew = lab.engine.define(&definition("image")).await.unwrap();
    assert_ne!(anew, gone);
    lab.engine.submit(&job("work", &anew)).await.unwrap();
}

#[tokio::test]
async fn a_registration_that_is_refused_for_a_moment_is_repeated() {
    let endpoint = Endpoint::start().await;
    endpoint.inside().registrations = vec![(409, "is being changed"), (404, "not found yet")];
    let lab = Lab::on(&endpoint.url).await;
    let arn = lab.engine.define(&definition("image")).await.unwrap();
    assert!(arn.ends_with(":1"));
    endpoint.inside().registrations = vec![(400, "image is required")];
    let refused = lab.engine.define(&definition("other")).await;
    assert!(
        matches!(refused, Err(SubmitError::Permanent(words)) if words.contains("image is required"))
    );
}

#[tokio::test]
async fn a_registration_whose_answer_is_lost_is_not_made_twice() {
    let endpoint = Endpoint::start().await;
    let lost = std::sync::atomic::AtomicBool::new(false);
    let proxy = Proxy::before(&endpoint.url, move |path| {
        let first = path == "/v1/registerjobdefinition"
            && !lost.swap(true, std::sync::atomic::Ordering::Relaxed);
        if first { Fault::DropAfter } else { Fault::None }
    })
    .await;
    let lab = Lab::on(&proxy.url).await;
    let first = lab.engine.define(&definition("image")).await;
    // The very first call of the proxy describes; its answer arrives.
    assert!(matches!(first, Err(SubmitError::Ambiguous(_))), "{first:?}");
    lab.engine.define(&definition("image")).await.unwrap();
    assert_eq!(endpoint.inside().definitions.len(), 1);
}

/// With keys in order, for comparing.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
