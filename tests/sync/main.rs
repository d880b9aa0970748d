//! `demand sync` and `demand remove` as users run them, against the embedded S3 endpoint over
//! HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy takes only functions marked as tests for tests, not what they share"
)]

mod batches;
mod bins;
mod bounds;
mod by_hand;
mod checksums;
mod copies;
mod corners;
mod delivery;
mod disk_full;
mod down;
mod dry_run;
mod endpoint;
mod faults;
mod halved;
mod held;
mod killed;
mod lab;
mod listings;
mod locks;
mod many;
mod mishaps;
mod moto;
mod mounts;
mod moves;
mod patience;
#[path = "../moto/plain.rs"]
mod plain;
mod progress;
mod task;
mod traffic;
mod trees;
mod up;
mod up_faults;
mod within;
