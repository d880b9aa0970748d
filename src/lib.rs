//! Takes a demand execution, plans it, runs it on AWS Batch or on this machine, and tells its
//! status.
//!
//! | module | what it owns | pure |
//! |---|---|---|
//! | [`demand`] | the DemandExecution model: wire shape to valid values | yes |
//! | [`plan`] | `plan(&Demand, &Site) -> Result<Plan, PlanErrors>` and its parts | yes |
//! | [`engine`] | where jobs run; `engine::job` is the pure vocabulary of jobs | |
//!
//! *Pure* means no I/O, no clock, no randomness, no async, and no SDK, database, HTTP or logging
//! crate: time, ids and environment arrive as arguments. `tests/purity.rs` reads the sources and
//! enforces it.

pub mod aws;
pub mod cli;
pub mod demand;
pub mod engine;
pub mod local;
pub mod plan;
pub mod sync;
