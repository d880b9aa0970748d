//! Demands as text for people.

use jiff::{SignedDuration, Timestamp, Unit};

use super::document::{Demand, StepRun};
use super::terminal::{Terminal, printable};

/// Everything a person asks first of a demand; several lines.
pub(super) fn status(demand: &Demand, terminal: &Terminal) -> String {
    let mut lines = vec![field("execution id", &demand.execution_id)];
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            lines.push(field(name, &printable(value)));
        }
    };
    add("type", demand.execution_type.as_deref());
    add("user", demand.user.as_deref());
    add("job queue", demand.job_queue.as_deref());
    add("created", demand.created_at.as_deref());
    add("finished", demand.finished_at.as_deref());
    add("directory", demand.working_directory.as_deref());
    if demand.attempt > 1 {
        lines.push(field("attempt", &demand.attempt.to_string()));
    }
    lines.push(field("status", &standing(demand, terminal)));
    if let Some(reason) = &demand.reason {
        let message = reason.message.as_deref().map(|text| format!(": {}", printable(text)));
        let code = printable(&reason.code);
        lines.push(field("reason", &format!("{code}{}", message.unwrap_or_default())));
    }
    if !demand.steps.is_empty() {
        lines.push(String::new());
        lines.extend(steps(&demand.steps, terminal));
    }
    lines.join("\n")
}

/// Status, and phase where it says more.
fn standing(demand: &Demand, terminal: &Terminal) -> String {
    let status = terminal.coloured(&printable(&demand.status));
    match &demand.phase {
        Some(phase) if demand.ended().is_none() => format!("{status} ({})", printable(phase)),
        _ => status,
    }
}

fn field(name: &str, value: &str) -> String {
    format!("{name:<13} {value}")
}

fn steps(steps: &[StepRun], terminal: &Terminal) -> Vec<String> {
    let header = ["STEP", "ATTEMPT", "STATUS", "EXIT", "TOOK", "JOB"].map(str::to_owned);
    let mut rows = vec![header.to_vec()];
    rows.extend(steps.iter().map(|step| {
        vec![
            printable(&step.step),
            step.attempt.to_string(),
            printable(&step.status),
            step.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string()),
            took(step).unwrap_or_else(|| "-".to_owned()),
            step.job_id.as_deref().map_or_else(|| "-".to_owned(), printable),
        ]
    }));
    let mut lines = table(&rows, 2, terminal);
    for step in steps {
        if let Some(reason) = step.status_reason.as_deref().filter(|_| step.status == "FAILED") {
            lines.push(format!("{}: {}", printable(&step.step), printable(reason)));
        }
    }
    lines
}

/// How long the last try ran.
fn took(step: &StepRun) -> Option<String> {
    let started: Timestamp = step.started_at.as_ref()?.parse().ok()?;
    let stopped: Timestamp = step.stopped_at.as_ref()?.parse().ok()?;
    let took = stopped.duration_since(started);
    let unit = if took < SignedDuration::from_secs(10) { Unit::Millisecond } else { Unit::Second };
    Some(format!("{:#}", took.round(unit).unwrap_or(took)))
}

/// Demands, one a line.
pub(super) fn list(demands: &[Demand], terminal: &Terminal) -> Vec<String> {
    let header = ["EXECUTION ID", "STATUS", "PHASE", "TYPE", "USER", "CREATED"].map(str::to_owned);
    let mut rows = vec![header.to_vec()];
    let or_dash = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), printable);
    rows.extend(demands.iter().map(|demand| {
        vec![
            printable(&demand.execution_id),
            printable(&demand.status),
            or_dash(&demand.phase),
            or_dash(&demand.execution_type),
            or_dash(&demand.user),
            or_dash(&demand.created_at),
        ]
    }));
    table(&rows, 1, terminal)
}

/// Rows in aligned columns; the column `status` is coloured, below the header.
fn table(rows: &[Vec<String>], status: usize, terminal: &Terminal) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |(index, row): (usize, &Vec<String>)| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let gap = " ".repeat(width - cell.chars().count());
            // Padded by hand, since the colours' own characters take no room.
            let cell =
                if column == status && index > 0 { terminal.coloured(cell) } else { cell.clone() };
            format!("{cell}{gap}")
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().enumerate().map(line).collect()
}
