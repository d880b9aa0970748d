//! Takes a demand execution, plans it, runs it on AWS Batch or on this machine, and tells its
//! status.
//!
//! | module | what it owns | pure |
//! |---|---|---|
//! | [`demand`] | the DemandExecution model: wire shape to valid values | yes |
//! | [`plan`] | `plan(&Demand, &Site) -> Result<Plan, PlanErrors>` and its parts | yes |
//! | [`run`] | accept, cancel, retry, look up; the state, what is decided from it, the reconciler | but for the acting |
//! | [`store`] | state in SQLite: queries, compare-and-set, group commit | |
//! | [`engine`] | where jobs run; `engine::job` is the pure vocabulary of jobs | |
//! | [`efs`] | where the EFS catalogue comes from: fixed, or AWS through a cache | |
//! | [`service`] | one running service put together from its parts, local or on AWS | |
//! | [`local`] | what local mode brings along: the embedded S3, the data directory as a site | |
//! | [`policy`] | what an operator allows | yes |
//! | [`sync`] | the worker: env files, transfers, removals | |
//! | [`aws`] | credentials, region, endpoints and TLS of AWS clients | |
//! | [`tls`] | TLS of the other clients | |
//! | [`http`] | routes, problems, who may call, the OpenAPI document | |
//! | [`config`] | file, environment and flags to one `Config`; every error at once | |
//! | [`telemetry`] | what is logged, and how | |
//! | [`lifecycle`] | named tasks, soft and hard shutdown | |
//! | [`cli`] | the commands of the binary; most are a client of the HTTP interface | |
//!
//! *Pure* means no I/O, no clock, no randomness, no async, and no SDK, database, HTTP or logging
//! crate: time, ids and environment arrive as arguments. `tests/purity.rs` reads the sources and
//! enforces it.

pub mod aws;
pub mod cli;
pub mod config;
pub mod demand;
pub mod efs;
pub mod engine;
pub mod http;
pub mod lifecycle;
pub mod local;
pub mod plan;
pub mod policy;
pub mod run;
pub mod service;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod tls;
