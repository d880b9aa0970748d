//! Submissions that go wrong on their way.

use std::time::Duration;

use aws_sdk_batch::types::JobStatus;
use futures::future::join_all;

use crate::exactly_once::all_completed_with_one_job_a_step;
use crate::proxy::{Fault, Proxy};
use crate::service::{Service, demand};
use crate::site::Site;

const LATE: Duration = Duration::from_secs(30);

/// Submits `demands` demands through `faults`, and sees that every one completes and that every
/// step has one job.
async fn all_complete(demands: usize, faults: Vec<Fault>) {
    let count = faults.len();
    let site = Site::with(&["--list-delay", "1"]);
    let proxy = Proxy::start(&site.moto.endpoint, faults).await;
    let environment = [("AWS_ENDPOINT_URL_BATCH", proxy.url.as_str())];
    let service = Service::start_at(site, &environment).await;
    let ran = service.site.directory().join("ran");
    std::fs::create_dir_all(&ran).unwrap();
    let ids = join_all((0..demands).map(async |n| {
        let command = format!("echo ran >> {}/d{n}", ran.display());
        service.accepted(&demand(&format!("through-{n}"), &command)).await
    }))
    .await;
    all_completed_with_one_job_a_step(&service, &ids).await;
    for n in 0..demands {
        assert_eq!(std::fs::read_to_string(ran.join(format!("d{n}"))).unwrap(), "ran\n");
    }
    assert!(proxy.submissions() > count, "every fault was met");
}

#[tokio::test]
async fn a_submission_that_is_throttled_is_made_later() {
    all_complete(5, vec![Fault::Throttled; 12]).await;
}

#[tokio::test]
async fn a_submission_that_fails_with_500_is_made_once() {
    use Fault::{Failed, FailedAfterwards};
    all_complete(6, [Failed, FailedAfterwards].repeat(4)).await;
}

#[tokio::test]
async fn a_submission_whose_connection_drops_after_it_was_made_is_not_made_again() {
    all_complete(6, vec![Fault::Dropped; 10]).await;
}

#[tokio::test]
async fn a_submission_that_is_answered_late_is_not_made_again() {
    all_complete(6, [Fault::None, Fault::AnsweredLate(LATE)].repeat(3)).await;
}

#[tokio::test]
async fn a_submission_that_is_long_on_its_way_is_not_overtaken_by_another() {
    all_complete(6, [Fault::ForwardedLate(LATE), Fault::None].repeat(2)).await;
}

#[tokio::test]
async fn faults_of_every_kind_together_lose_and_repeat_nothing() {
    use Fault::{AnsweredLate, Dropped, Failed, FailedAfterwards, None, Throttled};
    let kinds = [Throttled, None, Failed, Dropped, FailedAfterwards];
    let mut faults = kinds.repeat(8);
    faults[17] = AnsweredLate(LATE);
    faults[31] = AnsweredLate(LATE);
    all_complete(30, faults).await;
}

#[tokio::test]
async fn a_cancellation_ends_the_job_of_a_submission_that_is_not_answered_yet() {
    for fault in [Fault::AnsweredLate(Duration::from_secs(3)), Fault::Dropped] {
        let site = Site::with(&["--list-delay", "1"]);
        let proxy = Proxy::start(&site.moto.endpoint, vec![fault]).await;
        let environment = [("AWS_ENDPOINT_URL_BATCH", proxy.url.as_str())];
        let service = Service::start_at(site, &environment).await;
        let id = service.accepted(&demand("overtaken", "sleep 1000")).await;
        while service.site.moto.jobs().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let answer = service.post(&format!("/demands/{id}/cancel")).send().await.unwrap();
        assert!(answer.status().is_success());
        let document = service.ended(&id).await;
        assert_eq!(document["status"], "ABORTED", "{fault:?}: {document:#}");
        for job in service.site.moto.jobs().await {
            assert_eq!(job.status(), Some(&JobStatus::Failed), "{fault:?}: {job:#?}");
        }
    }
}
