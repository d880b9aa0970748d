//! EFS paths through the mounts that the environment names, as the reference's workers do.

use std::collections::HashMap;
use std::fs;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::lab::{Lab, Ran, names, ran};

/// An EFS endpoint that knows one access point.
async fn efs() -> String {
    let describe = |Query(query): Query<HashMap<String, String>>| async move {
        let known = json!([{
            "AccessPointId": "fsap-0123456789abcdef0", "FileSystemId": "fs-0123456789abcdef0",
            "RootDirectory": {"Path": "/scratch"},
        }]);
        let is_known = query.get("AccessPointId").is_some_and(|id| id == "fsap-0123456789abcdef0");
        Json::<Value>(json!({"AccessPoints": if is_known { known } else { json!([]) }}))
    };
    let router = Router::new().route("/2015-02-01/access-points", get(describe));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn sync(lab: &Lab, variables: &[(&str, &str)], destination: &str) -> Ran {
    let mut command = lab.command(&["sync", "s3://data/in", destination]);
    command.env("AWS_ENDPOINT_URL_EFS", efs().await).envs(variables.iter().copied());
    ran(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_and_an_access_point_are_found_by_id_and_by_arn() {
    let lab = Lab::open().await;
    lab.put("in/x", "x");
    fs::create_dir_all(lab.path("mnt/all")).unwrap();
    fs::create_dir_all(lab.path("mnt/scratch")).unwrap();
    let (all, scratch) = (lab.text("mnt/all"), lab.text("mnt/scratch"));
    let arn =
        "arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-0123456789abcdef0";
    let variables = [
        ("EFS_MOUNT_POINT_PATH_ALL", all.as_str()),
        ("EFS_MOUNT_POINT_ID_ALL", "fs-0123456789abcdef0"),
        ("EFS_MOUNT_POINT_PATH_b", scratch.as_str()),
        ("EFS_MOUNT_POINT_ID_b", arn),
    ];
    for destination in [
        "fs-0123456789abcdef0:/data/one",
        "efs://fs-0123456789abcdef0:/scratch/two",
        "efs://fs-0123456789abcdef0/data/three",
        "fs-0123456789abcdef0.efs.us-west-2.amazonaws.com:/scratch/four",
    ] {
        sync(&lab, &variables, destination).await.ok();
    }
    // The nearest mount is taken: that of the access point below its own directory.
    assert_eq!(
        names(&lab.path("mnt")),
        ["all/data/one/x", "all/data/three/x", "scratch/four/x", "scratch/two/x"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_that_are_named_badly_are_told_and_passed_over() {
    let lab = Lab::open().await;
    lab.put("in/x", "x");
    fs::create_dir_all(lab.path("mnt")).unwrap();
    let mnt = lab.text("mnt");
    let variables = [
        ("EFS_MOUNT_POINT_PATH_A", mnt.as_str()),
        ("EFS_MOUNT_POINT_PATH_B", "relative"),
        ("EFS_MOUNT_POINT_ID_B", "fs-0123456789abcdef0"),
        ("EFS_MOUNT_POINT_PATH_C", mnt.as_str()),
        ("EFS_MOUNT_POINT_ID_C", "scratch"),
        ("EFS_MOUNT_POINT_PATH_D", mnt.as_str()),
        ("EFS_MOUNT_POINT_ID_D", "fsap-0123456789abcdef1"),
    ];
    let plain = sync(&lab, &variables, &lab.text("out")).await;
    let told = plain.stderr.clone();
    plain.ok();
    for (variable, why) in [
        ("EFS_MOUNT_POINT_PATH_A", "EFS_MOUNT_POINT_ID_A is not set"),
        ("EFS_MOUNT_POINT_PATH_B", "no absolute path"),
        ("EFS_MOUNT_POINT_PATH_C", "neither a file system nor an access point"),
        ("EFS_MOUNT_POINT_PATH_D", "no access point `fsap-0123456789abcdef1`"),
    ] {
        assert!(told.contains(variable) && told.contains(why), "{told}");
    }
    let failures = sync(&lab, &variables, "fs-0123456789abcdef0:/x").await.failures();
    assert!(failures.contains("EFS_MOUNT_POINT_PATH_x"), "{failures}");
}
