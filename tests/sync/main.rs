//! `demand sync` and `demand remove` as users run them, against the embedded S3 endpoint over
//! HTTP.

mod down;
mod endpoint;
mod lab;
mod task;
mod trees;
mod up;
