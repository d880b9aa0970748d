//! The courses a demand can take.

use std::fs;

use serde_json::{Value, json};

use crate::service::{Service, demand, demand_with};

#[tokio::test]
async fn inputs_are_brought_the_command_runs_and_outputs_are_taken_away() {
    let service = Service::start().await;
    service.site.put("lab", "genes/reference.txt", "reference\n").await;
    for n in 0..100 {
        let key = format!("samples/{}/s{n:03}.txt", n % 3);
        service.site.put("lab", &key, &format!("sample {n}\n")).await;
    }
    let command = "mkdir -p ${RESULT}/deep && cat ${REFERENCE} > ${RESULT}/reference.copy \
                   && cat $(find ${SAMPLES} -type f | sort) > ${RESULT}/deep/all.txt \
                   && find ${SAMPLES} -type f | wc -l";
    let id = service
        .accepted(&demand_with(
            "whole-course",
            command,
            &[
                ("reference", json!("s3://lab/genes/reference.txt")),
                ("samples", json!({"local": "in/samples", "remote": "s3://lab/samples/"})),
            ],
            &[("result", json!("out/result @ s3://lab/results/run=1/"))],
        ))
        .await;
    let document = service.ended(&id).await;
    assert_eq!(document["status"], "COMPLETED", "{document:#}");
    assert_eq!(document["reason"], Value::Null);
    assert_eq!(document["working_directory"], "gone");
    let steps: Vec<&str> =
        document["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["stage_in", "execute", "wrap_up"]);

    let result =
        async |key: &str| service.site.get("lab", &format!("results/run=1/{key}")).await.unwrap();
    assert_eq!(result("reference.copy").await, "reference\n");
    let mut expected: Vec<(String, String)> =
        (0..100).map(|n| (format!("{}/s{n:03}", n % 3), format!("sample {n}\n"))).collect();
    expected.sort();
    let expected: String = expected.into_iter().map(|(_, line)| line).collect();
    assert_eq!(result("deep/all.txt").await, expected);
    assert!(!service.site.working_directory(&id).exists());
    assert_eq!(service.log(&id, "?step=execute").await.last().unwrap().trim(), "100");
    let source = service.site.get("lab", "genes/reference.txt").await;
    assert!(source.is_some(), "sources are kept");

    let phases: Vec<String> = service
        .events(&id)
        .await
        .iter()
        .filter(|event| event["type"] == "phase")
        .map(|event| event["to"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(phases.last().unwrap(), "DONE");
    assert!(phases.contains(&"EXECUTING".to_owned()), "{phases:?}");
}

#[tokio::test]
async fn a_failing_command_is_told_with_its_code_and_its_log() {
    let service = Service::start().await;
    let command = "echo before the end && exit 3";
    let id = service
        .accepted(&demand_with("failing", command, &[], &[("out", json!("out @ s3://lab/out/"))]))
        .await;
    let document = service.ended(&id).await;
    assert_eq!(document["status"], "FAILED");
    assert_eq!(document["reason"]["code"], "COMMAND_FAILED", "{document:#}");
    assert!(document["reason"]["message"].as_str().unwrap().contains("exit code 3"));
    let step = |name: &str| {
        let steps = document["steps"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == name).unwrap().clone()
    };
    assert_eq!(step("execute")["exit_code"], 3);
    assert_eq!(step("wrap_up")["started_at"], Value::Null, "dependents do not run");
    assert_ne!(step("wrap_up")["status"], "SUCCEEDED");
    assert!(service.log(&id, "").await.contains(&"before the end".to_owned()));
    assert_eq!(document["working_directory"], "present");
    assert!(service.site.working_directory(&id).exists());
}

#[tokio::test]
async fn with_no_retention_the_working_directory_of_a_failure_is_gone_at_once() {
    let service = Service::start_with(&[("DEMAND_LIFECYCLE__FAILED_RETENTION", "0s")]).await;
    let id = service.accepted(&demand("gone", "echo x > file && exit 1")).await;
    let document = service.until(&id, |document| document["working_directory"] == "gone").await;
    assert_eq!(document["status"], "FAILED");
    assert_eq!(document["reason"]["code"], "COMMAND_FAILED");
    assert!(!service.site.working_directory(&id).exists());
}

#[tokio::test]
async fn a_missing_input_fails_the_staging_and_the_command_never_runs() {
    let service = Service::start().await;
    let marker = service.site.directory().join("ran");
    let id = service
        .accepted(&demand_with(
            "missing",
            &format!("touch {}", marker.display()),
            &[("data", json!("s3://lab/nothing-here"))],
            &[],
        ))
        .await;
    let document = service.ended(&id).await;
    assert_eq!(document["reason"]["code"], "INPUT_STAGING_FAILED", "{document:#}");
    let log = service.log(&id, "").await.join("\n");
    assert!(log.contains("nothing-here"), "the log names what is missing: {log}");
    assert!(!marker.exists());
}

#[tokio::test]
async fn parameters_reach_the_command_as_they_were_sent() {
    let service = Service::start().await;
    let awkward = "it's \"quoted\" $HOME `id` \\ \n second line ü";
    let out = service.site.directory().join("value");
    let mut request = demand("awkward", &format!("printf %s \"$VALUE\" > {}", out.display()));
    request["execution_parameters"]["params"] = json!({"value": awkward});
    for mode in ["NEVER", "ALWAYS"] {
        request["execution_id"] = json!(format!("awkward-{mode}"));
        request["context_manager_configuration"] = json!({"env_file_write_mode": mode});
        let id = service.accepted(&request).await;
        let document = service.ended(&id).await;
        assert_eq!(document["status"], "COMPLETED", "{document:#}");
        assert_eq!(fs::read_to_string(&out).unwrap(), awkward, "{mode}");
        fs::remove_file(&out).unwrap();
    }
}

#[tokio::test]
async fn the_environment_of_a_command_is_not_the_services() {
    let service = Service::start_with(&[("SOME_SECRET", "leaked")]).await;
    let id = service.accepted(&demand("environment", "env")).await;
    service.ended(&id).await;
    let log = service.log(&id, "").await.join("\n");
    assert!(log.contains("EXECUTION_ID=environment"), "{log}");
    assert!(!log.contains("leaked"), "{log}");
}

#[tokio::test]
async fn a_working_directory_that_is_to_be_kept_is_kept() {
    let service = Service::start().await;
    let mut request = demand("kept", "echo kept > file");
    request["context_manager_configuration"] = json!({"cleanup_working_dir": false});
    let id = service.accepted(&request).await;
    let document = service.ended(&id).await;
    assert_eq!(document["status"], "COMPLETED");
    assert_eq!(document["working_directory"], "present");
    let file = service.site.working_directory(&id).join("file");
    assert_eq!(fs::read_to_string(file).unwrap(), "kept\n");
}

#[tokio::test]
async fn a_shared_input_is_there_for_the_next_demand() {
    let service = Service::start().await;
    service.site.put("lab", "atlas.txt", "atlas").await;
    for n in 0..2 {
        let mut request = demand_with(
            &format!("shared-{n}"),
            "cat ${ATLAS}",
            &[("atlas", json!("s3://lab/atlas.txt"))],
            &[],
        );
        request["context_manager_configuration"] = json!({"isolate_inputs": false});
        let id = service.accepted(&request).await;
        let document = service.ended(&id).await;
        assert_eq!(document["status"], "COMPLETED", "{document:#}");
        assert_eq!(service.log(&id, "?step=execute").await.last().unwrap(), "atlas");
    }
    let files = fs::read_dir(service.site.shared()).unwrap().filter_map(Result::ok);
    let kept =
        files.filter(|entry| entry.path().is_file() && fs::read(entry.path()).unwrap() == b"atlas");
    assert_eq!(kept.count(), 1, "kept once, under the key of its remote");
}

#[tokio::test]
async fn a_soft_stop_leaves_jobs_running_and_a_start_takes_them_up() {
    let mut service = Service::start().await;
    let go = service.site.directory().join("go");
    let command = format!("while [ ! -e {0} ]; do sleep 0.05; done; echo went", go.display());
    let id = service.accepted(&demand("outlives", &command)).await;
    service.until(&id, |document| document["phase"] == "EXECUTING").await;
    assert_eq!(service.stop().await, Some(0));
    service.start_again().await;
    fs::write(&go, "").unwrap();
    let document = service.ended(&id).await;
    assert_eq!(document["status"], "COMPLETED");
    let tries = document["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["step"] == "execute")
        .unwrap()["tries"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(tries, 1);
}
