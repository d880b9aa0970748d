//! Demands from end to end on AWS Batch: the real binary against moto's server, whose jobs run as
//! processes (`tests/moto`). The cases are those of `tests/end_to_end`, unchanged, and what only
//! this site can be asked.
//!
//! `tests/run aws` runs it; it needs the Python of `.venv`, so that `cargo test` alone leaves it
//! out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is a test's report"
)]

#[path = "../end_to_end/bad_input.rs"]
mod bad_input;
#[path = "../end_to_end/cancel_and_retry.rs"]
mod cancel_and_retry;
#[path = "../end_to_end/courses.rs"]
mod courses;
#[path = "../end_to_end/crashes.rs"]
mod crashes;
mod definitions;
mod exactly_once;
mod faults;
mod kills;
mod moto;
mod proxy;
#[path = "../end_to_end/reading.rs"]
mod reading;
mod reasons;
#[path = "../end_to_end/service.rs"]
mod service;
mod site;
