//! Bad input: every fault at once, where it is, under a stable code.

use demand_context_manager::demand::{Demand, ExecutionId, json};
use serde_json::{Value, json};

use super::sample::{demand_json, demand_with, faults, faults_on, params, plan, site, site_with};

#[test]
fn every_fault_is_told_at_once() {
    let request = demand_with(json!({
        "execution_id": "../x",
        "execution_type": 7,
        "execution_parameters": {
            "command": [],
            "params": {
                "PATH": "/evil",
                "1a": "x",
                "a-b": "one",
                "A.B": "two",
                "reads": 5,
                "circle": "${CIRCLE}",
            },
            "verbosity": "perhaps",
        },
        "resource_requirements": {"memory": -1, "vcpus": 1.5},
        "execution_metadata": {"tags": {"n": 1}, "notify_on": {"NEVER": true}},
        "context_manager_configuration": {"env_file_write_mode": "SOMETIMES"},
        "file_system_configurations": {"shared": []},
    }));
    assert_eq!(
        faults(&request),
        [
            "/context_manager_configuration/env_file_write_mode unknown_value",
            "/execution_id invalid_execution_id",
            "/execution_metadata/notify_on/NEVER unknown_value",
            "/execution_metadata/tags/n wrong_type",
            "/execution_parameters/command no_command",
            "/execution_parameters/params/1a invalid_parameter_name",
            "/execution_parameters/params/A.B name_collision",
            "/execution_parameters/params/PATH forbidden_parameter_name",
            "/execution_parameters/params/reads wrong_type",
            "/execution_parameters/verbosity wrong_type",
            "/execution_type wrong_type",
            "/file_system_configurations/shared invalid_value",
            "/resource_requirements/memory out_of_range",
            "/resource_requirements/vcpus wrong_type",
        ]
    );
}

#[test]
fn what_only_planning_needs_is_told_with_the_rest() {
    let request = demand_with(json!({
        "execution_image": 1,
        "execution_parameters": {"command": [], "params": {"reads": "elsewhere"}},
        "execution_platform": null,
    }));
    assert_eq!(
        faults(&request),
        [
            "/execution_image wrong_type",
            "/execution_parameters/command no_command",
            "/execution_parameters/params/reads invalid_s3_path",
            "/execution_platform no_platform",
        ]
    );
}

#[test]
fn pointers_follow_the_request_as_it_was_sent() {
    let bare = demand_with(json!({"execution_parameters": {"params": {"a/b~c": 1}}}));
    assert_eq!(faults(&bare), ["/execution_parameters/params/a~1b~0c invalid_parameter_name"]);
    let wrapped = json!({"demand_execution": bare});
    assert_eq!(
        faults(&wrapped),
        ["/demand_execution/execution_parameters/params/a~1b~0c invalid_parameter_name"]
    );
    let mut camel = demand_json();
    let parameters = camel.as_object_mut().unwrap().remove("execution_parameters").unwrap();
    camel["executionParameters"] = parameters;
    camel["executionParameters"]["outputS3Prefix"] = json!("s3://!");
    assert_eq!(faults(&camel), ["/executionParameters/outputS3Prefix invalid_s3_path"]);
}

#[test]
fn ids_are_one_safe_path_segment() {
    for bad in ["", ".", "..", "../x", "a/b", "-a", "a b", "tmp", "shared", "plan", "events", "é"]
    {
        assert!(ExecutionId::parse(bad).is_err(), "{bad:?} was taken");
        let request = demand_with(json!({"execution_id": bad}));
        assert_eq!(faults(&request), ["/execution_id invalid_execution_id"], "{bad:?}");
    }
    assert!(ExecutionId::parse(&"a".repeat(129)).is_err());
    for good in ["a", "A.b_c-1", "tmp2", &"a".repeat(128)] {
        assert!(ExecutionId::parse(good).is_ok(), "{good:?} was refused");
    }
}

#[test]
fn a_missing_id_is_a_fault_unless_one_is_made() {
    let request = demand_with(json!({"execution_id": null}));
    assert_eq!(faults(&request), ["/execution_id missing"]);
    let made = Demand::parse_with_id(&request, || ExecutionId::parse("made").unwrap()).unwrap();
    assert_eq!(made.execution_id().as_str(), "made");
    let given = Demand::parse_with_id(&demand_json(), || panic!("the request has one")).unwrap();
    assert_eq!(given.execution_id().as_str(), "run-1");
}

#[test]
fn local_paths_stay_inside_their_directories() {
    for escaping in ["../x", "..", "a/../../x", "/opt/efs/scratch/other", "/etc/passwd"] {
        let out = format!("{escaping} @ s3://out-bucket/x");
        let request = params(json!({"out": out}), &[], &["out"]);
        let told = faults(&request);
        assert_eq!(told, ["/execution_parameters/params/out path_outside_directory"], "{escaping}");
        let input = json!({"local": escaping, "remote": "s3://data-bucket/x"});
        let request = params(json!({"in": input}), &["in"], &[]);
        let told = faults(&request);
        assert_eq!(told, ["/execution_parameters/params/in path_outside_directory"], "{escaping}");
    }
    let inside = params(json!({"out": "a/../b @ s3://out-bucket/x"}), &[], &["out"]);
    assert_eq!(faults(&inside), [""; 0]);
}

#[test]
fn references_to_nothing_and_circles_are_named() {
    let request = params(
        json!({"a": "${B}", "b": "${C}", "c": "${a}", "d": "${NOWHERE} ${ELSEWHERE}", "e": "${D}", "f": "x"}),
        &[],
        &[],
    );
    assert_eq!(
        faults(&request),
        [
            "/execution_parameters/params/a reference_cycle",
            "/execution_parameters/params/d unresolved_reference",
            "/execution_parameters/params/d unresolved_reference",
        ]
    );
    let words = plan(&request).unwrap_err().to_string();
    assert!(words.contains("A -> B -> C -> A"), "{words}");
    assert!(words.contains("${NOWHERE}") && words.contains("${ELSEWHERE}"), "{words}");
}

#[test]
fn references_that_double_by_nesting_end_early() {
    let mut doubling = json!({"p0": "x".repeat(64)});
    for n in 1..60 {
        doubling[format!("p{n}")] = json!(format!("${{P{0}}}${{P{0}}}", n - 1));
    }
    let told = faults(&params(doubling, &[], &[]));
    assert_eq!(told, ["/execution_parameters/params/p11 too_large"]);
}

#[test]
fn long_chains_of_references_are_followed() {
    let mut chain = json!({"p0": "end"});
    for n in 1..5000 {
        chain[format!("p{n}")] = json!(format!("${{P{}}}", n - 1));
    }
    let mut request = params(chain, &[], &[]);
    request["execution_parameters"]["command"] = json!(["x"]);
    let demand = Demand::parse(&request).unwrap();
    assert!(demand.parameters().job_parameters().iter().all(|known| known.value == "end"));
}

#[test]
fn names_that_steer_programs_are_refused() {
    for name in ["path", "LD_PRELOAD", "ld-library-path", "bash.env", "ENV", "IFS", "PYTHONPATH"] {
        let request = params(json!({name: "x"}), &[], &[]);
        let pointer = format!("/execution_parameters/params/{name} forbidden_parameter_name");
        assert_eq!(faults(&request), [pointer]);
    }
    let request = params(json!({"execution-id": "another"}), &[], &[]);
    assert_eq!(faults(&request), ["/execution_parameters/params/execution-id name_collision"]);
}

#[test]
fn inputs_and_outputs_must_be_parameters_and_differ() {
    let both = params(json!({"a": "s3://data-bucket/x"}), &["a"], &["A"]);
    assert_eq!(faults(&both), ["/execution_parameters/outputs/0 input_output_overlap"]);
    let missing = params(json!({}), &["a"], &["b"]);
    assert_eq!(
        faults(&missing),
        [
            "/execution_parameters/inputs/0 unknown_parameter",
            "/execution_parameters/outputs/0 unknown_parameter",
        ]
    );
    let mut pairs = demand_json();
    pairs["execution_parameters"]["param_pairs"] =
        json!([{"input": "reads", "output": "out"}, {"input": "nobody"}]);
    assert_eq!(faults(&pairs), ["/execution_parameters/param_pairs/1 invalid_pair"]);
}

#[test]
fn an_output_without_destination_is_a_fault() {
    let mut request = params(json!({"out": "out"}), &[], &["out"]);
    request["execution_parameters"].as_object_mut().unwrap().remove("output_s3_prefix");
    assert_eq!(faults(&request), ["/execution_parameters/params/out no_destination"]);
}

#[test]
fn patterns_are_compiled_at_submission() {
    let input = json!({"local": "a", "remote": "s3://data-bucket/x", "include": ["ok.*", "("]});
    let told = faults(&params(json!({"in": input}), &["in"], &[]));
    assert_eq!(told, ["/execution_parameters/params/in/include/1 invalid_pattern"]);
    let look_around = json!({
        "local": "a", "remote": "s3://data-bucket/x",
        "include": r"(?P<stem>\w+)-(?P=stem)\.h5", "exclude": r"(?!keep).*\Z",
    });
    assert_eq!(faults(&params(json!({"in": look_around}), &["in"], &[])), [""; 0]);
}

#[test]
fn nul_characters_are_faults_wherever_they_are() {
    let request = demand_with(json!({
        "execution_image": "a\u{0}b",
        "execution_parameters": {"params": {"deep": [{"k": "\u{0}"}]}},
        "unknown": {"k\u{0}": 1},
    }));
    assert_eq!(
        faults(&request),
        [
            "/execution_image nul_character",
            "/execution_parameters/params/deep/0/k nul_character",
            "/unknown/k\u{0} nul_character",
        ]
    );
}

#[test]
fn names_that_batch_refuses_are_refused_here() {
    let request = demand_with(json!({"execution_type": "two words"}));
    assert_eq!(faults(&request), ["/execution_type invalid_name"]);
    let request = demand_with(json!({"execution_type": "t".repeat(80)}));
    assert_eq!(faults(&request), ["/execution_type invalid_name", "/execution_type invalid_name"]);
}

#[test]
fn an_environment_too_large_to_send_is_a_fault_where_no_file_can_be_written() {
    let large = params(json!({"large": "x".repeat(9000)}), &[], &[]);
    assert_eq!(faults(&large), [""; 0]);
    let no_writer = site_with(json!({"plan": {"env_file_writer": "none"}}));
    let told = faults_on(&large, &no_writer);
    assert_eq!(told, ["/execution_parameters/params too_large"]);
    let mut never = large.clone();
    never["context_manager_configuration"] = json!({"env_file_write_mode": "NEVER"});
    assert_eq!(faults_on(&never, &site()), ["/execution_parameters/params too_large"]);
}

#[test]
fn file_systems_that_cannot_be_told_are_all_named() {
    let mut request = demand_json();
    request["file_system_configurations"] = json!({
        "scratch": [{"access_point": "nowhere"}],
        "shared": {"file_system": "fs-0badc0de"},
        "tmp": {"container_path": "relative"},
    });
    assert_eq!(
        faults(&request),
        [
            "/file_system_configurations/scratch/0 access_point_not_found",
            "/file_system_configurations/shared file_system_not_found",
            "/file_system_configurations/tmp/container_path invalid_value",
        ]
    );
}

#[test]
fn broken_json_is_told_with_its_place() {
    let told = |bytes: &[u8]| json::read(bytes).unwrap_err().to_string();
    assert_eq!(told(b"{\n  \"a\": ]"), "not JSON at line 2, column 8");
    assert_eq!(told(b"{\n \"\xff\"}"), "not UTF-8 at line 2, column 3");
    let deep = "[".repeat(100) + &"]".repeat(100);
    assert_eq!(told(deep.as_bytes()), "nested deeper than 64 levels at line 1, column 65");
    let fine = "[".repeat(64) + &"]".repeat(64);
    assert!(json::read(fine.as_bytes()).is_ok());
    let brackets = format!("{{\"a\": \"{}\\\"[[\"}}", "[".repeat(100));
    assert!(json::read(brackets.as_bytes()).is_ok(), "brackets in a string are no nesting");
}

#[test]
fn requests_that_are_no_objects_are_faults() {
    for request in [json!(null), json!([]), json!("x"), json!(7)] {
        assert_eq!(faults(&request), [" wrong_type"]);
        let wrapped = json!({"demand_execution": request});
        assert_eq!(faults(&wrapped), ["/demand_execution wrong_type"]);
    }
    assert_eq!(
        faults(&json!({})),
        [
            "/execution_id missing",
            "/execution_image missing",
            "/execution_parameters/command no_command",
            "/execution_platform no_platform",
            "/execution_type missing",
        ]
    );
}

#[test]
fn unknown_fields_are_ignored() {
    let request = demand_with(json!({
        "colour": "blue",
        "execution_parameters": {"colour": []},
        "resource_requirements": {"colour": {}},
    }));
    let plain: Value = serde_json::to_value(plan(&demand_json()).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(plan(&request).unwrap()).unwrap(), plain);
}
