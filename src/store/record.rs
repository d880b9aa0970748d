//! A stored demand, and how a row becomes one.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{StoreError, timestamp};
use crate::run::history::{Entry, HistoryEntry};
use crate::run::state::State;

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

impl Record {
    pub(super) fn from_row(row: &SqliteRow) -> Result<Self, StoreError> {
        let failed = StoreError::query("read a demand");
        let columns = || -> Result<_, sqlx::Error> {
            Ok((
                row.try_get::<String, _>("execution_id")?,
                timestamp(row, "created_at")?,
                row.try_get("version")?,
                row.try_get("execution_type")?,
                row.try_get("user")?,
                row.try_get("submitted_by")?,
                row.try_get("job_queue")?,
                row.try_get::<String, _>("tags")?,
                row.try_get("content_hash")?,
                row.try_get::<String, _>("state")?,
            ))
        };
        let (
            execution_id,
            created_at,
            version,
            execution_type,
            user,
            submitted_by,
            job_queue,
            tags,
            content_hash,
            state,
        ) = columns().map_err(failed)?;
        Ok(Self {
            tags: read(&execution_id, "tags", &tags)?,
            state: read(&execution_id, "state", &state)?,
            execution_id,
            created_at,
            version,
            execution_type,
            user,
            submitted_by,
            job_queue,
            content_hash,
        })
    }
}

pub(super) fn history_entry(
    execution_id: &str,
    row: &SqliteRow,
) -> Result<HistoryEntry, StoreError> {
    let columns = || -> Result<_, sqlx::Error> {
        Ok((
            row.try_get("seq")?,
            timestamp(row, "at")?,
            row.try_get::<String, _>("type")?,
            row.try_get::<Option<String>, _>("step")?,
            row.try_get("attempt")?,
            row.try_get("from_value")?,
            row.try_get("to_value")?,
            row.try_get("detail")?,
        ))
    };
    let (seq, at, kind, step, attempt, from, to, detail) =
        columns().map_err(StoreError::query("read a history"))?;
    Ok(HistoryEntry {
        seq,
        at,
        kind: word(execution_id, kind)?,
        step: step.map(|step| word(execution_id, step)).transpose()?,
        attempt,
        from,
        to,
        detail,
    })
}

fn word<T: DeserializeOwned>(execution_id: &str, word: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|source| StoreError::Corrupt {
        what: "event",
        execution_id: execution_id.to_owned(),
        source,
    })
}

fn read<T: DeserializeOwned>(
    execution_id: &str,
    what: &'static str,
    json: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|source| StoreError::Corrupt {
        what,
        execution_id: execution_id.to_owned(),
        source,
    })
}
