//! A stored demand. PURE.

use indexmap::IndexMap;
use jiff::Timestamp;

use super::history::Entry;
use super::state::State;

/// A demand as it is stored, without its request and plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub execution_id: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// From 1; every change adds 1.
    pub version: i64,
    /// The kind of computation, in the submitter's words.
    pub execution_type: String,
    /// The user that the request names.
    pub user: Option<String>,
    /// Who sent the request, where the service knows.
    pub submitted_by: Option<String>,
    /// The queue of its `execute` job.
    pub job_queue: String,
    /// Its tags.
    pub tags: IndexMap<String, String>,
    /// Of the canonical request, before defaults.
    pub content_hash: String,
    /// Where its trace goes on, where it has one.
    pub traceparent: Option<String>,
    /// What changes.
    pub state: State,
}

/// A demand to be stored.
#[derive(Debug, Clone)]
pub struct NewDemand {
    /// What is stored of it.
    pub record: Record,
    /// The request as it was accepted, JSON.
    pub request: String,
    /// Its plan, JSON.
    pub plan: String,
    /// The first entry of its history.
    pub accepted: Entry,
    /// The key by which its sender recognises it.
    pub idempotency_key: Option<String>,
}
