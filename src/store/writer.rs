//! The one writer: group commit.
//!
//! A commit costs a flush to disk, however much it carries. The writer takes every change that
//! waits, makes them in one transaction, and answers their senders once it is durable. Each change
//! is a compare-and-set whose first statement decides, so one that loses leaves nothing to undo.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::error;

use super::ledger::{self, LedgerEntry};
use super::metrics::Metrics;
use super::retention;
use super::{StoreError, micros};
use crate::plan::submission::Step;
use crate::run::history::Entry;
use crate::run::record::NewDemand;
use crate::run::state::State;

/// Changes in one commit at most: bounds how long the first of them waits.
const GROUP: usize = 256;

pub(super) enum Change {
    Insert(Box<NewDemand>),
    Advance {
        execution_id: String,
        version: i64,
        state: Box<State>,
        history: Vec<Entry>,
    },
    RecordDefinition(LedgerEntry),
    ForgetDefinition(String),
    /// See [`retention::prune`].
    Prune {
        before: Timestamp,
    },
    Probe,
}

struct Write {
    change: Change,
    answer: oneshot::Sender<Result<bool, StoreError>>,
}

#[derive(Debug, Clone)]
pub(super) struct Writer {
    changes: mpsc::Sender<Write>,
    metrics: Metrics,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    closing: tokio_util::sync::CancellationToken,
}

impl Writer {
    /// Starts writing on `connection`; `lock` is held as long as the writer lives.
    pub(super) fn start(connection: SqliteConnection, lock: File, metrics: Metrics) -> Self {
        let (changes, waiting) = mpsc::channel(2 * GROUP);
        let closing = tokio_util::sync::CancellationToken::new();
        let task = tokio::spawn(write(connection, lock, waiting, closing.clone(), metrics.clone()));
        Self { changes, metrics, task: Arc::new(Mutex::new(Some(task))), closing }
    }

    /// Makes one change; `false` when its comparison failed.
    pub(super) async fn write(&self, change: Change) -> Result<bool, StoreError> {
        let begun = Instant::now();
        let (answer, answered) = oneshot::channel();
        self.changes.send(Write { change, answer }).await.map_err(|_| StoreError::Closed)?;
        let answer = answered.await.map_err(|_| StoreError::Closed)?;
        self.metrics.write.observe(begun.elapsed().as_secs_f64());
        answer
    }

    /// Makes the changes that wait, takes no more, and closes the connection.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        if let Some(task) = self.task.lock().await.take()
            && let Err(failed) = task.await
        {
            error!(error = %failed, "the store's writer ended badly");
        }
    }
}

async fn write(
    mut connection: SqliteConnection,
    lock: File,
    mut waiting: mpsc::Receiver<Write>,
    closing: tokio_util::sync::CancellationToken,
    metrics: Metrics,
) {
    let mut group = Vec::with_capacity(GROUP);
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled(), if !waiting.is_closed() => waiting.close(),
            taken = waiting.recv_many(&mut group, GROUP) => {
                if taken == 0 {
                    break;
                }
                // What touches old data may fail on it, which must not undo what is new.
                let (old, new): (Vec<_>, Vec<_>) =
                    group.drain(..).partition(|write| matches!(write.change, Change::Prune { .. }));
                for together in [new, old].into_iter().filter(|group| !group.is_empty()) {
                    make(&mut connection, together, &metrics).await;
                }
            }
        }
    }
    if let Err(failed) = connection.close().await {
        error!(error = %failed, "the database did not close cleanly");
    }
    drop(lock);
}

/// Makes changes in one commit, and answers their senders.
async fn make(connection: &mut SqliteConnection, group: Vec<Write>, metrics: &Metrics) {
    let (changes, answers): (Vec<_>, Vec<_>) =
        group.into_iter().map(|write| (write.change, write.answer)).unzip();
    let begun = Instant::now();
    let committed = commit(connection, &changes).await;
    metrics.commit.observe(begun.elapsed().as_secs_f64());
    match committed {
        // A sender that went away does not need the answer.
        Ok(outcomes) => {
            metrics.changes.inc_by(changes.len() as u64);
            answers.into_iter().zip(outcomes).for_each(|(answer, made)| {
                let _ = answer.send(Ok(made));
            });
        }
        Err(failed) => {
            metrics.failures.inc();
            error!(error = %failed, changes = changes.len(), "a commit failed");
            for answer in answers {
                let _ = answer.send(Err(StoreError::Commit(failed.to_string())));
            }
        }
    }
}

async fn commit(
    connection: &mut SqliteConnection,
    changes: &[Change],
) -> Result<Vec<bool>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut outcomes = Vec::with_capacity(changes.len());
    for change in changes {
        outcomes.push(match change {
            Change::Insert(demand) => insert(&mut transaction, demand).await?,
            Change::Advance { execution_id, version, state, history } => {
                advance(&mut transaction, execution_id, *version, state, history).await?
            }
            Change::RecordDefinition(entry) => ledger::record(&mut transaction, entry).await?,
            Change::ForgetDefinition(arn) => ledger::forget(&mut transaction, arn).await?,
            Change::Prune { before } => retention::prune(&mut transaction, *before).await?,
            Change::Probe => probe(&mut transaction).await?,
        });
    }
    transaction.commit().await?;
    Ok(outcomes)
}

/// Writes something, since a full disk shows only then.
async fn probe(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::query("UPDATE probe SET count = count + 1").execute(connection).await.map(|_| true)
}

async fn insert(
    connection: &mut SqliteConnection,
    demand: &NewDemand,
) -> Result<bool, sqlx::Error> {
    let record = &demand.record;
    if let Some(key) = &demand.idempotency_key {
        let taken: i64 = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM idempotency_keys WHERE owner = ? AND key = ?)",
        )
        .bind(record.submitted_by.as_deref().unwrap_or_default())
        .bind(key)
        .fetch_one(&mut *connection)
        .await?;
        if taken != 0 {
            return Ok(false);
        }
    }
    let made = sqlx::query(
        "INSERT INTO demands (execution_id, created_at, version, active, status, phase,
            execution_type, user, submitted_by, job_queue, tags, content_hash, traceparent,
            state)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&record.execution_id)
    .bind(micros(record.created_at))
    .bind(record.version)
    .bind(record.state.is_active())
    .bind(record.state.status().as_str())
    .bind(record.state.phase.as_str())
    .bind(&record.execution_type)
    .bind(&record.user)
    .bind(&record.submitted_by)
    .bind(&record.job_queue)
    .bind(to_json(&record.tags)?)
    .bind(&record.content_hash)
    .bind(&record.traceparent)
    .bind(to_json(&record.state)?)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if made == 0 {
        return Ok(false);
    }
    sqlx::query("INSERT INTO plans (execution_id, request, plan) VALUES (?, ?, ?)")
        .bind(&record.execution_id)
        .bind(&demand.request)
        .bind(&demand.plan)
        .execute(&mut *connection)
        .await?;
    for (key, value) in &record.tags {
        sqlx::query("INSERT INTO tags (key, value, execution_id) VALUES (?, ?, ?)")
            .bind(key)
            .bind(value)
            .bind(&record.execution_id)
            .execute(&mut *connection)
            .await?;
    }
    if let Some(key) = &demand.idempotency_key {
        sqlx::query("INSERT INTO idempotency_keys (owner, key, execution_id) VALUES (?, ?, ?)")
            .bind(record.submitted_by.as_deref().unwrap_or_default())
            .bind(key)
            .bind(&record.execution_id)
            .execute(&mut *connection)
            .await?;
    }
    append(connection, &record.execution_id, std::slice::from_ref(&demand.accepted)).await?;
    Ok(true)
}

async fn advance(
    connection: &mut SqliteConnection,
    execution_id: &str,
    version: i64,
    state: &State,
    history: &[Entry],
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query(
        "UPDATE demands SET version = version + 1, active = ?, status = ?, phase = ?,
            finished_at = ?, state = ?
         WHERE execution_id = ? AND version = ?",
    )
    .bind(state.is_active())
    .bind(state.status().as_str())
    .bind(state.phase.as_str())
    .bind(state.finished_at.map(micros))
    .bind(to_json(state)?)
    .bind(execution_id)
    .bind(version)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if made == 0 {
        return Ok(false);
    }
    append(connection, execution_id, history).await?;
    Ok(true)
}

async fn append(
    connection: &mut SqliteConnection,
    execution_id: &str,
    history: &[Entry],
) -> Result<(), sqlx::Error> {
    for entry in history {
        sqlx::query(
            "INSERT INTO events
                (execution_id, seq, at, type, step, attempt, from_value, to_value, detail)
             VALUES (?1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE execution_id = ?1),
                ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .bind(execution_id)
        .bind(micros(entry.at))
        .bind(entry.kind.as_str())
        .bind(entry.step.map(Step::as_str))
        .bind(entry.attempt)
        .bind(&entry.from)
        .bind(&entry.to)
        .bind(&entry.detail)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn to_json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
