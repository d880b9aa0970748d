//! `pathlib.PurePosixPath`: what joining, relating and printing paths does in the reference.

use std::fmt;

/// A POSIX path as `pathlib` holds it: no empty and no `.` segments, `..` kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurePath {
    root: &'static str,
    /// The segments, a slash between each two.
    rest: String,
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
        let mut path = Self { root, rest: String::with_capacity(text.len()) };
        path.extend(text);
        path
    }

    /// `self / text`: an absolute `text` replaces `self`.
    #[must_use]
    pub fn join(&self, text: &str) -> Self {
        if text.starts_with('/') {
            return Self::new(text);
        }
        let mut rest = String::with_capacity(self.rest.len() + 1 + text.len());
        rest.push_str(&self.rest);
        let mut joined = Self { root: self.root, rest };
        joined.extend(text);
        joined
    }

    /// `self / other`.
    #[must_use]
    pub fn join_path(&self, other: &Self) -> Self {
        if other.is_absolute() { other.clone() } else { self.join(&other.rest) }
    }

    fn extend(&mut self, text: &str) {
        for segment in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            self.push(segment);
        }
    }

    fn push(&mut self, segment: &str) {
        if !self.rest.is_empty() {
            self.rest.push('/');
        }
        self.rest.push_str(segment);
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.rest.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether it starts at a root.
    pub fn is_absolute(&self) -> bool {
        !self.root.is_empty()
    }

    /// `is_relative_to`: segment by segment, without looking at `..`.
    pub fn is_relative_to(&self, base: &Self) -> bool {
        self.below(base).is_some()
    }

    /// `relative_to`; `None` where Python raises.
    pub fn relative_to(&self, base: &Self) -> Option<Self> {
        self.below(base).map(|rest| Self { root: "", rest: rest.to_owned() })
    }

    fn below(&self, base: &Self) -> Option<&str> {
        let rest = self.rest.strip_prefix(&base.rest).filter(|_| self.root == base.root)?;
        if base.rest.is_empty() || rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// `resolve()` of an absolute path where nothing is a link: `..` applied, one leading slash.
    /// A relative path stays relative, and keeps a leading `..` that has nothing to cancel.
    #[must_use]
    pub fn resolve(&self) -> Self {
        let root = if self.is_absolute() { "/" } else { "" };
        if !self.has_parent_segment() {
            return Self { root, rest: self.rest.clone() };
        }
        let mut kept: Vec<&str> = Vec::new();
        for segment in self.segments() {
            if segment != ".." {
                kept.push(segment);
            } else if kept.last().is_some_and(|last| *last != "..") {
                kept.pop();
            } else if !self.is_absolute() {
                kept.push(segment);
            }
        }
        Self { root, rest: kept.join("/") }
    }

    /// Whether it has a `..` segment.
    pub fn has_parent_segment(&self) -> bool {
        self.segments().any(|segment| segment == "..")
    }

    /// `name`: the last segment, empty for a root.
    pub fn name(&self) -> &str {
        self.rest.rsplit('/').next().unwrap_or_default()
    }

    /// `len(as_posix())`, in characters.
    pub fn length(&self) -> usize {
        let length = self.root.len() + self.rest.chars().count();
        // The empty relative path is a dot.
        length.max(1)
    }
}

impl fmt::Display for PurePath {
    /// `as_posix()`: `.` for the empty relative path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.root.is_empty() && self.rest.is_empty() {
            return f.write_str(".");
        }
        f.write_str(self.root)?;
        f.write_str(&self.rest)
    }
}
