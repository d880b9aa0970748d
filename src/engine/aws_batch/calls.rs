//! The clients that call AWS Batch, and their pace.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_batch::{Client, config};

use super::metrics::Metrics;
use super::pace::Pace;

/// How long a call may take that is not repeated. Well above what AWS Batch takes, as a call given
/// up has to be looked up.
const ONCE: Duration = Duration::from_secs(50);

/// How long all tries of any other call may take together.
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) struct Calls {
    /// For calls that may be repeated.
    pub(super) patient: Client,
    /// For `SubmitJob` and `RegisterJobDefinition`, which make a second one when repeated.
    pub(super) once: Client,
    pub(super) pace: Pace,
    pub(super) metrics: Metrics,
}

impl Calls {
    pub(super) fn new(config: &SdkConfig) -> Self {
        let timeouts = |whole| TimeoutConfig::builder().operation_timeout(whole).build();
        let metrics = Metrics::default();
        let builder = || config::Builder::from(config).interceptor(metrics.clone());
        let once =
            builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts(ONCE)).build();
        let patient = builder().timeout_config(timeouts(PATIENCE)).build();
        Self {
            patient: Client::from_conf(patient),
            once: Client::from_conf(once),
            pace: Pace::default(),
            metrics,
        }
    }
}
