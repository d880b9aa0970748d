//! What local mode brings along so that it needs nothing but the binary.

pub mod endpoint;
pub mod s3;
pub mod site;
