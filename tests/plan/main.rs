//! Demands and plans through their public interfaces: what is refused and how, what every plan
//! keeps to, and what steps are made of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "failing is how a test reports")]

mod content;
mod env_file;
mod faults;
mod names;
mod properties;
mod python;
mod sample;
mod scale;
mod site;
mod steps;
