//! The command-line client: the real binary against a peer that answers as the HTTP contract says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test's own functions they fail the test, as they should"
)]

mod binary;
mod logs;
mod reaching;
mod reading;
mod service;
mod submitting;
mod waiting;
