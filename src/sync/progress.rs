//! What the user sees meanwhile, on standard error: a bar on a terminal, else a line every few
//! seconds.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const LINE_EVERY: Duration = Duration::from_secs(5);
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Counted while transfers run.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Shows progress until dropped.
#[derive(Debug)]
pub struct Shown {
    task: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

/// Starts to show `progress`.
pub fn show(progress: Arc<Progress>) -> Shown {
    if std::io::stderr().is_terminal() {
        let bar = ProgressBar::new_spinner();
        // The template is a constant: where it does not parse, the default one shows.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        let drawn = bar.clone();
        let task = tokio::spawn(async move {
            let started = Instant::now();
            loop {
                drawn.set_message(line(&progress, started));
                drawn.tick();
                sleep(DRAW_EVERY).await;
            }
        });
        return Shown { task, bar: Some(bar) };
    }
    let task = tokio::spawn(async move {
        let started = Instant::now();
        loop {
            sleep(LINE_EVERY).await;
            // Nobody reads it any more: no reason to stop transferring.
            let _ = writeln!(std::io::stderr(), "{}", line(&progress, started));
        }
    });
    Shown { task, bar: None }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(progress: &Progress, started: Instant) -> String {
    let bytes = progress.bytes();
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    format!(
        "{} files, {}, {}/s",
        progress.files(),
        HumanBytes(bytes),
        HumanBytes(bytes.saturating_mul(1000) / millis)
    )
}
