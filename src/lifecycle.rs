//! How a service ends: softly on the first SIGINT or SIGTERM (nothing new is begun, what is under
//! way may finish), hard on the second or when the grace is over. Every task has a name and is
//! tracked, so that an end can say what it waited for; a critical task that ends early takes the
//! service with it, because a service that answers while its reconciler is dead only looks alive.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// How long aborted tasks may take to be dropped; they are gone at their next `await`.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// The tasks of a running service and its two ways to stop. Cloning gives another handle on it.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    /// How many tasks of each name are under way.
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    /// The first critical task that ended early.
    failed: Arc<Mutex<Option<&'static str>>>,
}

/// How a service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Asked to stop, and every task finished.
    Clean,
    /// Asked to stop, and these tasks had to be aborted.
    Forced {
        /// Their names.
        tasks: Vec<&'static str>,
    },
    /// A critical task ended early and took the rest with it.
    Failed {
        /// Its name.
        task: &'static str,
    },
}

impl Lifecycle {
    /// A lifecycle without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Canceled when nothing new is to be begun.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Canceled when tasks are aborted; they need not watch it, but may hand it to what they own.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins a soft shutdown, as a signal does.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Runs `task`, whose end is nobody's concern but its panic is logged.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.track(name, false, async move {
            task.await;
            Ok::<(), String>(())
        });
    }

    /// Runs `task`, without which the service is none: should it panic, fail, or end before a
    /// shutdown began, a shutdown begins and [`Lifecycle::run`] answers [`Ending::Failed`].
    pub fn spawn_critical<E: Display + Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.track(name, true, task);
    }

    fn track<E: Display + Send + 'static>(
        &self,
        name: &'static str,
        critical: bool,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        *lock(&self.running).entry(name).or_default() += 1;
        let lifecycle = self.clone();
        // A task of its own, so that its panic ends it and not the one that watches it.
        let mut handle = tokio::spawn(task);
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                ended = &mut handle => ended,
                () = lifecycle.hard.cancelled() => {
                    handle.abort();
                    handle.await
                }
            };
            let well = match ended {
                Ok(Ok(())) => {
                    let early = critical && !lifecycle.soft.is_cancelled();
                    if early {
                        error!(task = name, "ended early");
                    }
                    !early
                }
                Ok(Err(failure)) => {
                    error!(task = name, error = %failure, "failed");
                    false
                }
                Err(aborted) if aborted.is_cancelled() => {
                    warn!(task = name, "aborted");
                    return;
                }
                Err(panic) => {
                    error!(task = name, error = %panic, "panicked");
                    false
                }
            };
            lifecycle.finished(name);
            if critical && !well {
                lock(&lifecycle.failed).get_or_insert(name);
                lifecycle.soft.cancel();
            }
        });
    }

    /// Takes a task off the list of those under way; aborted ones stay on it, to be named.
    fn finished(&self, name: &'static str) {
        let mut running = lock(&self.running);
        if let Some(count) = running.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                running.remove(name);
            }
        }
    }

    /// Waits for a signal or the failure of a critical task, then for the tasks to finish, at
    /// most `grace` long or until a second signal.
    ///
    /// # Errors
    /// When signals cannot be listened to; nothing was waited for then.
    pub async fn run(&self, grace: Duration) -> std::io::Result<Ending> {
        let mut signals = Signals::listen()?;
        tokio::select! {
            name = signals.next() => info!(signal = name, grace = ?grace, "stopping"),
            () = self.soft.cancelled() => info!(grace = ?grace, "stopping"),
        }
        self.soft.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            name = signals.next() => {
                warn!(signal = name, tasks = ?self.under_way(), "stopping at once");
            }
            () = tokio::time::sleep(grace) => {
                warn!(tasks = ?self.under_way(), "the grace is over, stopping at once");
            }
        }
        self.hard.cancel();
        // What does not yield cannot be aborted, and shall not keep the process either.
        let _ = tokio::time::timeout(ABORT_GRACE, self.tasks.wait()).await;
        let failed = *lock(&self.failed);
        let tasks = self.under_way();
        Ok(match failed {
            Some(task) => Ending::Failed { task },
            None if tasks.is_empty() => Ending::Clean,
            None => Ending::Forced { tasks },
        })
    }

    fn under_way(&self) -> Vec<&'static str> {
        lock(&self.running).keys().copied().collect()
    }
}

/// A panic while holding these locks leaves nothing half done, so that poison says nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signals that ask a service to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
