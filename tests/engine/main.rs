//! The `local` engine with real processes, supervised by the real binary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's panic is its report")]

mod ending;
mod forgetting;
mod logs;
mod restarts;
mod running;
mod scheduling;
mod support;
mod trouble;
