//! The EFS catalogue of AWS: every page of it, read by one at a time, kept while AWS fails, read
//! again when something is missed; and what a service answers from it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is a test's report"
)]

mod answers;
mod endpoint;
mod reading;
