//! The `demand` binary: flags, runtime, exit codes.

fn main() {}
