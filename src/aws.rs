//! How this binary reaches AWS: region, credentials and endpoint from the usual environment
//! variables and profile, TLS by rustls on ring; and what is told of a call that failed.

mod patience;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction, RetryPartition, TokenBucket};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use url::Url;

pub use patience::Patient;

use crate::config::is_loopback;

/// Tries of one call, the first included.
const ATTEMPTS: u32 = 6;
/// The same of calls to S3, which slows down whoever is too fast for longer: half a minute to one.
const S3_ATTEMPTS: u32 = 8;

/// Characters told of an answer that cannot be understood.
const LONGEST_ANSWER: usize = 200;

/// How long a call waits for an S3 endpoint on this machine that refuses connections: longer than
/// the service that serves it takes to be restarted, or to be updated by hand.
const LOCAL_OUTAGE: Duration = Duration::from_mins(10);

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

/// The same, in the service's own region, and at its own endpoint if it has one.
pub async fn config_of(settings: &crate::config::Config) -> SdkConfig {
    let mut config = config().await.into_builder().region(Region::new(settings.region.clone()));
    if let Some(url) = &settings.aws.endpoint_url {
        config = config.endpoint_url(url);
    }
    config.build()
}

/// A call to AWS that failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct CallError {
    /// The call, such as `DescribeFileSystems`.
    pub operation: &'static str,
    /// AWS's code for a refusal, such as `AccessDeniedException`; none where no answer came.
    pub code: Option<String>,
    /// What went wrong.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl CallError {
    /// Whether the caller lacks a permission.
    pub fn is_denied(&self) -> bool {
        let denials = ["AccessDenied", "UnauthorizedOperation", "AuthorizationError", "HTTP 403"];
        self.code.as_deref().is_some_and(|code| denials.iter().any(|d| code.starts_with(d)))
    }
}

/// A refusal in AWS's own words.
#[derive(Debug, thiserror::Error)]
#[error("{}", if message.is_empty() { code.clone() } else { format!("{code}: {message}") })]
struct Refused {
    code: String,
    message: String,
}

/// Names the operation of a call that failed, and finds the words in what the SDK answers.
pub fn call<E>(operation: &'static str) -> impl FnOnce(SdkError<E>) -> CallError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    move |error| {
        let (Some(refusal), Some(answer)) = (error.as_service_error(), error.raw_response()) else {
            return CallError { operation, code: None, source: error.into() };
        };
        // What is not AWS, such as a proxy on the way or a server of another make, may answer in
        // another form than the call's.
        let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default());
        let code = refusal.code().or_else(|| element(&body, "Code")).map(str::to_owned);
        let code = code.unwrap_or_else(|| format!("HTTP {}", answer.status().as_u16()));
        let message = refusal.message().or_else(|| element(&body, "Message")).map(str::to_owned);
        let message = message.unwrap_or_else(|| body.chars().take(LONGEST_ANSWER).collect());
        // An answer to HEAD has no words.
        let reason = http::StatusCode::from_u16(answer.status().as_u16()).ok();
        let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let message = if message.is_empty() { reason.to_owned() } else { message };
        let source = Refused { code: code.clone(), message }.into();
        CallError { operation, code: Some(code), source }
    }
}

/// The text of the first XML element of that name.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}

/// An S3 client. A custom endpoint has no name for each bucket, so there the bucket is named in
/// the path. One on this machine is waited for while it is down: jobs outlive the local mode that
/// serves it.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let endpoint = std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|url| !url.is_empty());
    let endpoint = endpoint.or_else(|| config.endpoint_url().map(str::to_owned));
    let custom = endpoint.is_some() || has_own_endpoint();
    let mut builder = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(custom)
        // Whole objects are asked for with their checksums; parts of them have none of their own.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(S3_ATTEMPTS))
        .retry_classifier(TooMany)
        // Of many transfers at once a moment without network would fail those that come last: by
        // default all calls share the tries of about a hundred.
        .retry_partition(
            RetryPartition::custom("s3").token_bucket(TokenBucket::unlimited()).build(),
        );
    if let Some(http) = config.http_client()
        && endpoint.is_some_and(|url| Url::parse(&url).is_ok_and(|url| is_loopback(&url)))
    {
        // An upload that waits to be sent is no stalled one.
        let stalled = StalledStreamProtectionConfig::enabled().upload_enabled(false).build();
        builder = builder
            .http_client(Patient::new(http, LOCAL_OUTAGE))
            .stalled_stream_protection(stalled);
    }
    aws_sdk_s3::Client::from_conf(builder.build())
}

/// Has calls tried again that were answered 429, as servers of other makes than S3 say it.
#[derive(Debug)]
struct TooMany;

impl ClassifyRetry for TooMany {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(429) => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "429"
    }
}

fn has_own_endpoint() -> bool {
    is_set("AWS_ENDPOINT_URL_S3") || is_set("AWS_ENDPOINT_URL")
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}
