//! The `local` engine with real processes, supervised by the real binary.

mod ending;
mod logs;
mod restarts;
mod running;
mod scheduling;
mod support;
