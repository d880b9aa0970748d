//! The service is killed; what it had accepted goes on.

use std::fs;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::service::{Service, demand, demand_with};

const DEMANDS: usize = 20;
const KILLS: u64 = 10;

#[tokio::test]
async fn killed_ten_times_while_twenty_demands_run_all_complete_and_nothing_runs_twice() {
    let mut service = Service::start_with(&[("DEMAND_LOCAL__SLOTS", "8")]).await;
    service.site.put("lab", "data.txt", "data").await;
    let ran = service.site.directory().join("ran");
    fs::create_dir_all(&ran).unwrap();
    let ids: Vec<String> = join_all((0..DEMANDS).map(async |n| {
        // Each finished run leaves a line; two lines are a command that ran again.
        let command = format!(
            "cp ${{DATA}} ${{OUT}} && sleep 0.{n:02} && echo finished >> {}/d{n}",
            ran.display()
        );
        let request = demand_with(
            &format!("survivor-{n}"),
            &command,
            &[("data", json!("s3://lab/data.txt"))],
            &[("out", json!(format!("out.txt @ s3://lab/out/{n}.txt")))],
        );
        service.accepted(&request).await
    }))
    .await;
    for kill in 0..KILLS {
        // Spread over the whole course: early kills hit submissions, late ones the last steps.
        tokio::time::sleep(Duration::from_millis(60 + 70 * (kill * 7 % 10))).await;
        service.kill().await;
        service.start_again().await;
    }
    for (n, id) in ids.iter().enumerate() {
        let document = service.ended(id).await;
        assert_eq!(document["status"], "COMPLETED", "{document:#}");
        let finished = fs::read_to_string(ran.join(format!("d{n}"))).unwrap();
        assert_eq!(finished, "finished\n", "the command of {id} ran once");
        let out = service.site.get("lab", &format!("out/{n}.txt")).await;
        assert_eq!(out.as_deref(), Some("data"));
    }
}

#[tokio::test]
async fn a_command_that_runs_while_the_service_is_dead_is_neither_ended_nor_repeated() {
    let mut service = Service::start().await;
    let started = service.site.directory().join("started");
    let go = service.site.directory().join("go");
    let command = format!(
        "echo started >> {}; while [ ! -e {} ]; do sleep 0.05; done",
        started.display(),
        go.display()
    );
    let id = service.accepted(&demand("undisturbed", &command)).await;
    crate::service::eventually("the command has started", || started.exists()).await;
    service.kill().await;
    fs::write(&go, "").unwrap();
    service.start_again().await;
    assert_eq!(service.ended(&id).await["status"], "COMPLETED");
    assert_eq!(fs::read_to_string(&started).unwrap(), "started\n");
}

#[tokio::test]
async fn a_cancellation_survives_the_service_that_took_it() {
    let mut service = Service::start().await;
    let started = service.site.directory().join("started");
    let command = format!("touch {}; sleep 1000", started.display());
    let id = service.accepted(&demand("canceled-then-killed", &command)).await;
    crate::service::eventually("the command has started", || started.exists()).await;
    let answer = service.post(&format!("/demands/{id}/cancel")).send().await.unwrap();
    assert!(answer.status().is_success());
    service.kill().await;
    service.start_again().await;
    assert_eq!(service.ended(&id).await["status"], "ABORTED");
}
