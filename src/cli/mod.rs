//! The commands of the binary.

pub mod remove;
pub mod sync;
