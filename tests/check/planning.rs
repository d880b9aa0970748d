//! `demand plan --site aws`.

use serde_json::{Value, json};

use crate::moto::{Moto, ended};

fn demand(image: &str) -> Value {
    json!({
        "execution_id": "run-1",
        "execution_type": "align",
        "execution_image": image,
        "execution_parameters": {"command": ["true"]},
        "execution_platform": {"aws_batch": {"job_queue_name": "gpu"}},
    })
}

async fn plan(moto: &Moto, request: &Value) -> (i32, Value) {
    let config = moto.configuration("gpu");
    let file = moto.directory.path().join("demand.json");
    std::fs::write(&file, request.to_string()).unwrap();
    let arguments =
        ["plan", "--site", "aws", "--config", config.to_str().unwrap(), file.to_str().unwrap()];
    let (code, told, complaints) = ended(moto.demand(&arguments)).await;
    (code, serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}{complaints}")))
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_demand_is_planned_for_the_service_on_the_file_systems_there_are() {
    let moto = Moto::start_with_lab().await;
    let (code, plan) = plan(&moto, &demand("ghcr.io/lab/align:1")).await;
    assert_eq!(code, 0, "{plan:#}");
    let job = &plan["setup_configs"]["batch_create_request"];
    assert!(job["job_definition_name"].as_str().unwrap().starts_with("dev-marmot-align"));
    assert_eq!(job["environment"]["AWS_REGION"], "us-west-2");
    let volume = &job["volumes"][0]["efsVolumeConfiguration"];
    assert!(volume["fileSystemId"].as_str().unwrap().starts_with("fs-"));
}

#[tokio::test]
#[ignore = "needs moto"]
async fn what_the_service_does_not_allow_is_refused_here_as_well() {
    let moto = Moto::start_with_lab().await;
    let (code, problem) = plan(&moto, &demand("elsewhere.net/align:1")).await;
    assert_eq!(code, 2);
    assert_eq!(problem["errors"][0]["code"], "not_allowed");
    assert_eq!(problem["errors"][0]["pointer"], "/execution_image");
}
