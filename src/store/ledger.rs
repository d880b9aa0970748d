//! The ledger of registered job definitions, by region and content hash.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::writer::Change;
use super::{Store, StoreError, micros};

/// A revision of a job definition and the content it was registered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The region it is registered in.
    pub region: String,
    /// [`content_hash`](crate::plan::submission::JobDefinition::content_hash).
    pub content_hash: String,
    /// Its ARN, revision included.
    pub job_definition: String,
}

impl Store {
    /// The revision on record for this content.
    pub async fn definition(
        &self,
        region: &str,
        content_hash: &str,
    ) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT job_definition FROM definitions WHERE region = ? AND content_hash = ?",
        )
        .bind(region)
        .bind(content_hash)
        .fetch_optional(&self.readers)
        .await
        .map_err(StoreError::query("read the ledger of job definitions"))
    }

    /// Puts a revision on record, in the place of the one that was there for its content.
    pub async fn record_definition(&self, entry: LedgerEntry) -> Result<(), StoreError> {
        self.writer.write(Change::RecordDefinition(entry)).await.map(|_| ())
    }

    /// Takes the revision with this ARN off the record; `false` if it was not there.
    pub async fn forget_definition(&self, job_definition: &str) -> Result<bool, StoreError> {
        self.writer.write(Change::ForgetDefinition(job_definition.to_owned())).await
    }
}

pub(super) async fn record(
    connection: &mut SqliteConnection,
    entry: &LedgerEntry,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO definitions (content_hash, region, job_definition, recorded_at)
         VALUES (?, ?, ?, ?)",
    )
    .bind(&entry.content_hash)
    .bind(&entry.region)
    .bind(&entry.job_definition)
    .bind(micros(Timestamp::now()))
    .execute(connection)
    .await
    .map(|_| true)
}

pub(super) async fn forget(
    connection: &mut SqliteConnection,
    job_definition: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query("DELETE FROM definitions WHERE job_definition = ?")
        .bind(job_definition)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() > 0)
}
