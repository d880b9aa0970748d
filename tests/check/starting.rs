//! How a service on AWS starts where something is wrong.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::moto::{Moto, PATIENCE, demand, ended};

#[tokio::test]
async fn beyond_loopback_it_does_not_start_unless_told_to_take_anybody() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = demand(&["serve", "--listen", "0.0.0.0:0"], directory.path());
    command
        .env("DEMAND_ENV_BASE", "dev")
        .env("DEMAND_DATA_SYNC__IMAGE", "demand:1")
        .env("DEMAND_ALLOWED_HOSTS", "demand.example.org");
    let (code, _, complaints) = ended(command).await;
    assert_eq!(code, 2);
    assert!(complaints.contains("--listen: `listen` is not a loopback address"), "{complaints}");
    assert!(complaints.contains("--allow-anonymous"), "{complaints}");
}

#[tokio::test]
async fn without_a_configuration_it_names_the_mode_that_needs_none() {
    let directory = tempfile::tempdir().unwrap();
    let (code, _, complaints) = ended(demand(&["serve"], directory.path())).await;
    assert_eq!(code, 2);
    assert!(complaints.contains("`env_base` is required"), "{complaints}");
    assert!(complaints.contains("demand serve --local"), "{complaints}");
}

#[tokio::test]
async fn settings_that_make_no_site_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = demand(&["serve"], directory.path());
    command
        .env("DEMAND_ENV_BASE", "lab")
        .env("DEMAND_DATA_SYNC__IMAGE", "demand:1")
        .env("AWS_REGION", "us-west-2");
    let (code, _, complaints) = ended(command).await;
    assert_eq!(code, 1);
    assert!(complaints.contains("`lab` is no env_base"), "{complaints}");
}

#[tokio::test]
#[ignore = "needs moto"]
async fn it_starts_and_says_what_is_missing() {
    let moto = Moto::start().await;
    let config = moto.configuration("gpu");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()];
    let mut command = moto.demand(&arguments);
    let mut service = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(service.stderr.take().unwrap()).lines();
    let told = timeout(PATIENCE, async {
        let mut told = String::new();
        loop {
            let line = lines.next_line().await.unwrap().expect("the service goes on");
            told.push_str(&line);
            told.push('\n');
            if line.contains("queue of events") {
                return told;
            }
        }
    });
    let told = told.await.expect("the last finding is told");
    let queue = told.lines().find(|line| line.contains("job queue `gpu` does not exist"));
    let queue = queue.unwrap_or_else(|| panic!("{told}"));
    assert!(queue.contains("ERROR") && queue.contains("create it"), "{queue}");
    assert!(!told.contains("panicked"), "{told}");
}
