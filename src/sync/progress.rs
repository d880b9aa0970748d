//! What the user sees meanwhile, on standard error: a bar on a terminal, else a line every few
//! seconds.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::outcome::Outcome;

const LINE_EVERY: Duration = Duration::from_secs(5);
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Drawn while what is to be done is still being counted, and once that is known.
const COUNTING: &str = "{spinner} {wide_msg}";
const COUNTED: &str = "{bar:12} {percent:>3} % {wide_msg}";

/// Counted while transfers run.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    /// Of those transferred, as they pass.
    bytes: AtomicU64,
    skipped_bytes: AtomicU64,
    expected_files: AtomicU64,
    expected_bytes: AtomicU64,
    /// Whether somebody looks at a bar, for whom what is to be done is counted beforehand.
    is_watched: AtomicBool,
    is_counted: AtomicBool,
}

impl Progress {
    /// Counts bytes on their way; what has to be sent or brought again is to be taken back.
    pub(super) fn pass(&self) -> Passing<'_> {
        Passing { progress: self, bytes: 0, arrived: false }
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_file(&self, outcome: Outcome) {
        match outcome {
            Outcome::Folder => return,
            Outcome::Skipped { bytes } => {
                self.skipped_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Outcome::Transferred { .. } => {}
        }
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.expected_files.fetch_add(1, Ordering::Relaxed);
        self.expected_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn all_counted(&self) {
        self.is_counted.store(true, Ordering::Release);
    }

    pub(super) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    fn is_counted(&self) -> bool {
        self.is_counted.load(Ordering::Acquire)
    }

    /// `120 files, 3.50 GiB, 98.00 MiB/s`, or with the totals and the time left.
    fn line(&self, started: Instant) -> String {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let (files, bytes) = (get(&self.files), get(&self.bytes));
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = bytes.saturating_mul(1000) / millis;
        let done = bytes + get(&self.skipped_bytes);
        let told = HumanBytes(rate);
        if !self.is_counted() {
            return format!("{} files, {}, {told}/s", HumanCount(files), HumanBytes(done));
        }
        let (all, total) = (get(&self.expected_files), get(&self.expected_bytes));
        let left = total.saturating_sub(done).checked_div(rate).map_or_else(
            || "unknown time left".to_owned(),
            |seconds| format!("{:#} left", HumanDuration(Duration::from_secs(seconds))),
        );
        let (files, all) = (HumanCount(files), HumanCount(all));
        let (done, total) = (HumanBytes(done), HumanBytes(total));
        format!("{files}/{all} files, {done}/{total}, {told}/s, {left}")
    }
}

/// Bytes on their way; those of a way that failed do not count.
pub(super) struct Passing<'p> {
    progress: &'p Progress,
    bytes: u64,
    arrived: bool,
}

impl Passing<'_> {
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.progress.add_bytes(bytes);
    }

    pub fn arrived(mut self) {
        self.arrived = true;
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        if !self.arrived {
            self.progress.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
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
        progress.is_watched.store(true, Ordering::Relaxed);
        let bar = ProgressBar::new_spinner();
        bar.set_style(style(COUNTING));
        let task = tokio::spawn(draw(bar.clone(), progress));
        return Shown { task, bar: Some(bar) };
    }
    let task = tokio::spawn(async move {
        let started = Instant::now();
        loop {
            sleep(LINE_EVERY).await;
            // Nobody reads it any more: no reason to stop transferring.
            let _ = writeln!(std::io::stderr(), "{}", progress.line(started));
        }
    });
    Shown { task, bar: None }
}

async fn draw(bar: ProgressBar, progress: Arc<Progress>) {
    let (started, mut counted) = (Instant::now(), false);
    loop {
        if progress.is_counted() {
            if !counted {
                bar.set_style(style(COUNTED));
                bar.set_length(progress.expected_bytes.load(Ordering::Relaxed).max(1));
                counted = true;
            }
            let bytes = progress.bytes.load(Ordering::Relaxed);
            bar.set_position(bytes + progress.skipped_bytes.load(Ordering::Relaxed));
        }
        bar.set_message(progress.line(started));
        bar.tick();
        sleep(DRAW_EVERY).await;
    }
}

/// The templates are constants: where one does not parse, the default one shows.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
