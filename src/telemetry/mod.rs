//! What is logged, and how: to stderr, since stdout is for what a command answers.

pub mod metrics;
mod process;
pub mod traces;

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{self, Log, LogFormat};
use opentelemetry_otlp::ExporterBuildError;
use traces::Traces;

/// The spans that are traced: this crate's, not its libraries'.
const OWN: &str = env!("CARGO_CRATE_NAME");

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The directives cannot be read.
    #[error("cannot read the log directives `{directives}`")]
    Directives {
        /// As they were given.
        directives: String,
        /// What is wrong.
        source: ParseError,
    },
    /// Traces cannot be sent.
    #[error("cannot send traces to {endpoint}")]
    Traces {
        /// The collector.
        endpoint: String,
        /// Why.
        source: ExporterBuildError,
    },
    /// Logging was set up before, and can be only once in a process.
    #[error("cannot set up logging")]
    Init(#[from] TryInitError),
}

/// The environment's word on logging, which is the convention of every Rust program rather than
/// a setting of this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `RUST_LOG`: directives in place of `log.level`.
    pub rust_log: Option<String>,
    /// `OTEL_SERVICE_NAME` is set: the name of the service in traces.
    pub service_is_named: bool,
    /// `NO_COLOR` is set and not empty (<https://no-color.org>).
    pub no_color: bool,
}

impl Environment {
    /// This process's.
    pub fn of_process() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            rust_log: set("RUST_LOG"),
            no_color: set("NO_COLOR").is_some(),
            service_is_named: set("OTEL_SERVICE_NAME").is_some(),
        }
    }
}

/// Sets up logging for the rest of the process, and tracing where there is a collector to send
/// traces to; it sends until it is closed.
///
/// # Errors
/// When the directives cannot be read, no client can be made for the collector, or logging is set
/// up already.
pub fn init(
    log: &Log,
    traces: &config::Traces,
    environment: &Environment,
) -> Result<Option<Traces>, TelemetryError> {
    let directives = environment.rust_log.as_ref().unwrap_or(&log.level);
    let filter = EnvFilter::try_new(directives)
        .map_err(|source| TelemetryError::Directives { directives: directives.clone(), source })?;
    let lines = fmt::layer::<Registry>().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        LogFormat::Text => {
            let colours = !environment.no_color && std::io::stderr().is_terminal();
            lines.with_ansi(colours).boxed()
        }
    };
    let traces = match &traces.endpoint {
        Some(endpoint) => Some(
            Traces::to(endpoint, environment.service_is_named)
                .map_err(|source| TelemetryError::Traces { endpoint: endpoint.clone(), source })?,
        ),
        None => None,
    };
    let spans = traces.as_ref().map(|traces| {
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer());
        layer.with_filter(Targets::new().with_target(OWN, Level::INFO))
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init()?;
    Ok(traces)
}

/// An error and what caused it, in one line. A cause that the text ends with already is not told
/// twice.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let told = cause.to_string();
        if !text.ends_with(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        source = cause.source();
    }
    text
}
