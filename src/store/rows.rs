//! How rows become demands and entries of their histories.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;

use super::timestamp;
use crate::run::history::HistoryEntry;
use crate::run::record::Record;

pub(super) fn demand(row: &SqliteRow) -> Result<Record, sqlx::Error> {
    Ok(Record {
        execution_id: row.try_get("execution_id")?,
        created_at: timestamp(row, "created_at")?,
        version: row.try_get("version")?,
        execution_type: row.try_get("execution_type")?,
        user: row.try_get("user")?,
        submitted_by: row.try_get("submitted_by")?,
        job_queue: row.try_get("job_queue")?,
        tags: row.try_get::<Json<_>, _>("tags")?.0,
        content_hash: row.try_get("content_hash")?,
        traceparent: row.try_get("traceparent")?,
        state: row.try_get::<Json<_>, _>("state")?.0,
    })
}

pub(super) fn history_entry(row: &SqliteRow) -> Result<HistoryEntry, sqlx::Error> {
    Ok(HistoryEntry {
        seq: row.try_get("seq")?,
        at: timestamp(row, "at")?,
        kind: word(row.try_get("type")?)?,
        step: row.try_get::<Option<String>, _>("step")?.map(word).transpose()?,
        attempt: row.try_get("attempt")?,
        from: row.try_get("from_value")?,
        to: row.try_get("to_value")?,
        detail: row.try_get("detail")?,
    })
}

/// A word of the API as the enum that has it.
fn word<T: DeserializeOwned>(word: String) -> Result<T, sqlx::Error> {
    serde_json::from_value(Value::String(word))
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
