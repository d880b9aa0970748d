//! What a failed call means.
//!
//! `SubmitJob` has no client token, so what matters of its failure is whether a job may exist.
//! AWS Batch has two errors of its own, `ClientException` and `ServerException`
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html>), and throttles as
//! `TooManyRequestsException`, with status 429, or with these words inside another error.

use std::error::Error;

use aws_sdk_batch::config::http::HttpResponse;
use aws_sdk_batch::error::{ProvideErrorMetadata, SdkError};

use crate::engine::SubmitError;
use crate::telemetry::chain;

/// What is known of a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing happened: there was no room, or the call never left.
    Throttled,
    /// Nothing happened and nothing will.
    Refused,
    /// It may have happened.
    Unknown,
}

/// Codes with which AWS says that a call came too often.
const THROTTLES: [&str; 4] = ["throttl", "toomanyrequests", "requestlimitexceeded", "slowdown"];

/// Words with which it says so inside other errors.
const THROTTLING_WORDS: [&str; 3] =
    ["too many requests", "rate exceeded", "request limit exceeded"];

/// Codes that tell of credentials which will be renewed, of a clock or a key that will be set
/// right, or of a permission that will be given: the operator's to mend, and no demand's fault.
const PASSING: [&str; 13] = [
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Classes a failure.
pub(super) fn kind<E>(error: &SdkError<E, HttpResponse>) -> Kind
where
    E: ProvideErrorMetadata,
{
    if is_throttle(error) {
        return Kind::Throttled;
    }
    match error {
        SdkError::ConstructionFailure(_) => Kind::Throttled,
        SdkError::DispatchFailure(failure)
            if failure.as_connector_error().is_some_and(|error| was_refused(error)) =>
        {
            Kind::Throttled
        }
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            // An answer without a code is none of AWS's: something in between made it up.
            match service.err().code() {
                Some(code) if PASSING.contains(&code) => Kind::Throttled,
                Some(_) if (400..500).contains(&status) => Kind::Refused,
                _ => Kind::Unknown,
            }
        }
        _ => Kind::Unknown,
    }
}

/// Whether the service had no room for the call, in whatever shape it says so.
fn is_throttle<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata,
{
    if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 429) {
        return true;
    }
    let SdkError::ServiceError(service) = error else { return false };
    tells_of_throttling(service.err().code(), service.err().message().unwrap_or_default())
}

/// Whether an error's code or words say that there was no room.
pub(super) fn tells_of_throttling(code: Option<&str>, words: &str) -> bool {
    let code = code.unwrap_or_default().to_ascii_lowercase();
    let words = words.to_ascii_lowercase();
    THROTTLES.iter().any(|throttle| code.contains(throttle))
        || THROTTLING_WORDS.iter().any(|said| words.contains(said))
}

/// Whether there was nobody to send the call to.
fn was_refused(error: &(dyn Error + 'static)) -> bool {
    let refused = std::io::ErrorKind::ConnectionRefused;
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == refused) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The failure in words: AWS's own where there are any.
pub(super) fn words<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let SdkError::ServiceError(service) = error
        && let (Some(code), Some(message)) = (service.err().code(), service.err().message())
    {
        return format!("{operation}: {code}: {message}");
    }
    match error.raw_response() {
        Some(raw) => format!("{operation}: HTTP status {}: {}", raw.status(), chain(error)),
        None => format!("{operation}: {}", chain(error)),
    }
}

/// What a failure means for a submission.
pub(super) fn of_submission<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> SubmitError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let words = words(operation, error);
    match kind(error) {
        Kind::Throttled => SubmitError::Retryable(words),
        Kind::Refused => SubmitError::Permanent(words),
        Kind::Unknown => SubmitError::Ambiguous(words),
    }
}

/// Whether `words` say that the job definition is not there or not active, such as "JobDefinition
/// name x does not exist or is not in ACTIVE status".
pub(super) fn misses_definition(words: &str) -> bool {
    let words: String = words.to_ascii_lowercase().split_whitespace().collect();
    words.contains("jobdefinition")
        && ["doesnotexist", "notinactive", "notactive", "inactivestatus", "notfound"]
            .iter()
            .any(|text| words.contains(text))
}
