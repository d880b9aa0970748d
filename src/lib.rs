//! Takes a demand execution, plans it, runs it on AWS Batch or on this machine, and tells its
//! status.

pub mod demand;
pub mod engine;
pub mod plan;
pub mod run;
pub mod store;
