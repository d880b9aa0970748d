//! The data-sync engine the worker runs in a step's job: transfers between S3 and directories,
//! then removals (design §8, §6.7).
//!
//! | room or file | subject |
//! |---|---|
//! | `worker` | a step's task, its order and its repetition |
//! | `request` | one data-sync request, from its paths to its report |
//! | `prepare` | one request cut into batches |
//! | `source` | what is to be transferred, listed and filtered |
//! | `transfer` | one file's way |
//! | `removal` | what is removed: paths, moved sources, what a mirror does not have |
//! | `s3`, `disk` | how each side is used and believed |
//! | `location`, `mounts` | where data lies |
//! | `job` | what a run has at hand |
//! | `journal`, `unfinished` | what a repeated step, or a request, knows of earlier tries |
//! | `document`, `outcome`, `progress`, `error` | what comes in; what goes out, meanwhile, in the end and instead |

mod disk;
mod document;
mod error;
mod job;
mod journal;
mod location;
mod mounts;
mod outcome;
mod prepare;
mod progress;
mod removal;
mod request;
mod s3;
mod source;
mod transfer;
mod unfinished;
mod worker;

pub use document::{Batch, DocumentError, load, load_requests};
pub use error::{Failure, SyncError};
pub use job::Tell;
pub use journal::NAME as JOURNAL_NAME;
pub use location::{Location, LocationError, S3Path};
pub use mounts::{MountError, MountFault, mounts};
pub use outcome::{Intent, Report};
pub use prepare::{Prepared, PreparedBatch, PreparedRequests, prepare};
pub use progress::{Progress, Shown, show};
pub use worker::{LOCK_TIMEOUT, Worker};
