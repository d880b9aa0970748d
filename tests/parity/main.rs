//! Equality with the reference, case by case.
//!
//! Reads every `site-*.jsonl` and `surface.jsonl` of the directory that `REFERENCE_DIR` names,
//! else of `tests/reference`; `README.md` there tells what they hold and what counts as equal.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its cases fails")]
#![allow(clippy::panic, reason = "failing is how a test reports")]

mod compare;
mod plans;
mod surface;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// What became of the cases of one kind.
#[derive(Default)]
pub struct Tally {
    equal: usize,
    mismatches: Vec<String>,
}

impl Tally {
    fn record(&mut self, case: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.equal += 1,
            Err(difference) => self.mismatches.push(format!("{case}: {difference}")),
        }
    }

    /// Fails when a case differs, or when there was none although there must be.
    fn settle(self, kind: &str, directory: &Path) {
        let (equal, different) = (self.equal, self.mismatches.len());
        println!("{kind}: {equal} equal, {different} different in {}", directory.display());
        assert!(different == 0, "{different} {kind} differ:\n{}", self.mismatches.join("\n"));
    }
}

fn reference_directory() -> PathBuf {
    std::env::var_os("REFERENCE_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference"),
        PathBuf::from,
    )
}

/// The JSONL files of the directory whose names, without the ending, match.
fn files(matches: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let directory = reference_directory();
    let entries = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .filter(|path| path.file_stem().and_then(|name| name.to_str()).is_some_and(&matches))
        .collect();
    files.sort();
    files
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn plan_files() -> Vec<PathBuf> {
    files(|name| name.starts_with("site-"))
}

fn surface_files() -> Vec<PathBuf> {
    files(|name| name == "surface")
}

#[test]
fn there_are_cases_to_compare() {
    let files = plan_files().into_iter().chain(surface_files());
    let cases: usize = files.map(|path| lines(&path).len().saturating_sub(1)).sum();
    assert!(cases > 0, "no case in {}", reference_directory().display());
}

#[test]
fn plans_are_what_the_reference_returns() {
    let mut tally = Tally::default();
    for path in plan_files() {
        plans::compare(&path, &mut tally);
    }
    tally.settle("plans", &reference_directory());
}

#[test]
fn the_other_functions_answer_as_the_reference_does() {
    let mut tally = Tally::default();
    for path in surface_files() {
        surface::compare(&path, &mut tally);
    }
    tally.settle("calls", &reference_directory());
}
