//! What local mode brings along so that it needs nothing but the binary.

pub mod s3;
