//! `demand check`, the start of a service on AWS, and `demand plan --site aws`, against moto.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is a test's report"
)]

mod moto;
mod planning;
mod preflight;
mod starting;
