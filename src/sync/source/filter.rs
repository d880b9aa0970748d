//! Which files of a source are transferred.
//!
//! The contract is the reference's (`aibs_informatics_core.utils.filters`): regular expressions
//! that match the whole path relative to `filter_root`; exclude wins; no include takes all.

use fancy_regex::Regex;

use crate::demand::filter::compile;
use crate::plan::data_sync::{DataSyncRequest, Patterns};
use crate::plan::submission::Mount;
use crate::sync::error::SyncError;
use crate::sync::location::Location;

/// Compiled patterns and what they are relative to.
#[derive(Debug)]
pub(in crate::sync) struct Filter {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    root: String,
}

/// A pattern as the request has it, and compiled.
#[derive(Debug)]
struct Pattern {
    text: String,
    regex: Regex,
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
            include: all(config.and_then(|config| config.include.as_ref()))?,
            exclude: all(config.and_then(|config| config.exclude.as_ref()))?,
            root: root.strip_suffix('/').unwrap_or(&root).to_owned(),
        })
    }

    /// Whether there is nothing to leave out.
    pub fn takes_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether the file with this whole path, `s3://…` or local, is taken. A pattern that runs out
    /// of steps answers neither yes nor no, so it is an error.
    pub fn takes(&self, path: &str) -> Result<bool, SyncError> {
        if self.takes_all() {
            return Ok(true);
        }
        let relative = self.relative(path);
        if any_matches(&self.exclude, relative)? {
            return Ok(false);
        }
        Ok(self.include.is_empty() || any_matches(&self.include, relative)?)
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

fn any_matches(patterns: &[Pattern], relative: &str) -> Result<bool, SyncError> {
    for Pattern { text, regex } in patterns {
        let undecided =
            |source| SyncError::Undecided { pattern: text.clone(), source: Box::new(source) };
        if regex.is_match(relative).map_err(undecided)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn all(patterns: Option<&Patterns>) -> Result<Vec<Pattern>, SyncError> {
    let Some(patterns) = patterns else { return Ok(Vec::new()) };
    patterns
        .as_slice()
        .iter()
        // An empty string is no pattern at all in the reference.
        .filter(|text| matches!(patterns, Patterns::Many(_)) || !text.is_empty())
        .map(|text| match compile(text) {
            Ok(regex) => Ok(Pattern { text: text.clone(), regex }),
            Err(source) => Err(SyncError::Pattern { pattern: text.clone(), source }),
        })
        .collect()
}
