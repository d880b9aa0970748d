//! What `demand check` finds.

use serde_json::Value;

use crate::moto::{Moto, demand, ended};

/// The one line that has all of `words`.
fn line<'a>(told: &'a str, words: &[&str]) -> &'a str {
    let mut lines = told.lines().filter(|line| words.iter().all(|word| line.contains(word)));
    let found = lines.next().unwrap_or_else(|| panic!("no line has {words:?}:\n{told}"));
    assert!(lines.next().is_none(), "several lines have {words:?}:\n{told}");
    found
}

#[tokio::test]
#[ignore = "needs moto"]
async fn where_everything_is_there_it_says_so_and_exits_0() {
    let moto = Moto::start_with_lab().await;
    let config = moto.configuration("gpu");
    let (code, told, complaints) =
        ended(moto.demand(&["check", "--config", config.to_str().unwrap()])).await;
    assert_eq!(code, 0, "{told}{complaints}");
    for words in [
        &["database", "demand.sqlite3"][..],
        &["credentials of arn:aws:sts::123456789012:user/moto"],
        &["job queue `gpu`"],
        &["EFS catalogue: 121 file systems, 2 access points"],
        &["scratch volume: fs-", "through fsap-"],
        &["shared volume: fs-"],
        &["mount targets of fs-", "1 available"],
        &["payload prefix s3://payloads/demand is writable"],
        &["queue of events"],
    ] {
        assert!(line(&told, words).starts_with("ok  "), "{told}");
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn users_who_could_not_read_what_was_written_are_named() {
    let moto = Moto::start_with_lab().await;
    let config = moto.configuration("gpu");
    let (_, told, _) = ended(moto.demand(&["check", "--config", config.to_str().unwrap()])).await;
    let scratch = line(&told, &["(scratch)", "no PosixUser"]);
    assert!(scratch.starts_with("warning  access point fsap-"), "{scratch}");
    assert!(scratch.contains("env file") && scratch.contains("mode 0600"), "{scratch}");
    let shared = line(&told, &["(shared)", "user 1000:1000"]);
    assert!(shared.starts_with("warning  access point fsap-"), "{shared}");
    assert!(shared.contains("root directory (0:0, mode 0755)"), "{shared}");
    // moto does not simulate policies, so whether the role may be passed cannot be told.
    let role = line(&told, &["role/data-sync"]);
    assert!(role.starts_with("warning") && role.contains("iam:PassRole"), "{role}");
}

#[tokio::test]
#[ignore = "needs moto"]
async fn whatever_is_missing_is_told_with_what_to_do_and_exits_1() {
    let moto = Moto::start().await;
    let config = moto.configuration("gpu");
    let (code, told, _) =
        ended(moto.demand(&["check", "--config", config.to_str().unwrap()])).await;
    assert_eq!(code, 1, "{told}");
    for (words, what_to_do) in [
        (&["job queue `gpu` does not exist"][..], "create it in this account and region"),
        (&["scratch volume", "no access point has name `scratch`"], "env_base=dev-marmot"),
        (&["shared volume"], "file_system_configurations"),
        (&["payload prefix s3://payloads/demand", "NoSuchBucket"], "create the bucket"),
        (&["role/data-sync does not exist"], "create it"),
        (&["queue of events", "NonExistentQueue"], "batch.events_queue_url"),
    ] {
        let line = line(&told, words);
        assert!(line.starts_with("FAILED   "), "{line}");
        let (_, advice) = line.split_once(" — ").expect("there is something to do");
        assert!(advice.contains(what_to_do), "{line}");
    }
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_queue_that_takes_no_jobs_is_told_as_json_too() {
    let moto = Moto::start_with_lab().await;
    let config = moto.configuration("closed");
    let (code, told, _) =
        ended(moto.demand(&["check", "--json", "--config", config.to_str().unwrap()])).await;
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(report["ok"], false);
    let failed: Vec<&Value> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["outcome"] == "FAILED")
        .collect();
    assert_eq!(failed.len(), 1, "{told}");
    assert_eq!(failed[0]["what"], "job queue `closed` is disabled");
    assert_eq!(failed[0]["what_to_do"], "enable it");
}

#[tokio::test]
#[ignore = "needs moto"]
async fn permissions_that_are_missing_are_named() {
    let moto = Moto::start_denying().await;
    let config = moto.configuration("gpu");
    let (code, told, complaints) =
        ended(moto.demand(&["check", "--config", config.to_str().unwrap()])).await;
    assert_eq!(code, 1, "{told}");
    for (words, permission) in [
        (&["job queues gpu", "AccessDenied"][..], "batch:DescribeJobQueues"),
        (&["payload prefix", "AccessDenied"], "s3:PutObject"),
        (&["queue of events", "AccessDenied"], "sqs:ReceiveMessage"),
    ] {
        let line = line(&told, words);
        assert!(line.starts_with("FAILED   "), "{line}");
        assert!(line.contains(" — allow the service's identity ") && line.contains(permission));
    }
    // moto does not check the signatures of EFS as AWS does, but refuses all the same.
    assert!(line(&told, &["EFS catalogue"]).starts_with("FAILED   "), "{told}");
    assert!(!complaints.contains("panicked"), "{complaints}");
}

#[tokio::test]
#[ignore = "needs moto"]
async fn without_credentials_nothing_else_is_looked_at() {
    let moto = Moto::start().await;
    let config = moto.configuration("gpu");
    let mut command = moto.demand(&["check", "--config", config.to_str().unwrap()]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let (code, told, complaints) = ended(command).await;
    assert_eq!(code, 1, "{told}{complaints}");
    let credentials = line(&told, &["credentials:"]);
    assert!(credentials.starts_with("FAILED"), "{told}");
    assert!(credentials.contains("AWS_ACCESS_KEY_ID"), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[tokio::test]
async fn faults_of_the_configuration_are_found_before_anything_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = demand(&["check"], directory.path());
    command.env("DEMAND_LISTEN", "everywhere");
    let (code, told, _) = ended(command).await;
    assert_eq!(code, 1, "{told}");
    assert!(line(&told, &["`listen`", "DEMAND_LISTEN"]).starts_with("FAILED   configuration"));
    assert!(line(&told, &["`env_base` is required"]).starts_with("FAILED   configuration"));
}

#[tokio::test]
async fn local_mode_needs_a_directory_and_bash() {
    let directory = tempfile::tempdir().unwrap();
    let (code, told, _) = ended(demand(&["check", "--local"], directory.path())).await;
    assert_eq!(code, 0, "{told}");
    assert!(line(&told, &["data directory"]).starts_with("ok"), "{told}");
    std::fs::write(directory.path().join("file"), "").unwrap();
    let command = demand(&["check", "--local", "--data-dir", "file/below"], directory.path());
    let (code, told, _) = ended(command).await;
    assert_eq!(code, 1, "{told}");
    assert!(line(&told, &["data directory file/below"]).starts_with("FAILED"), "{told}");
}
