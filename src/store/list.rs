//! Lists of demands: filters, and keyset paging.
//!
//! A page starts after a position in the order (newest first, then id), never at an offset: a page
//! costs the same wherever it lies, and demands that arrive meanwhile shift nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Sqlite};

use super::micros;
use crate::run::record::Record;
use crate::run::state::{Phase, Status};

/// Which demands a list holds. Several values of one filter are alternatives; several filters must
/// all be passed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Filter {
    /// The reference's status.
    pub status: Vec<Status>,
    /// Our phase.
    pub phase: Vec<Phase>,
    /// The kind of computation.
    pub execution_type: Vec<String>,
    /// The user the request names.
    pub user: Vec<String>,
    /// The queue.
    pub job_queue: Vec<String>,
    /// Tags.
    pub tag: Vec<TagFilter>,
    /// Accepted after this time.
    pub created_after: Option<Timestamp>,
    /// Accepted before this time.
    pub created_before: Option<Timestamp>,
    /// These demands only; unknown ones are left out.
    pub ids: Option<Vec<String>>,
}

/// A tag that a demand must have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct TagFilter {
    /// Its key.
    pub key: String,
    /// Its value; any without one.
    pub value: Option<String>,
}

/// A place in the order of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub created_at: i64,
    /// Decides between demands of one microsecond.
    pub execution_id: String,
}

impl Position {
    pub(super) fn of(record: &Record) -> Self {
        Self { created_at: micros(record.created_at), execution_id: record.execution_id.clone() }
    }
}

/// One page of a list.
#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub records: Vec<Record>,
    /// Where the next page starts, if there is one.
    pub next: Option<Position>,
}

/// Asks for one row more than `limit`, which tells whether there is a next page.
pub(super) fn query(filter: &Filter, after: Option<&Position>, limit: u32) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT * FROM demands WHERE TRUE");
    any_of(&mut sql, "status", filter.status.iter().map(|status| status.as_str().to_owned()));
    any_of(&mut sql, "phase", filter.phase.iter().map(|phase| phase.as_str().to_owned()));
    any_of(&mut sql, "execution_type", filter.execution_type.iter().cloned());
    any_of(&mut sql, "user", filter.user.iter().cloned());
    any_of(&mut sql, "job_queue", filter.job_queue.iter().cloned());
    if let Some(ids) = &filter.ids {
        sql.push(" AND execution_id IN (");
        separated(&mut sql, ids.iter().cloned());
        sql.push(")");
    }
    if !filter.tag.is_empty() {
        sql.push(" AND execution_id IN (SELECT execution_id FROM tags WHERE FALSE");
        for tag in &filter.tag {
            sql.push(" OR (key = ").push_bind(tag.key.clone());
            if let Some(value) = &tag.value {
                sql.push(" AND value = ").push_bind(value.clone());
            }
            sql.push(")");
        }
        sql.push(")");
    }
    if let Some(after) = filter.created_after {
        sql.push(" AND created_at > ").push_bind(micros(after));
    }
    if let Some(before) = filter.created_before {
        sql.push(" AND created_at < ").push_bind(micros(before));
    }
    if let Some(position) = after {
        sql.push(" AND (created_at, execution_id) < (")
            .push_bind(position.created_at)
            .push(", ")
            .push_bind(position.execution_id.clone())
            .push(")");
    }
    sql.push(" ORDER BY created_at DESC, execution_id DESC LIMIT ").push_bind(i64::from(limit) + 1);
    sql
}

fn any_of(
    sql: &mut QueryBuilder<Sqlite>,
    column: &'static str,
    values: impl ExactSizeIterator<Item = String>,
) {
    if values.len() == 0 {
        return;
    }
    sql.push(" AND ").push(column).push(" IN (");
    separated(sql, values);
    sql.push(")");
}

fn separated(sql: &mut QueryBuilder<Sqlite>, values: impl Iterator<Item = String>) {
    let mut list = sql.separated(", ");
    for value in values {
        list.push_bind(value);
    }
}
