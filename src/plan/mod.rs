//! The plan: everything derived from a demand and a site, computed once. PURE.

pub mod data_sync;
pub mod submission;
