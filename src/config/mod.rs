//! Configuration: one TOML file, then `DEMAND_…` environment variables, then command-line flags,
//! the later winning, made into one plain value.
//!
//! Everything wrong is reported at once, each fault with its key and where it was set, because an
//! operator who must restart a service per typing error loses an afternoon. An unknown key is a
//! fault: a misspelt `failed_retension` would otherwise delete data three days too early.
//! `deploy/demand.toml` shows every key with its default; `tests/config.rs` holds it to that.

mod error;
mod layers;
mod reader;
mod sections;
mod settings;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::plan::site::{EnvFileWriter, StepTimeouts};
use crate::policy::Rules;
pub use error::{ConfigError, ConfigErrors};
pub use layers::Flag;
use layers::Layers;
use reader::Reader;
pub use sections::{
    Auth, Aws, Batch, DataSync, Efs, Http, Jwt, Lifecycle, Local, Log, Plan, Store, Traces,
};
use settings::{
    Bytes, HttpUrl, LogFilter, NameGlobs, Object, Origins, PathGlobs, S3Globs, S3Uri, Seconds,
};
pub use settings::{DurationError, JwksSource, LogFormat, parse_duration};

/// The longest time `GET /demands/{execution_id}?wait=` holds an answer.
pub const LONGEST_HOLD: Duration = Duration::from_secs(50);

/// Which engine the service is to run with; some defaults and rules depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `--local`: everything on this machine, on a loopback address.
    Local,
    /// AWS Batch.
    AwsBatch,
}

/// What the service is told at its start.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `listen`: where HTTP is served; port 0 lets the system choose. `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// `env_base`: the name of the environment, which prefixes the resources' names: `dev`, `test`
    /// or `prod`, with an optional `-label`. Required but in local mode, where it is `dev-local`.
    pub env_base: String,
    /// `region`: the AWS region. `AWS_REGION`, else `AWS_DEFAULT_REGION`, else `us-west-2`.
    pub region: String,
    /// `allowed_hosts`: what a request's `Host` may name, without port; `*` is any. The names of
    /// loopback when `listen` is loopback, else it must be given.
    pub allowed_hosts: Vec<String>,
    /// `[store]`
    pub store: Store,
    /// `[plan]`
    pub plan: Plan,
    /// `[file_system_configurations]`: the default of a request's object of this name; the
    /// reference's shape.
    pub file_system_configurations: Value,
    /// `[context_manager_configuration]`: likewise. `{env_file_write_mode = "IF_REQUIRED"}`.
    pub context_manager_configuration: Value,
    /// `[lifecycle]`
    pub lifecycle: Lifecycle,
    /// `[timeouts]`: how long one try of each step may run; for ever without. In whole seconds, on
    /// AWS 60 at least.
    pub timeouts: StepTimeouts,
    /// `[data_sync]`
    pub data_sync: DataSync,
    /// `[aws]`
    pub aws: Aws,
    /// `[efs]`
    pub efs: Efs,
    /// `[batch]`
    pub batch: Batch,
    /// `[policy]`: what demands may name. Everything.
    pub policy: Rules,
    /// `[auth]`
    pub auth: Auth,
    /// `[http]`
    pub http: Http,
    /// `[local]`
    pub local: Local,
    /// `[log]`
    pub log: Log,
    /// `[traces]`
    pub traces: Traces,
}

impl Config {
    /// Reads the configuration of `mode` from `file`, `environment` (all of it: what does not
    /// start with `DEMAND_` is passed over) and `flags`, the later winning.
    ///
    /// # Errors
    /// Every fault there is, and only then nothing.
    pub fn load<K, V>(
        mode: Mode,
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (K, V)>,
        flags: &[Flag],
    ) -> Result<Self, ConfigErrors>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let environment: Vec<(OsString, OsString)> =
            environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut layers = Layers::default();
        if let Some(file) = file {
            layers.file(file);
        }
        layers.environment(&environment);
        layers.flags(flags);

        let mut reader = Reader::new(layers);
        let config = Self::read(mode, Conventions::of(&environment), &mut reader);
        config.check(mode, &mut reader);
        reader.finish().map(|()| config)
    }

    /// Every key there is, dotted, in the order of [`Config`].
    pub fn keys() -> Vec<&'static str> {
        let mut reader = Reader::new(Layers::default());
        Self::read(Mode::Local, Conventions::default(), &mut reader);
        reader.keys().to_vec()
    }

    /// Pulls every key. Where one is at fault a default stands in, and `reader` knows.
    fn read(mode: Mode, others: Conventions, reader: &mut Reader) -> Self {
        let local = mode == Mode::Local;
        let either = |here: Duration, on_aws: Duration| if local { here } else { on_aws };
        let listen = reader.or("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
        let data_dir = reader.or("local.data_dir", PathBuf::from(".demand"));
        let database = Path::new("demand.sqlite3");
        Self {
            listen,
            env_base: if local {
                reader.or("env_base", "dev-local".to_owned())
            } else {
                reader.required("env_base")
            },
            region: reader
                .or("region", others.aws_region.unwrap_or_else(|| "us-west-2".to_owned())),
            allowed_hosts: reader.or("allowed_hosts", names_of(listen.ip())),
            store: Store {
                path: reader.or(
                    "store.path",
                    if local { data_dir.join(database) } else { database.to_owned() },
                ),
                retention: reader.optional("store.retention"),
            },
            plan: Plan {
                privileged: reader.or("plan.privileged", false),
                mirror_outputs: reader.or("plan.mirror_outputs", false),
                env_file_writer: reader.or("plan.env_file_writer", EnvFileWriter::StageIn),
            },
            file_system_configurations: reader
                .or("file_system_configurations", Object::default())
                .0,
            context_manager_configuration: {
                let Object(mut configuration) =
                    reader.or("context_manager_configuration", Object::default());
                if let Value::Object(fields) = &mut configuration {
                    fields.entry("env_file_write_mode").or_insert_with(|| "IF_REQUIRED".into());
                }
                configuration
            },
            lifecycle: Lifecycle {
                failed_retention: reader.or("lifecycle.failed_retention", hours(72)),
                look_up_grace: reader
                    .or("lifecycle.look_up_grace", either(Duration::ZERO, seconds(30))),
                lost_grace: reader.or("lifecycle.lost_grace", either(seconds(10), seconds(600))),
                observe_min: reader.or("lifecycle.observe_min", seconds(1)),
                observe_max: reader.or("lifecycle.observe_max", seconds(60)),
                shutdown_grace: reader.or("lifecycle.shutdown_grace", seconds(30)),
            },
            timeouts: StepTimeouts {
                stage_in: reader.optional("timeouts.stage_in").map(Seconds::get),
                execute: reader.optional("timeouts.execute").map(Seconds::get),
                wrap_up: reader.optional("timeouts.wrap_up").map(Seconds::get),
                clean_up: reader.optional("timeouts.clean_up").map(Seconds::get),
            },
            data_sync: DataSync {
                image: if local {
                    reader.or("data_sync.image", "demand".to_owned())
                } else {
                    reader.required("data_sync.image")
                },
                job_queue: reader.optional("data_sync.job_queue"),
                job_role: reader.optional("data_sync.job_role"),
                memory: reader.or("data_sync.memory", 2048),
                vcpus: reader.or("data_sync.vcpus", 1),
                payload_prefix: reader
                    .optional("data_sync.payload_prefix")
                    .map(|S3Uri(prefix)| prefix),
            },
            aws: Aws { endpoint_url: reader.optional("aws.endpoint_url").map(|HttpUrl(url)| url) },
            efs: Efs { cache_ttl: reader.or("efs.cache_ttl", seconds(300)) },
            batch: Batch {
                events_queue_url: reader.optional("batch.events_queue_url").map(|HttpUrl(url)| url),
                log_group: reader.optional("batch.log_group"),
                job_queues: reader.or("batch.job_queues", Vec::new()),
            },
            policy: rules(reader),
            auth: Auth {
                insecure_allow_anonymous: reader.or("auth.insecure_allow_anonymous", false),
                tokens_file: reader.optional("auth.tokens_file"),
                jwt: jwt(reader),
            },
            http: Http {
                body_limit: reader.or("http.body_limit", Bytes(1024 * 1024)).0,
                timeout: reader.or("http.timeout", seconds(60)),
                max_concurrency: reader.or("http.max_concurrency", 1024),
                cors_origins: reader.or("http.cors_origins", Origins::default()).0,
            },
            local: Local { data_dir, slots: reader.optional("local.slots") },
            log: Log {
                format: reader.or("log.format", LogFormat::Text),
                level: reader.or("log.level", LogFilter("info".to_owned())).0,
            },
            traces: traces(reader, others.otlp_endpoint),
        }
    }

    /// The rules that concern more than one key.
    fn check(&self, mode: Mode, reader: &mut Reader) {
        let loopback = self.listen.ip().is_loopback();
        if mode == Mode::Local && !loopback {
            reader.refuse("listen", "must be a loopback address: local mode runs commands");
        } else if self.allowed_hosts.is_empty() {
            reader.refuse(
                "allowed_hosts",
                "must name the hosts the service is called by, since `listen` is not loopback",
            );
        }
        if mode == Mode::Local && self.file_system_configurations != Object::default().0 {
            reader.refuse(
                "file_system_configurations",
                "has no use in local mode, whose volumes are directories of `local.data_dir`",
            );
        }
        let anonymous = self.auth.insecure_allow_anonymous;
        if anonymous && self.auth.is_required() {
            reader.refuse(
                "auth.insecure_allow_anonymous",
                "contradicts `auth.tokens_file` and `auth.jwt`, with which callers must say who \
                 they are",
            );
        }
        if mode == Mode::AwsBatch && !loopback && !anonymous && !self.auth.is_required() {
            reader.refuse(
                "listen",
                "is not a loopback address, and nobody is asked who they are: set \
                 `auth.tokens_file` or `auth.jwt`, or `auth.insecure_allow_anonymous` \
                 (--allow-anonymous) if something before the service asks, or listen on loopback",
            );
        }
        let StepTimeouts { stage_in, execute, wrap_up, clean_up } = self.timeouts;
        for (key, seconds) in [
            ("timeouts.stage_in", stage_in),
            ("timeouts.execute", execute),
            ("timeouts.wrap_up", wrap_up),
            ("timeouts.clean_up", clean_up),
        ] {
            if mode == Mode::AwsBatch && seconds.is_some_and(|seconds| seconds < 60) {
                reader.refuse(key, "must be 60s at least, which is the least AWS Batch takes");
            }
        }
        if self.efs.cache_ttl.is_zero() {
            reader.refuse("efs.cache_ttl", "must be more than 0s");
        }
        if self.lifecycle.observe_min.is_zero() {
            reader.refuse("lifecycle.observe_min", "must be more than 0s");
        }
        if self.lifecycle.observe_max < self.lifecycle.observe_min {
            reader.refuse("lifecycle.observe_max", "must be at least `lifecycle.observe_min`");
        }
        if self.http.timeout <= LONGEST_HOLD {
            reader
                .refuse("http.timeout", "must be more than 50s, which is how long `?wait=` holds");
        }
    }
}

/// `[auth.jwt]`, of which all is needed or nothing.
fn jwt(reader: &mut Reader) -> Option<Jwt> {
    let issuer: Option<String> = reader.optional("auth.jwt.issuer");
    let audience: Option<String> = reader.optional("auth.jwt.audience");
    let keys: Option<JwksSource> = reader.optional("auth.jwt.jwks");
    if issuer.is_none() && audience.is_none() && keys.is_none() {
        return None;
    }
    let missing = [
        ("auth.jwt.issuer", issuer.is_none()),
        ("auth.jwt.audience", audience.is_none()),
        ("auth.jwt.jwks", keys.is_none()),
    ];
    for (key, _) in missing.into_iter().filter(|(_, is_missing)| *is_missing) {
        reader.refuse(key, "must be set where another key of `auth.jwt` is");
    }
    if let Some(JwksSource::Url(url)) = &keys
        && url.scheme() != "https"
        && !is_loopback(url)
    {
        reader.refuse("auth.jwt.jwks", "must be https: whoever answers it decides who gets in");
    }
    Some(Jwt { issuer: issuer?, audience: audience?, keys: keys? })
}

/// Whether a URL leads to this machine.
pub(crate) fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn traces(reader: &mut Reader, convention: Option<String>) -> Traces {
    let mut endpoint: Option<HttpUrl> = reader.optional("traces.endpoint");
    if let (None, Some(url)) = (&endpoint, convention) {
        endpoint = HttpUrl::parse(url).ok();
        if endpoint.is_none() {
            let message = format!(
                "is what {OTLP_ENDPOINT} says, which is no URL such as \"http://127.0.0.1:4318\""
            );
            reader.refuse("traces.endpoint", &message);
        }
    }
    Traces { endpoint: endpoint.map(|HttpUrl(url)| url) }
}

fn rules(reader: &mut Reader) -> Rules {
    Rules {
        job_queues: reader.or("policy.job_queues", NameGlobs::default()).0,
        images: reader.or("policy.images", PathGlobs::default()).0,
        job_roles: reader.or("policy.job_roles", NameGlobs::default()).0,
        input_prefixes: reader.or("policy.input_prefixes", S3Globs::default()).0,
        output_prefixes: reader.or("policy.output_prefixes", S3Globs::default()).0,
    }
}

/// What a browser or a client calls a loopback address; nothing for any other.
fn names_of(address: IpAddr) -> Vec<String> {
    if address.is_loopback() {
        ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec()
    } else {
        Vec::new()
    }
}

/// The variable with the collector that OpenTelemetry's SDKs send to.
const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// What the conventions of others say where this service's own settings do not.
#[derive(Debug, Default)]
struct Conventions {
    /// The region that the AWS SDKs and the container platforms set.
    aws_region: Option<String>,
    /// [`OTLP_ENDPOINT`].
    otlp_endpoint: Option<String>,
}

impl Conventions {
    fn of(environment: &[(OsString, OsString)]) -> Self {
        let first = |wanted: &[&str]| {
            wanted.iter().find_map(|wanted| {
                let (_, value) = environment.iter().find(|(name, _)| name == wanted)?;
                value.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
            })
        };
        let disabled =
            first(&["OTEL_SDK_DISABLED"]).is_some_and(|it| it.eq_ignore_ascii_case("true"));
        Self {
            aws_region: first(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
            otlp_endpoint: first(&[OTLP_ENDPOINT]).filter(|_| !disabled),
        }
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}
