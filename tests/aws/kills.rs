//! The service is killed over and over while it submits.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::exactly_once::all_completed_with_one_job_a_step;
use crate::service::{Service, demand, demand_with};
use crate::site::Site;

const DEMANDS: usize = 200;
const KILLS: usize = 30;

#[tokio::test]
async fn killed_thirty_times_while_it_submits_two_hundred_demands_each_step_has_one_job() {
    // Jobs are seen by ListJobs only after a while, as on AWS; the grace is 2 s.
    let mut service = Service::start_at(Site::with(&["--list-delay", "1.5"]), &[]).await;
    service.site.put("lab", "data.txt", "data").await;
    let ids = join_all((0..DEMANDS).map(async |n| {
        let id = format!("survivor-{n}");
        // Most do nothing, which is what submitting is about; some bring and take something.
        let request = if n % 10 == 0 {
            let out = json!(format!("out.txt @ s3://lab/out/{n}.txt"));
            let data = json!("s3://lab/data.txt");
            demand_with(&id, "cp ${DATA} ${OUT}", &[("data", data)], &[("out", out)])
        } else {
            demand(&id, "true")
        };
        service.accepted(&request).await
    }))
    .await;

    let random = &mut fastrand::Rng::new();
    let mut while_submitting = 0;
    for kill in 1..=KILLS {
        // Most die soon, in the middle of calls; some live until what the dead have left without
        // an answer is looked up, and die of that.
        let life = if kill % 6 == 0 { 2000..3000 } else { 20..500 };
        tokio::time::sleep(Duration::from_millis(random.u64(life))).await;
        service.kill().await;
        let submitted = service.site.moto.jobs().await.len();
        while_submitting += usize::from(submitted < 2 * DEMANDS);
        service.start_again().await;
    }
    assert!(while_submitting >= KILLS / 2, "only {while_submitting} kills hit submissions");

    all_completed_with_one_job_a_step(&service, &ids).await;
    for n in (0..DEMANDS).step_by(10) {
        let out = service.site.get("lab", &format!("out/{n}.txt")).await;
        assert_eq!(out.as_deref(), Some("data"));
    }
}
