//! Which files of a source are transferred.
//!
//! The contract is the reference's (`aibs_informatics_core.utils.filters`): regular expressions
//! that match the whole path relative to `filter_root`; exclude wins; no include takes all.

use fancy_regex::Regex;

use super::error::SyncError;
use super::location::Location;
use crate::plan::data_sync::{DataSyncRequest, Patterns};
use crate::plan::submission::Mount;

/// Compiled patterns and what they are relative to.
#[derive(Debug)]
pub(super) struct Filter {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    root: String,
}

impl Filter {
    /// The filter of a request whose source is `source`.
    pub fn new(
        request: &DataSyncRequest,
        source: &Location,
        mounts: &[Mount],
    ) -> Result<Self, SyncError> {
        let config = request.filter_config.as_ref();
        let root = match request.filter_root.as_deref() {
            None => source.to_string(),
            Some(root) => match Location::parse(root, mounts) {
                Ok(location) => location.to_string(),
                // As in the reference, what lies outside the root is matched by its whole path.
                Err(_) => root.to_owned(),
            },
        };
        Ok(Self {
            include: compile(config.and_then(|config| config.include.as_ref()))?,
            exclude: compile(config.and_then(|config| config.exclude.as_ref()))?,
            root: root.trim_end_matches('/').to_owned(),
        })
    }

    /// Whether there is nothing to leave out.
    pub fn takes_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether the file with this whole path, `s3://…` or local, is taken.
    pub fn takes(&self, path: &str) -> bool {
        if self.takes_all() {
            return true;
        }
        let relative = self.relative(path);
        let matches = |patterns: &[Regex]| {
            // A pattern that runs out of steps matches nothing.
            patterns.iter().any(|pattern| pattern.is_match(relative).unwrap_or(false))
        };
        !matches(&self.exclude) && (self.include.is_empty() || matches(&self.include))
    }

    /// The path below the root; the last segment where it is the root; else the whole path.
    fn relative<'a>(&self, path: &'a str) -> &'a str {
        if self.root.is_empty() {
            return path.trim_start_matches('/');
        }
        match path.strip_prefix(self.root.as_str()) {
            Some("") => path.rsplit('/').next().unwrap_or(path),
            Some(rest) => rest.strip_prefix('/').unwrap_or(path),
            None => path,
        }
    }
}

fn compile(patterns: Option<&Patterns>) -> Result<Vec<Regex>, SyncError> {
    let Some(patterns) = patterns else { return Ok(Vec::new()) };
    patterns
        .as_slice()
        .iter()
        // An empty string is no pattern at all in the reference.
        .filter(|pattern| matches!(patterns, Patterns::Many(_)) || !pattern.is_empty())
        .map(|pattern| {
            Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(|source| SyncError::Pattern {
                pattern: pattern.clone(),
                source: Box::new(source),
            })
        })
        .collect()
}
