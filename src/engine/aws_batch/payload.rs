//! Tasks of workers that are too large for their job's overrides: they are put to S3, and the job
//! is told where.

use std::borrow::Cow;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;

use super::failure::{Kind, kind, words};
use crate::demand::s3::S3Path;
use crate::engine::SubmitError;
use crate::plan::budget::{CONTAINER_OVERRIDES_LIMIT, json_size};
use crate::plan::submission::SubmitJob;
use crate::plan::worker::TASK_VARIABLE;

/// Puts the job's task to S3 if its overrides are more than AWS Batch takes, and gives the job as
/// it is then to be submitted. Repeating it changes nothing: the object is named after the job.
pub(super) async fn placed<'a>(
    client: &Client,
    prefix: Option<&str>,
    job: &'a SubmitJob,
) -> Result<Cow<'a, SubmitJob>, SubmitError> {
    let size = json_size(&job.container_overrides);
    if size <= CONTAINER_OVERRIDES_LIMIT {
        return Ok(Cow::Borrowed(job));
    }
    let mut job = job.clone();
    let task = job.container_overrides.environment.iter_mut().find(|it| it.name == TASK_VARIABLE);
    let Some(task) = task else {
        return Err(SubmitError::Permanent(format!(
            "the job's overrides have {size} bytes; AWS Batch takes {CONTAINER_OVERRIDES_LIMIT}"
        )));
    };
    let Some(prefix) = prefix else {
        return Err(SubmitError::Permanent(format!(
            "the step's task is too large to be handed over directly: the job's overrides would \
             have {size} bytes, AWS Batch takes {CONTAINER_OVERRIDES_LIMIT}; set \
             data_sync.payload_prefix to an S3 prefix for such tasks"
        )));
    };
    let uri = format!("{}/{}.json", prefix.trim_end_matches('/'), job.job_name);
    let path = S3Path::parse(&uri).map_err(|error| {
        SubmitError::Permanent(format!("data_sync.payload_prefix cannot be used: {error}"))
    })?;
    let content = std::mem::replace(&mut task.value, uri.clone());
    client
        .put_object()
        .bucket(path.bucket())
        .key(path.key())
        .content_type("application/json")
        .body(ByteStream::from(content.into_bytes()))
        .send()
        .await
        .map_err(|error| {
            let words =
                format!("the step's task cannot be put to {uri}: {}", words("PutObject", &error));
            match kind(&error) {
                Kind::Refused => SubmitError::Permanent(words),
                // No job was submitted yet, and the object may be put twice.
                Kind::Throttled | Kind::Unknown => SubmitError::Retryable(words),
            }
        })?;
    Ok(Cow::Owned(job))
}
