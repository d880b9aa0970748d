//! Removes demands that ended long ago, with their plans, histories, tags and keys.
//!
//! A little at a time, through the one writer like every other change, so that nobody waits long
//! for it; the room that is freed goes back to the file system.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::writer::Change;
use super::{Store, micros};
use crate::telemetry::chain;

/// Demands that are removed in one transaction.
const STEP: u32 = 20;

/// Pages that are given back in one transaction: 4 MiB.
const PAGES: u32 = 1024;

/// Between two transactions, so that others have the disk most of the time.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest time between two looks for what may go, and the shortest.
const LOOK: Duration = Duration::from_hours(1);
const SHORTEST_LOOK: Duration = Duration::from_millis(100);

impl Store {
    /// Removes what has ended longer ago than `retention`, until `stopping`.
    pub async fn retain(self, retention: Duration, stopping: CancellationToken) {
        let look = (retention / 10).clamp(SHORTEST_LOOK, LOOK);
        loop {
            let before = Timestamp::now().saturating_sub(retention).unwrap_or(Timestamp::MIN);
            loop {
                match self.prune(before).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(failed) => {
                        warn!(error = %chain(&failed), "cannot remove demands that ended long ago");
                        break;
                    }
                }
                if stopping.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                    return;
                }
            }
            if stopping.run_until_cancelled(tokio::time::sleep(look)).await.is_none() {
                return;
            }
        }
    }

    /// Removes some of the demands that ended before then, and gives room back; answers whether
    /// there is more to do.
    pub async fn prune(&self, before: Timestamp) -> Result<bool, super::StoreError> {
        self.writer.write(Change::Prune { before }).await
    }
}

/// One step; see [`Store::prune`].
pub(super) async fn prune(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> Result<bool, sqlx::Error> {
    // The rest of a demand goes with its row.
    let removed = sqlx::query(
        "DELETE FROM demands WHERE execution_id IN (
            SELECT execution_id FROM demands WHERE active = 0 AND finished_at < ?
            ORDER BY finished_at LIMIT ?)",
    )
    .bind(micros(before))
    .bind(STEP)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let free = free_pages(connection).await?;
    let vacuum = format!("PRAGMA incremental_vacuum({PAGES})");
    sqlx::query(sqlx::AssertSqlSafe(vacuum)).execute(&mut *connection).await?;
    // None are given back where the database was not made by this service.
    Ok(removed > 0 || free_pages(connection).await? < free)
}

async fn free_pages(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA freelist_count").fetch_one(connection).await
}
