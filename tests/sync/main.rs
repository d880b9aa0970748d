//! `demand sync` and `demand remove` as users run them, against the embedded S3 endpoint over
//! HTTP.

#![allow(
    clippy::unwrap_used,
    reason = "clippy takes only functions marked as tests for tests, not what they share"
)]

mod delivery;
mod down;
mod endpoint;
mod faults;
mod held;
mod lab;
mod mishaps;
mod moto;
mod patience;
mod task;
mod trees;
mod up;
mod up_faults;
