//! Configuration: the example holds every key with its default, sources win over each other in
//! their order, and every fault is told at once with its key and where it was set.

#![allow(clippy::unwrap_used, reason = "in a test's own functions it fails the test, as it should")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use demand_context_manager::config::{Config, ConfigError, ConfigErrors, Flag, LogFormat, Mode};
use demand_context_manager::plan::site::{EnvFileWriter, StepTimeouts};
use serde_json::json;

const EXAMPLE: &str = include_str!("../deploy/demand.toml");
const NOTHING: [(&str, &str); 0] = [];
/// What AWS Batch cannot do without; as the example has it.
const REQUIRED: [(&str, &str); 2] = [
    ("DEMAND_ENV_BASE", "dev-marmot"),
    ("DEMAND_DATA_SYNC__IMAGE", "demand-context-manager:0.1.0"),
];

/// The example with every key that is commented out put in force.
fn uncommented() -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => key,
        _ => line,
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

struct File {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

fn file(text: &str) -> File {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("demand.toml");
    std::fs::write(&path, text).unwrap();
    File { path, _directory: directory }
}

fn local(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let file = file(text);
    Config::load(Mode::Local, Some(&file.path), environment.iter().copied(), &[])
}

fn from_variables(environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::load(Mode::Local, None, environment.iter().copied(), &[])
}

/// The only fault there is, in words.
fn the_fault(result: Result<Config, ConfigErrors>) -> String {
    let faults = result.unwrap_err();
    assert_eq!(faults.iter().count(), 1, "{faults}");
    faults.to_string()
}

#[test]
fn the_example_as_it_is_gives_the_defaults() {
    let file = file(EXAMPLE);
    let example = Config::load(Mode::AwsBatch, Some(&file.path), NOTHING, &[]).unwrap();
    let defaults = Config::load(Mode::AwsBatch, None, REQUIRED, &[]).unwrap();
    assert_eq!(example, defaults);
}

#[test]
fn every_key_the_example_comments_out_shows_its_default() {
    let file = file(&uncommented());
    let mut example = Config::load(Mode::AwsBatch, Some(&file.path), NOTHING, &[]).unwrap();
    let defaults = Config::load(Mode::AwsBatch, None, REQUIRED, &[]).unwrap();

    // What has no default is shown with an example's value.
    assert_eq!(example.timeouts.execute, Some(24 * 3600));
    example.timeouts = StepTimeouts::default();
    assert!(example.data_sync.job_queue.take().is_some());
    assert!(example.data_sync.job_role.take().is_some());
    assert!(example.data_sync.payload_prefix.take().is_some());
    assert!(example.local.slots.take().is_some());
    assert!(example.aws.endpoint_url.take().is_some());
    assert!(example.batch.events_queue_url.take().is_some());
    assert!(example.batch.log_group.take().is_some());
    assert!(example.auth.tokens_file.take().is_some());
    assert!(example.store.retention.take().is_some());
    assert!(example.traces.endpoint.take().is_some());
    assert_eq!(example.auth.jwt.take().unwrap().issuer, "https://id.example.org/");
    let configurations = std::mem::replace(&mut example.file_system_configurations, json!({}));
    assert_eq!(configurations["scratch"][0]["file_system"], "dev-marmot-scratch");

    assert_eq!(example, defaults);
}

#[test]
fn the_example_names_every_key() {
    let mut section = String::new();
    let mut named = Vec::new();
    for line in uncommented().lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            named.push(section.clone());
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let dot = if section.is_empty() { "" } else { "." };
            named.push(format!("{section}{dot}{key}"));
        }
    }
    let keys = Config::keys();
    assert!(keys.len() > 40);
    for key in keys {
        assert!(named.iter().any(|name| name == key), "the example does not name `{key}`");
    }
}

#[test]
fn every_fault_is_told_at_once_with_its_key_and_where_it_was_set() {
    let file = file(
        "listen = \"everywhere\"\n\
         [lifecycle]\n\
         failed_retension = \"1h\"\n\
         lost_grace = \"soon\"\n\
         [http]\n\
         max_concurrency = 0\n",
    );
    let environment = [
        ("DEMAND_LOG__FORMAT", "xml"),
        ("DEMAND_PLAN__PRIVILEGED", "perhaps"),
        ("DEMAND_LIFECYCLE_OBSERVE_MIN", "1s"),
    ];
    let faults =
        Config::load(Mode::AwsBatch, Some(&file.path), environment, &[]).unwrap_err().to_string();

    let path = file.path.display().to_string();
    let expected: [(&str, &str); 9] = [
        (&path, "`listen` expects an IP address and a port"),
        (
            &path,
            "`lifecycle.failed_retension` is not a setting; did you mean `lifecycle.failed_retention`?",
        ),
        (
            &path,
            "`lifecycle.lost_grace` expects a duration such as \"72h\", \"1.5s\" or \"0s\", not `soon`",
        ),
        (&path, "`http.max_concurrency` expects a whole number of at least 1, not `0`"),
        ("DEMAND_LOG__FORMAT", "`log.format` expects \"text\" or \"json\", not `xml`"),
        ("DEMAND_PLAN__PRIVILEGED", "`plan.privileged` expects true or false, not `perhaps`"),
        ("DEMAND_LIFECYCLE_OBSERVE_MIN", "did you mean `DEMAND_LIFECYCLE__OBSERVE_MIN`?"),
        ("`env_base` is required", "DEMAND_ENV_BASE"),
        ("`data_sync.image` is required", "DEMAND_DATA_SYNC__IMAGE"),
    ];
    for (origin, words) in expected {
        let told = faults.lines().any(|line| line.starts_with(origin) && line.contains(words));
        assert!(told, "no line starts with {origin} and says {words}:\n{faults}");
    }
    assert_eq!(faults.lines().count(), expected.len(), "{faults}");
}

#[test]
fn a_variable_wins_over_the_file_and_a_flag_over_both() {
    let file = file("listen = \"127.0.0.1:1\"\n[lifecycle]\nfailed_retention = \"1h\"\n");
    let environment =
        [("DEMAND_LIFECYCLE__FAILED_RETENTION", "72h"), ("DEMAND_LISTEN", "127.0.0.1:2")];
    let flag = Flag { name: "--listen", key: "listen", value: "127.0.0.1:3".to_owned() };
    let config = Config::load(Mode::Local, Some(&file.path), environment, &[flag]).unwrap();
    assert_eq!(config.lifecycle.failed_retention, Duration::from_hours(72));
    assert_eq!(config.listen.port(), 3);
}

#[test]
fn a_fault_of_a_flag_names_the_flag() {
    let flag = Flag { name: "--listen", key: "listen", value: "8080".to_owned() };
    let fault = the_fault(Config::load(Mode::Local, None, NOTHING, &[flag]));
    assert!(fault.starts_with("--listen: `listen` expects"), "{fault}");
}

#[test]
fn a_value_of_the_environment_is_read_as_the_type_its_key_has() {
    let config = from_variables(&[
        ("DEMAND_ENV_BASE", "0123"),
        ("DEMAND_PLAN__MIRROR_OUTPUTS", "true"),
        ("DEMAND_PLAN__ENV_FILE_WRITER", "none"),
        ("DEMAND_LOCAL__SLOTS", "3"),
        ("DEMAND_LOG__FORMAT", "json"),
        ("DEMAND_HTTP__BODY_LIMIT", "2 MiB"),
        ("DEMAND_HTTP__CORS_ORIGINS", "https://lab.example.org, http://localhost:3000"),
        ("DEMAND_CONTEXT_MANAGER_CONFIGURATION", r#"{"isolate_inputs": false}"#),
        ("DEMAND_LIFECYCLE__LOST_GRACE", "1.5s"),
    ])
    .unwrap();
    assert_eq!(config.env_base, "0123");
    assert!(config.plan.mirror_outputs);
    assert_eq!(config.plan.env_file_writer, EnvFileWriter::None);
    assert_eq!(config.local.slots, Some(3));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.http.body_limit, 2 * 1024 * 1024);
    assert_eq!(config.http.cors_origins, ["https://lab.example.org", "http://localhost:3000"]);
    assert_eq!(
        config.context_manager_configuration,
        json!({"isolate_inputs": false, "env_file_write_mode": "IF_REQUIRED"})
    );
    assert_eq!(config.lifecycle.lost_grace, Duration::from_millis(1500));
}

#[test]
fn free_form_tables_of_the_file_keep_their_shape() {
    let file = file(
        "[file_system_configurations]\n\
         selection_strategy = \"RANDOM\"\n\
         scratch = [{ file_system = \"fs-1\" }, { file_system = \"fs-2\" }]\n\
         [context_manager_configuration]\n\
         env_file_write_mode = \"NEVER\"\n\
         input_data_sync_configuration = { force = true }\n",
    );
    let config = Config::load(Mode::AwsBatch, Some(&file.path), REQUIRED, &[]).unwrap();
    assert_eq!(
        config.file_system_configurations,
        json!({
            "selection_strategy": "RANDOM",
            "scratch": [{"file_system": "fs-1"}, {"file_system": "fs-2"}],
        })
    );
    assert_eq!(
        config.context_manager_configuration,
        json!({"env_file_write_mode": "NEVER", "input_data_sync_configuration": {"force": true}})
    );
}

#[test]
fn variables_of_the_client_the_worker_and_kubernetes_are_no_settings() {
    let config = from_variables(&[
        ("DEMAND_URL", "http://127.0.0.1:8080"),
        ("DEMAND_TOKEN", "secret"),
        ("DEMAND_CONFIG", "demand.toml"),
        ("DEMAND_TASK", "{}"),
        ("DEMAND_SERVICE_HOST", "10.0.0.1"),
        ("DEMAND_SERVICE_PORT_HTTP", "80"),
        ("DEMAND_PORT", "tcp://10.0.0.1:80"),
        ("DEMAND_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(config.unwrap(), from_variables(&[]).unwrap());
}

#[test]
fn an_unknown_key_far_from_any_other_is_refused_without_a_suggestion() {
    let fault = the_fault(local("zzz = 1\n", &[]));
    assert!(fault.ends_with("`zzz` is not a setting"), "{fault}");
}

#[test]
fn a_quoted_key_with_a_dot_is_not_the_key_it_looks_like() {
    let fault = the_fault(local("\"log.level\" = \"debug\"\n", &[]));
    assert!(fault.contains("is not a setting"), "{fault}");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_told_beside_what_the_environment_has_wrong() {
    let missing = Path::new("missing/demand.toml");
    let environment = [("DEMAND_LOCAL__SLOTS", "many")];
    let faults = Config::load(Mode::Local, Some(missing), environment, &[]).unwrap_err();
    assert!(matches!(faults.iter().next(), Some(ConfigError::Unreadable { .. })));
    assert!(faults.to_string().contains("DEMAND_LOCAL__SLOTS: `local.slots`"), "{faults}");

    let faults = local("[log]\nlevel = oops\n", &environment).unwrap_err();
    assert!(matches!(faults.iter().next(), Some(ConfigError::Syntax { .. })));
    let text = faults.to_string();
    assert!(text.contains("line 2"), "{text}");
    assert!(text.contains("DEMAND_LOCAL__SLOTS: `local.slots`"), "{text}");
}

#[test]
fn local_mode_needs_nothing_and_keeps_its_database_in_its_data_directory() {
    let config = from_variables(&[]).unwrap();
    assert_eq!(config.env_base, "dev-local");
    assert_eq!(config.store.path, Path::new(".demand/demand.sqlite3"));
    let config = from_variables(&[("DEMAND_LOCAL__DATA_DIR", "/var/lib/demand")]).unwrap();
    assert_eq!(config.store.path, Path::new("/var/lib/demand/demand.sqlite3"));
}

#[test]
fn what_local_mode_would_pass_over_is_refused_there() {
    let fault = the_fault(local("[file_system_configurations]\ntmp = []\n", &[]));
    assert!(fault.contains("has no use in local mode"), "{fault}");
}

#[test]
fn local_mode_refuses_to_listen_beyond_loopback() {
    let fault = the_fault(from_variables(&[("DEMAND_LISTEN", "0.0.0.0:8080")]));
    assert!(fault.starts_with("DEMAND_LISTEN: `listen` must be a loopback address"), "{fault}");
}

#[test]
fn a_service_beyond_loopback_must_be_told_its_names() {
    let mut environment = REQUIRED.to_vec();
    environment.push(("DEMAND_LISTEN", "0.0.0.0:80"));
    environment.push(("DEMAND_AUTH__INSECURE_ALLOW_ANONYMOUS", "true"));
    let fault = the_fault(Config::load(Mode::AwsBatch, None, environment.clone(), &[]));
    assert!(fault.contains("`allowed_hosts` must name"), "{fault}");
    environment.push(("DEMAND_ALLOWED_HOSTS", "demand.example.org"));
    let config = Config::load(Mode::AwsBatch, None, environment, &[]).unwrap();
    assert_eq!(config.allowed_hosts, ["demand.example.org"]);
}

#[test]
fn a_service_beyond_loopback_must_be_told_to_take_anybody() {
    let mut environment = REQUIRED.to_vec();
    environment.push(("DEMAND_LISTEN", "0.0.0.0:80"));
    environment.push(("DEMAND_ALLOWED_HOSTS", "demand.example.org"));
    let fault = the_fault(Config::load(Mode::AwsBatch, None, environment.clone(), &[]));
    assert!(fault.starts_with("DEMAND_LISTEN: `listen` is not a loopback address"), "{fault}");
    assert!(fault.contains("`auth.insecure_allow_anonymous` (--allow-anonymous)"), "{fault}");
    let key = "auth.insecure_allow_anonymous";
    let flag = Flag { name: "--allow-anonymous", key, value: "true".to_owned() };
    Config::load(Mode::AwsBatch, None, environment.clone(), std::slice::from_ref(&flag)).unwrap();

    environment.push(("DEMAND_AUTH__TOKENS_FILE", "tokens.json"));
    Config::load(Mode::AwsBatch, None, environment.clone(), &[]).unwrap();
    let fault = the_fault(Config::load(Mode::AwsBatch, None, environment, &[flag]));
    assert!(fault.contains("contradicts `auth.tokens_file`"), "{fault}");
}

#[test]
fn an_identity_provider_is_named_whole_and_asked_in_secret() {
    let jwt = |jwks: &'static str| {
        [
            ("DEMAND_AUTH__JWT__ISSUER", "https://id.example.org/"),
            ("DEMAND_AUTH__JWT__AUDIENCE", "demands"),
            ("DEMAND_AUTH__JWT__JWKS", jwks),
        ]
    };
    for jwks in ["https://id.example.org/jwks", "http://127.0.0.1:9/jwks", "/etc/jwks.json"] {
        assert!(from_variables(&jwt(jwks)).unwrap().auth.is_required(), "{jwks}");
    }
    let fault = the_fault(from_variables(&jwt("http://id.example.org/jwks")));
    assert!(fault.contains("must be https"), "{fault}");
    let fault = the_fault(from_variables(&jwt("https://id.example.org/jwks")[..2]));
    assert!(fault.contains("`auth.jwt.jwks` must be set"), "{fault}");
}

#[test]
fn the_globs_of_a_policy_are_read_from_lists_and_from_variables() {
    let config = local(
        "[policy]\nimages = [\"ghcr.io/lab\"]\ninput_prefixes = [\"s3://lab-*\"]\n",
        &[("DEMAND_POLICY__JOB_QUEUES", "gpu, lab-*")],
    )
    .unwrap();
    assert_eq!(config.policy.images.globs(), ["ghcr.io/lab"]);
    assert_eq!(config.policy.input_prefixes.globs(), ["s3://lab-*"]);
    assert_eq!(config.policy.job_queues.globs(), ["gpu", "lab-*"]);
    assert_eq!(config.policy.job_queues.plain().collect::<Vec<_>>(), ["gpu"]);
}

#[test]
fn the_region_is_the_platforms_unless_it_is_set() {
    let region = |environment: &[(&str, &str)]| from_variables(environment).unwrap().region;
    assert_eq!(region(&[]), "us-west-2");
    assert_eq!(region(&[("AWS_DEFAULT_REGION", "eu-west-1")]), "eu-west-1");
    assert_eq!(region(&[("AWS_DEFAULT_REGION", "a"), ("AWS_REGION", "b")]), "b");
    assert_eq!(region(&[("AWS_REGION", "b"), ("DEMAND_REGION", "c")]), "c");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let fault = the_fault(from_variables(&[("DEMAND_LIFECYCLE__OBSERVE_MIN", "2m")]));
    assert!(fault.contains("`lifecycle.observe_max` must be at least"), "{fault}");
    let fault = the_fault(from_variables(&[("DEMAND_HTTP__TIMEOUT", "50s")]));
    assert!(fault.contains("`http.timeout` must be more than 50s"), "{fault}");
}

#[test]
fn values_that_could_not_work_are_refused() {
    for (variable, value) in [
        ("DEMAND_LIFECYCLE__LOST_GRACE", "-1s"),
        ("DEMAND_LIFECYCLE__LOST_GRACE", "1 month"),
        ("DEMAND_LIFECYCLE__LOST_GRACE", "10"),
        ("DEMAND_HTTP__BODY_LIMIT", "1 MB"),
        ("DEMAND_HTTP__BODY_LIMIT", "99999999999 GiB"),
        ("DEMAND_HTTP__CORS_ORIGINS", "https://lab.example.org/"),
        ("DEMAND_HTTP__CORS_ORIGINS", "*"),
        ("DEMAND_LOG__LEVEL", "loud"),
        ("DEMAND_REGION", " "),
        ("DEMAND_DATA_SYNC__PAYLOAD_PREFIX", "bucket/prefix"),
        ("DEMAND_FILE_SYSTEM_CONFIGURATIONS", "[]"),
        ("DEMAND_CONTEXT_MANAGER_CONFIGURATION__ISOLATE_INPUTS", "true"),
        ("DEMAND_LOCAL__SLOTS", "-1"),
        ("DEMAND_TIMEOUTS__EXECUTE", "1.5s"),
        ("DEMAND_TIMEOUTS__EXECUTE", "0s"),
        ("DEMAND_EFS__CACHE_TTL", "0s"),
        ("DEMAND_POLICY__IMAGES", "ghcr.io/[lab"),
        ("DEMAND_POLICY__INPUT_PREFIXES", "lab-data/*"),
        ("DEMAND_BATCH__EVENTS_QUEUE_URL", "events"),
        ("DEMAND_AWS__ENDPOINT_URL", "ftp://127.0.0.1"),
        ("DEMAND_LOG", "info"),
    ] {
        let fault = the_fault(from_variables(&[(variable, value)]));
        assert!(fault.starts_with(&format!("{variable}: ")), "{fault}");
    }
}

#[test]
fn a_collector_is_taken_from_the_convention_of_others_unless_it_is_switched_off() {
    let loaded = |more: &[(&str, &str)]| {
        let environment = REQUIRED.iter().copied().chain(more.iter().copied());
        Config::load(Mode::AwsBatch, None, environment, &[])
    };
    let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    let endpoint = |more: &[(&str, &str)]| loaded(more).unwrap().traces.endpoint;
    assert_eq!(endpoint(&[collector]).as_deref(), Some("http://collector:4318"));
    let own = ("DEMAND_TRACES__ENDPOINT", "https://ours");
    assert_eq!(endpoint(&[collector, own]).as_deref(), Some("https://ours"));
    assert_eq!(endpoint(&[collector, ("OTEL_SDK_DISABLED", "true")]), None);
    let bare = [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")];
    let fault = the_fault(loaded(&bare));
    assert!(fault.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{fault}");
}
