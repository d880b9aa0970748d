//! Progress while a command waits, on stderr: one line that changes on a terminal, a line for each
//! change elsewhere, nothing beside JSON.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::document::Demand;
use super::terminal::printable;

/// Shows where a demand stands, until it is dropped.
pub(super) enum Progress {
    /// A line that changes.
    Spinner(ProgressBar),
    /// A line for each change; holds the last.
    Lines(String),
    /// Nothing.
    Silent,
}

impl Progress {
    pub fn new(json: bool) -> Self {
        if json {
            return Self::Silent;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines(String::new());
        }
        let spinner = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(120));
        Self::Spinner(spinner)
    }

    pub fn show(&mut self, demand: &Demand) {
        match self {
            Self::Spinner(spinner) => spinner.set_message(line(demand)),
            Self::Lines(last) => {
                let line = line(demand);
                if *last != line {
                    let _ = writeln!(io::stderr(), "{line}");
                    *last = line;
                }
            }
            Self::Silent => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Spinner(spinner) = self {
            spinner.finish_and_clear();
        }
    }
}

/// `EXECUTING: stage_in SUCCEEDED, execute RUNNING, wrap_up PENDING`
fn line(demand: &Demand) -> String {
    let ended = demand.ended().is_some();
    let standing = demand.phase.as_ref().filter(|_| !ended).unwrap_or(&demand.status);
    let steps: Vec<String> = demand
        .current_steps()
        .map(|step| format!("{} {}", printable(&step.step), printable(&step.status)))
        .collect();
    let attempt =
        if demand.attempt > 1 { format!(" (attempt {})", demand.attempt) } else { String::new() };
    let colon = if steps.is_empty() { "" } else { ": " };
    format!("{}{attempt}{colon}{}", printable(standing), steps.join(", "))
}
