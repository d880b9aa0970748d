//! The S3 side: how it is called and believed, and what it is asked for beyond single objects.
//!
//! | file | subject |
//! |---|---|
//! | `client`, `wire` | the client; what bounds its use, trying again what broke |
//! | `integrity`, `fingerprint` | what S3 says an object is known by; computing it |
//! | `multipart`, `open_uploads` | an object made of parts; those that must not be left behind |
//! | `deletion` | many objects deleted a batch at a time |

pub(super) mod client;
pub(super) mod deletion;
pub(super) mod fingerprint;
pub(super) mod integrity;
pub(super) mod multipart;
pub(super) mod open_uploads;
pub(super) mod wire;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_s3::primitives::DateTime;

/// The length an answer tells, or none where it tells none that can be.
pub(super) fn length(told: Option<i64>) -> Option<u64> {
    told.and_then(|length| u64::try_from(length).ok())
}

/// S3's time, to the second: answers to HEAD have no more, while listings do.
pub(super) fn time(time: Option<&DateTime>) -> SystemTime {
    let seconds = time.map_or(0, DateTime::secs);
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
