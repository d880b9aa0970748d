//! Whether workers' tasks that are too large for a job can be put where the configuration says.

use aws_config::SdkConfig;
use aws_sdk_s3::primitives::ByteStream;

use super::finding::Finding;
use crate::aws::{CallError, call, s3};
use crate::config::Config;

/// Always the same object, so that a check that was killed leaves no second one.
const PROBE: &str = ".demand-check";

pub(super) async fn check(config: &Config, sdk: &SdkConfig) -> Vec<Finding> {
    let Some(prefix) = &config.data_sync.payload_prefix else {
        return vec![Finding::warning(
            "data_sync.payload_prefix is not set: demands with more than about fifteen inputs are refused",
            "set it to an S3 prefix that the service can write and workers can read",
        )];
    };
    let what = format!("payload prefix {prefix}");
    vec![match probe(prefix, sdk).await {
        Ok(()) => Finding::ok(format!("{what} is writable")),
        Err(error) => Finding::of_call(
            &what,
            &error,
            "s3:PutObject and s3:DeleteObject below it",
            "create the bucket, or correct data_sync.payload_prefix",
        ),
    }]
}

async fn probe(prefix: &str, sdk: &SdkConfig) -> Result<(), CallError> {
    let path = prefix.strip_prefix("s3://").unwrap_or(prefix);
    let (bucket, folder) = path.split_once('/').unwrap_or((path, ""));
    let folder = folder.trim_end_matches('/');
    let key = if folder.is_empty() { PROBE.to_owned() } else { format!("{folder}/{PROBE}") };
    let s3 = s3(sdk);
    let body = ByteStream::from_static(b"written and deleted by `demand check`\n");
    let put = s3.put_object().bucket(bucket).key(&key).body(body).send().await;
    put.map_err(call("PutObject"))?;
    let deleted = s3.delete_object().bucket(bucket).key(&key).send().await;
    deleted.map(drop).map_err(call("DeleteObject"))
}
