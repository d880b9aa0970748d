//! The HTTP interface as clients meet it: who may call, what is negotiated, histories live,
//! connections that are slow or many. The real binary, in local mode.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is a test's report"
)]

mod connections;
mod events;
mod examples;
mod jwt;
mod logging;
mod metrics;
mod negotiation;
mod polling;
mod retention;
#[allow(dead_code, reason = "what the end-to-end cases need beside")]
#[path = "../end_to_end/service.rs"]
mod service;
#[allow(dead_code, reason = "what the end-to-end cases need beside")]
#[path = "../end_to_end/site.rs"]
mod site;
mod tokens;
mod traces;
