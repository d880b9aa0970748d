//! Demands from end to end: the real binary serving in local mode, its embedded S3, real
//! processes, over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is a test's report"
)]

mod bad_input;
mod cancel_and_retry;
mod courses;
mod crashes;
mod local_mode;
mod reading;
mod service;
mod site;
