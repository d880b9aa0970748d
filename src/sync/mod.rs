//! The data-sync engine the worker runs in a step's job: transfers between S3 and directories,
//! then removals (design §8, §6.7).
//!
//! | file | subject |
//! |---|---|
//! | `worker`, `job` | a step's task, its order and its repetition; what it has at hand |
//! | `request`, `rules`, `bin`, `overlap` | one data-sync request; what it lays down for each file; how many at a time; what it must not do to itself |
//! | `prepare`, `partition` | one request cut into batches |
//! | `source`, `filter`, `location`, `mounts` | what is to be transferred, and where it lies |
//! | `transfer`, `download`, `upload`, `copy`, `multipart` | one file's way |
//! | `wire`, `integrity` | how S3 is called and believed |
//! | `partial`, `sink`, `disk`, `placing`, `lock` | files under way, how they are written, where they may go, one writer |
//! | `mirror`, `removal`, `access` | what is removed, whatever its mode |
//! | `journal`, `delivered` | what a repeated step knows of earlier tries |
//! | `env_file`, `document`, `outcome` | the env file; what comes in and goes out |
//! | `progress`, `survey` | what is seen meanwhile, and how much is left |

mod access;
mod bin;
mod copy;
mod delivered;
mod disk;
mod document;
mod download;
mod env_file;
mod error;
mod filter;
mod integrity;
mod job;
mod journal;
mod location;
mod lock;
mod mirror;
mod mounts;
mod multipart;
mod outcome;
mod overlap;
mod partial;
mod partition;
mod placing;
mod prepare;
mod progress;
mod removal;
mod request;
mod rules;
mod sink;
mod source;
mod survey;
mod transfer;
mod upload;
mod wire;
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
