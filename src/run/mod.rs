//! Accept, cancel, retry, look up; and the reconciler that drives what was accepted.

pub mod decide;
pub mod history;
pub mod reason;
pub mod state;
pub mod step_run;
pub mod transition;

mod act;
mod active;
mod changes;
mod observe;
mod reconcile;
mod transitions;
