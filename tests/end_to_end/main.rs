//! Demands from end to end: the real binary serving in local mode, its embedded S3, real
//! processes, over HTTP.

mod bad_input;
mod cancel_and_retry;
mod courses;
mod crashes;
mod reading;
mod service;
