//! State in SQLite: queries, compare-and-set, group commit.
//!
//! The database is in WAL mode with `synchronous=FULL`: what is answered is on disk. Readers have a
//! pool of connections of their own; every write goes through the one [`writer`], which puts what
//! arrives while a commit is under way into the next commit. One process owns a database; a second
//! one is refused by a lock on a file beside it.

mod ledger;
mod list;
mod metrics;
mod retention;
mod rows;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus_client::registry::Registry;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection, Row};

pub use ledger::LedgerEntry;
pub use list::{Filter, Page, Position, TagFilter};

use crate::run::history::{Entry, HistoryEntry};
use crate::run::record::{NewDemand, Record};
use crate::run::state::State;
use metrics::Metrics;
use writer::{Change, Writer};

/// Connections for reading. SQLite reads in WAL mode never wait for the writer; more connections
/// than this only compete for two or four cores.
const READERS: u32 = 4;

/// How long SQLite waits for a lock that another connection holds, such as a backup's.
const BUSY: Duration = Duration::from_secs(5);

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process owns the database.
    #[error(
        "another process owns the database {}; stop it, or give this one a store of its own",
        path.display()
    )]
    Owned {
        /// The database.
        path: PathBuf,
    },
    /// The file beside the database that carries the lock cannot be had.
    #[error("cannot lock the database {}", path.display())]
    Lock {
        /// The database.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database's schema cannot be brought up to date.
    #[error("cannot bring the database's schema up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A query or commit failed.
    #[error("cannot {operation}")]
    Query {
        /// What was to be done.
        operation: &'static str,
        /// Why it failed.
        source: sqlx::Error,
    },
    /// A commit that carried this write failed; nothing of it was stored.
    #[error("cannot commit: {0}")]
    Commit(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the same may succeed later: the disk is full, somebody else has a lock.
    pub fn may_pass(&self) -> bool {
        // SQLITE_BUSY, _LOCKED, _FULL, and _IOERR, each also with details in its higher bits
        // (https://www.sqlite.org/rescode.html).
        const PASSING: [i32; 4] = [5, 6, 13, 10];
        match self {
            Self::Commit(_) => true,
            Self::Query { source: sqlx::Error::Database(error), .. } => error
                .code()
                .and_then(|code| code.parse::<i32>().ok())
                .is_some_and(|code| PASSING.contains(&(code & 0xff))),
            _ => false,
        }
    }

    fn query(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { operation, source }
    }
}

/// Durable state; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    readers: SqlitePool,
    writer: Writer,
    metrics: Metrics,
}

impl Store {
    /// Opens the database at `path`, makes it if it is absent, and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = own(path)?;
        let reading = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).read_only(true);
        let writing = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY)
            .create_if_missing(true)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&writing)
            .await
            .map_err(StoreError::query("open the database"))?;
        sqlx::migrate!().run(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(reading)
            .await
            .map_err(StoreError::query("open the database for reading"))?;
        let metrics = Metrics::default();
        let writer = Writer::start(connection, writing, lock, metrics.clone());
        Ok(Self { readers, writer, metrics })
    }

    /// Puts what is measured of the store where it is asked for.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// The rows that `query` gives, with the time they took on record.
    async fn reading<T>(
        &self,
        operation: &'static str,
        query: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let rows = query.await.map_err(StoreError::query(operation));
        self.metrics.read.observe(begun.elapsed().as_secs_f64());
        rows
    }

    /// Stores a demand with its plan and the first entry of its history. `false` when the
    /// `execution_id` or the idempotency key is taken; then nothing is stored.
    pub async fn insert(&self, demand: NewDemand) -> Result<bool, StoreError> {
        self.writer.write(Change::Insert(Box::new(demand))).await
    }

    /// Compare-and-set: stores `state` and appends `history`, if the demand is still at `version`.
    /// `false` when it is not; then nothing is stored.
    pub async fn advance(
        &self,
        execution_id: &str,
        version: i64,
        state: State,
        history: Vec<Entry>,
    ) -> Result<bool, StoreError> {
        let execution_id = execution_id.to_owned();
        let change = Change::Advance { execution_id, version, state: Box::new(state), history };
        self.writer.write(change).await
    }

    /// Whether writes succeed at present; makes one.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.writer.write(Change::Probe).await.map(|_| ())
    }

    /// The demand of this id.
    pub async fn get(&self, execution_id: &str) -> Result<Option<Record>, StoreError> {
        let rows = sqlx::query("SELECT * FROM demands WHERE execution_id = ?")
            .bind(execution_id)
            .try_map(|row| rows::demand(&row))
            .fetch_optional(&self.readers);
        self.reading("read a demand", rows).await
    }

    /// The demand that was accepted under this idempotency key.
    pub async fn get_by_key(&self, owner: &str, key: &str) -> Result<Option<Record>, StoreError> {
        let rows = sqlx::query(
            "SELECT demands.* FROM demands JOIN idempotency_keys USING (execution_id)
             WHERE owner = ? AND key = ?",
        )
        .bind(owner)
        .bind(key)
        .try_map(|row| rows::demand(&row))
        .fetch_optional(&self.readers);
        self.reading("read a demand by its idempotency key", rows).await
    }

    /// The plan of the demand, as the JSON text it was stored as.
    pub async fn plan(&self, execution_id: &str) -> Result<Option<String>, StoreError> {
        let rows = sqlx::query_scalar("SELECT plan FROM plans WHERE execution_id = ?")
            .bind(execution_id)
            .fetch_optional(&self.readers);
        self.reading("read a plan", rows).await
    }

    /// How many active demands each phase has.
    pub async fn phases(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let query = "SELECT phase, COUNT(*) FROM demands WHERE active = 1 GROUP BY phase";
        let rows = sqlx::query_as(query).fetch_all(&self.readers);
        self.reading("count the active demands", rows).await
    }

    /// How many jobs of active demands have each status, as they were last seen.
    pub async fn jobs(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let query = "SELECT json_extract(step.value, '$.job.status') AS status, COUNT(*)
             FROM demands, json_each(demands.state, '$.steps') AS step
             WHERE active = 1 AND json_extract(step.value, '$.job.status') IS NOT NULL
             GROUP BY 1";
        let rows = sqlx::query_as(query).fetch_all(&self.readers);
        self.reading("count the jobs of active demands", rows).await
    }

    /// The id and version of every demand to which something may happen.
    pub async fn active(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query_as("SELECT execution_id, version FROM demands WHERE active = 1")
            .fetch_all(&self.readers);
        self.reading("read the active demands", rows).await
    }

    /// At most `limit` entries of the demand's history after `seq`, oldest first.
    pub async fn history(
        &self,
        execution_id: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at, type, step, attempt, from_value, to_value, detail FROM events
             WHERE execution_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(execution_id)
        .bind(after)
        .bind(limit)
        .try_map(|row| rows::history_entry(&row))
        .fetch_all(&self.readers);
        self.reading("read a history", rows).await
    }

    /// At most `limit` demands that pass `filter`, newest first, older than `after`.
    pub async fn list(
        &self,
        filter: &Filter,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let mut query = list::query(filter, after, limit);
        let rows = query.build().try_map(|row| rows::demand(&row)).fetch_all(&self.readers);
        let mut records = self.reading("list demands", rows).await?;
        let more = records.len() > limit as usize;
        records.truncate(limit as usize);
        let next = records.last().filter(|_| more).map(Position::of);
        Ok(Page { records, next })
    }

    /// Ends the writer and closes the database; what was accepted is stored.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Takes the lock that makes this process the database's owner; freed when the file is closed,
/// however the process ends.
fn own(path: &Path) -> Result<File, StoreError> {
    let failed = |source| StoreError::Lock { path: path.to_owned(), source };
    // By its real name: a link to a database is that database.
    let real = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        real => real.map_err(failed)?,
    };
    let mut name = real.into_os_string();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Owned { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

fn timestamp(row: &sqlx::sqlite::SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_microsecond(row.try_get(column)?)
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
