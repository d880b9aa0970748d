//! Sizes of calls against AWS's limits (design §7), checked before calling: most breaches show
//! only later, as a job that fails.

use std::io;

use serde::Serialize;

use super::submission::Budget;

/// The budget of [`CONTAINER_OVERRIDES_LIMIT`].
pub const CONTAINER_OVERRIDES: &str = "container_overrides";

/// Bytes of `containerOverrides`
/// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerOverrides.html>).
pub const CONTAINER_OVERRIDES_LIMIT: u64 = 8192;

/// Bytes of a `SubmitJob` (<https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html>).
pub const SUBMIT_JOB_LIMIT: u64 = 30 * 1024;

/// Bytes of a job definition (same page).
pub const JOB_DEFINITION_LIMIT: u64 = 24 * 1024;

/// Bytes of a worker's task, which it is handed in an environment variable.
pub const WORKER_TASK_LIMIT: u64 = 16 * 1024;

/// `used` of `limit`.
pub(super) fn budget(name: &str, used: u64, limit: u64) -> Budget {
    Budget { name: name.to_owned(), used, limit }
}

/// The bytes of `value` as compact JSON, which is how the AWS SDK sends it.
pub(crate) fn json_size(value: &impl Serialize) -> u64 {
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        // Only maps with keys that are no strings fail; no call has one. Counted as beyond any
        // limit, so that it could not pass unnoticed.
        Err(_) => u64::MAX,
    }
}

/// Counts what is written to it.
struct Count(u64);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
