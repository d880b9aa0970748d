//! `pathlib.PurePosixPath`: what joining, relating and printing paths does in the reference.

use std::fmt;

/// A POSIX path as `pathlib` holds it: no empty and no `.` segments, `..` kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurePath {
    root: &'static str,
    parts: Vec<String>,
}

impl PurePath {
    /// `PurePosixPath(text)`. Exactly two leading slashes are a root of their own.
    pub fn new(text: &str) -> Self {
        let slashes = text.len() - text.trim_start_matches('/').len();
        let root = match slashes {
            0 => "",
            2 => "//",
            _ => "/",
        };
        Self { root, parts: segments(text).map(str::to_owned).collect() }
    }

    /// `self / text`: an absolute `text` replaces `self`.
    #[must_use]
    pub fn join(&self, text: &str) -> Self {
        if text.starts_with('/') {
            return Self::new(text);
        }
        let mut joined = self.clone();
        joined.parts.extend(segments(text).map(str::to_owned));
        joined
    }

    /// `self / other`.
    #[must_use]
    pub fn join_path(&self, other: &Self) -> Self {
        if other.is_absolute() {
            return other.clone();
        }
        let mut joined = self.clone();
        joined.parts.extend_from_slice(&other.parts);
        joined
    }

    /// Whether it starts at a root.
    pub fn is_absolute(&self) -> bool {
        !self.root.is_empty()
    }

    /// `is_relative_to`: segment by segment, without looking at `..`.
    pub fn is_relative_to(&self, base: &Self) -> bool {
        self.root == base.root && self.parts.starts_with(&base.parts)
    }

    /// `relative_to`; `None` where Python raises.
    pub fn relative_to(&self, base: &Self) -> Option<Self> {
        if !self.is_relative_to(base) {
            return None;
        }
        Some(Self { root: "", parts: self.parts[base.parts.len()..].to_vec() })
    }

    /// `resolve()` of an absolute path where nothing is a link: `..` applied, one leading slash.
    /// A relative path stays relative, and keeps a leading `..` that has nothing to cancel.
    #[must_use]
    pub fn resolve(&self) -> Self {
        let mut parts: Vec<String> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            if part != ".." {
                parts.push(part.clone());
            } else if parts.last().is_some_and(|last| last != "..") {
                parts.pop();
            } else if !self.is_absolute() {
                parts.push(part.clone());
            }
        }
        Self { root: if self.is_absolute() { "/" } else { "" }, parts }
    }

    /// Whether it has a `..` segment.
    pub fn has_parent_segment(&self) -> bool {
        self.parts.iter().any(|part| part == "..")
    }

    /// `name`: the last segment, empty for a root.
    pub fn name(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }
}

impl fmt::Display for PurePath {
    /// `as_posix()`: `.` for the empty relative path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.root.is_empty() && self.parts.is_empty() {
            return f.write_str(".");
        }
        f.write_str(self.root)?;
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

fn segments(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter(|part| !part.is_empty() && *part != ".")
}
