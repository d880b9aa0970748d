//! The `local` engine: jobs as process groups of this machine.
