//! How this binary reaches AWS: region, credentials and endpoint from the usual environment
//! variables and profile, TLS by rustls on ring.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// Tries of one call, the first included.
const ATTEMPTS: u32 = 6;

/// The region where nothing names one: endpoints of other makes ask for none, clients do.
const FALLBACK_REGION: Region = Region::from_static("us-east-1");

/// What all clients share. Looks at the environment, then at the instance this may run on; with
/// an endpoint of one's own, at the environment alone for the region.
pub async fn config() -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_mins(1))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
    if has_own_endpoint() && !is_set("AWS_REGION") && !is_set("AWS_DEFAULT_REGION") {
        loader = loader.region(FALLBACK_REGION);
    }
    let config = loader.load().await;
    if config.region().is_some() {
        return config;
    }
    config.into_builder().region(FALLBACK_REGION).build()
}

/// An S3 client. A custom endpoint has no name for each bucket, so there the bucket is named in
/// the path.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let custom = config.endpoint_url().is_some() || has_own_endpoint();
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(custom).build();
    aws_sdk_s3::Client::from_conf(config)
}

fn has_own_endpoint() -> bool {
    is_set("AWS_ENDPOINT_URL_S3") || is_set("AWS_ENDPOINT_URL")
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}
