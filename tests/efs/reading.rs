//! How the catalogue is read and kept.

use std::sync::Arc;
use std::time::Duration;

use demand_context_manager::efs::{AwsCatalogue, CatalogueSource};
use demand_context_manager::plan::catalog::Wanted;
use futures::future::join_all;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::endpoint::{Endpoint, access_point, file_system};

const LONG: Duration = Duration::from_mins(10);
/// Over at once.
const SHORT: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);

fn named(name: &str) -> Wanted<'_> {
    Wanted { name: Some(name), ..Wanted::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_file_systems_and_access_points_is_read() {
    let endpoint = Endpoint::start().await;
    for number in 0..250 {
        let id = format!("fs-{number:08x}");
        endpoint.held().file_systems.push(file_system(&id, &format!("efs-{number}")));
        let point = access_point(&format!("fsap-{number:08x}"), &id, &format!("point-{number}"));
        endpoint.held().access_points.push(point);
    }
    let catalogue = AwsCatalogue::new(&endpoint.config(), LONG).catalogue().await.unwrap();
    assert_eq!(catalogue.file_systems.len(), 250);
    assert_eq!(catalogue.access_points.len(), 250);
    assert_eq!(endpoint.held().longest_page, 100);
    let last = catalogue.access_point(named("point-249"), Some("fs-000000f9")).unwrap();
    assert_eq!(last.access_point_id, "fsap-000000f9");
    let root = last.root_directory.as_ref().unwrap();
    assert_eq!(root.path.as_deref(), Some("/point-249"));
    assert_eq!(last.tags[1].value, "dev");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_deleted_is_left_out() {
    let endpoint = Endpoint::with_volumes().await;
    let mut gone = file_system("fs-00000009", "dev-efs");
    gone["LifeCycleState"] = json!("deleting");
    endpoint.held().file_systems.push(gone);
    let mut gone = access_point("fsap-00000009", "fs-00000001", "scratch");
    gone["LifeCycleState"] = json!("deleted");
    endpoint.held().access_points.push(gone);
    let catalogue = AwsCatalogue::new(&endpoint.config(), LONG).catalogue().await.unwrap();
    assert_eq!(catalogue.file_system(named("dev-efs")).unwrap().file_system_id, "fs-00000001");
    let found = catalogue.access_point(named("scratch"), None).unwrap();
    assert_eq!(found.access_point_id, "fsap-00000001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_who_ask_at_once_cost_one_reading() {
    let endpoint = Endpoint::with_volumes().await;
    let catalogue = AwsCatalogue::new(&endpoint.config(), LONG);
    let answers = join_all((0..100).map(|_| catalogue.catalogue())).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().access_points.len() == 2));
    assert_eq!(endpoint.held().calls, 1);
    catalogue.catalogue().await.unwrap();
    assert_eq!(endpoint.held().calls, 1, "it is not old enough to be read again");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_read_again_when_it_has_grown_old() {
    let endpoint = Endpoint::with_volumes().await;
    let catalogue = AwsCatalogue::new(&endpoint.config(), SHORT);
    assert_eq!(catalogue.catalogue().await.unwrap().access_points.len(), 2);
    endpoint.held().access_points.push(access_point("fsap-3", "fs-00000001", "tmp"));
    let grown = async { while catalogue.catalogue().await.unwrap().access_points.len() < 3 {} };
    timeout(PATIENCE, grown).await.expect("the new access point is seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_is_answered_while_aws_fails_without_asking_each_time() {
    let endpoint = Endpoint::with_volumes().await;
    let catalogue = AwsCatalogue::new(&endpoint.config(), SHORT);
    let known = catalogue.catalogue().await.unwrap();
    endpoint.held().failing = true;
    let calls = endpoint.held().calls;
    while endpoint.held().calls == calls {
        assert!(Arc::ptr_eq(&catalogue.catalogue().await.unwrap(), &known));
    }
    let calls = endpoint.held().calls;
    for _ in 0..100 {
        assert!(Arc::ptr_eq(&catalogue.catalogue().await.unwrap(), &known));
    }
    assert_eq!(endpoint.held().calls, calls, "AWS has a pause after a failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anything_known_the_failure_is_told_with_a_time_to_come_back() {
    let endpoint = Endpoint::with_volumes().await;
    endpoint.held().failing = true;
    let catalogue = AwsCatalogue::new(&endpoint.config(), LONG);
    let failed = catalogue.catalogue().await.unwrap_err();
    let told = demand_context_manager::telemetry::chain(&failed);
    assert!(told.contains("the EFS catalogue cannot be read"), "{told}");
    assert!(told.contains("AccessDeniedException: not today"), "{told}");
    let calls = endpoint.held().calls;
    let again = catalogue.catalogue().await.unwrap_err();
    assert_eq!(endpoint.held().calls, calls);
    assert!(again.retry_after <= failed.retry_after);
    endpoint.held().failing = false;
    tokio::time::sleep(again.retry_after).await;
    assert_eq!(catalogue.catalogue().await.unwrap().access_points.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_answered_from_what_is_there_now() {
    let endpoint = Endpoint::with_volumes().await;
    let catalogue = AwsCatalogue::new(&endpoint.config(), LONG);
    let seen = catalogue.catalogue().await.unwrap();
    assert!(catalogue.newer(&seen).await.unwrap().is_none(), "nothing has changed");
    endpoint.held().access_points.push(access_point("fsap-3", "fs-00000001", "tmp"));
    let newer = catalogue.newer(&seen).await.unwrap().expect("it has changed");
    assert!(newer.access_point(named("tmp"), None).is_ok());
    assert!(Arc::ptr_eq(&catalogue.catalogue().await.unwrap(), &newer));
}

#[tokio::test(flavor = "multi_thread")]
async fn misses_by_the_hundred_share_readings_that_are_a_second_apart() {
    let endpoint = Endpoint::with_volumes().await;
    let catalogue = AwsCatalogue::new(&endpoint.config(), LONG);
    let seen = catalogue.catalogue().await.unwrap();
    let began = Instant::now();
    for _ in 0..3 {
        let misses = join_all((0..100).map(|_| catalogue.newer(&seen))).await;
        assert!(misses.into_iter().all(|miss| miss.unwrap().is_none()));
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    let readings = endpoint.held().calls - 1;
    assert!((1..=seconds + 1).contains(&readings), "{readings} readings in {seconds} s");
}
