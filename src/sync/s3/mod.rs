//! The S3 side: how it is called and believed, and what it is asked for beyond single objects.
//!
//! | file | subject |
//! |---|---|
//! | `wire` | the client, what bounds its use, trying again what broke |
//! | `integrity` | whether a file holds the bytes of an object |
//! | `multipart` | an object made of parts |
//! | `deletion` | many objects deleted a batch at a time |

pub(super) mod deletion;
pub(super) mod integrity;
pub(super) mod multipart;
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
