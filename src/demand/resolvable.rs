//! A local path paired with a remote one: what an input is fetched from and an output taken to.
//!
//! The reference's `Resolvable` and `Uploadable` (`models/demand_execution/resolvables.py`),
//! written `remote @ local` for inputs, `local @ remote` for outputs, or as an object, which
//! alone can carry filters.

use serde_json::{Map, Value};

use super::{
    fault::{Code, Pointer},
    filter,
    python::{sha256_hex, text::is_space},
    reader::{self, Fields, Found},
    s3::S3Path,
};
use crate::plan::data_sync::{FilterConfig, Patterns};

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From remote to local, before the command.
    Input,
    /// From local to remote, after the command.
    Output,
}

impl Direction {
    /// The `action` of the object form.
    pub fn action(self) -> &'static str {
        match self {
            Self::Input => "LOCALIZE",
            Self::Output => "DELOCALIZE",
        }
    }
}

/// A pair of paths with its filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolvable {
    /// Which way data goes.
    pub direction: Direction,
    /// The side on the file system.
    pub local: String,
    /// The side in S3; may hold references until they are replaced.
    pub remote: String,
    /// Takes what any of these match.
    pub include: Option<Patterns>,
    /// Leaves out what any of these match.
    pub exclude: Option<Patterns>,
}

impl Resolvable {
    /// The filters, unless they filter nothing: empty ones count as absent.
    pub fn filter_config(&self) -> Option<FilterConfig> {
        let filters = [&self.include, &self.exclude];
        let any = filters.into_iter().flatten().any(|patterns| match patterns {
            Patterns::One(pattern) => !pattern.is_empty(),
            Patterns::Many(patterns) => !patterns.is_empty(),
        });
        any.then(|| FilterConfig { include: self.include.clone(), exclude: self.exclude.clone() })
    }

    /// The object form is needed for filters, and where the string form could not be read back.
    ///
    /// The reference has no way to write an unfiltered remote path with a space; that is one of
    /// the legal keys it refuses.
    fn needs_object(&self) -> bool {
        self.remote.contains(is_space) || self.filter_config().is_some()
    }

    /// As the demand carries it once its paths are settled.
    pub fn to_value(&self) -> Value {
        if !self.needs_object() {
            return Value::String(self.to_text());
        }
        let mut map = Map::new();
        map.insert("local".to_owned(), Value::String(self.local.clone()));
        map.insert("remote".to_owned(), Value::String(self.remote.clone()));
        for (key, patterns) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(patterns) = patterns {
                map.insert(key.to_owned(), patterns_value(patterns));
            }
        }
        map.insert("action".to_owned(), Value::String(self.direction.action().to_owned()));
        Value::Object(map)
    }

    fn to_text(&self) -> String {
        let (source, destination) = match self.direction {
            Direction::Input => (&self.remote, &self.local),
            Direction::Output => (&self.local, &self.remote),
        };
        format!("{source} @ {destination}")
    }

    /// Whether the local path has whitespace that only a filtered one may have, or a line break.
    pub(crate) fn is_unwritable(&self) -> bool {
        self.local.contains('\n')
            || (self.local.contains(is_space) && self.filter_config().is_none())
    }
}

fn patterns_value(patterns: &Patterns) -> Value {
    match patterns {
        Patterns::One(pattern) => Value::String(pattern.clone()),
        Patterns::Many(patterns) => patterns.iter().cloned().map(Value::String).collect(),
    }
}

/// Reads an input: `remote`, `remote @ local`, or an object. Without a local path it gets one
/// made of the remote path's hash.
pub(super) fn read_input(value: &Value, at: &Pointer, found: &mut Found) -> Option<Resolvable> {
    match value {
        Value::String(text) => {
            let (remote, local) = split(text, at, found)?;
            let local =
                local.map_or_else(|| format!("tmp{}", &sha256_hex(remote)[..8]), str::to_owned);
            Some(unfiltered(Direction::Input, &local, remote))
        }
        Value::Object(_) => read_object(value, Direction::Input, at, found),
        other => {
            found.push(reader::wrong_type(at, "a path or an object with two", other));
            None
        }
    }
}

/// Where outputs without a remote path of their own go.
#[derive(Debug)]
pub(super) enum Prefix {
    /// Nowhere.
    Absent,
    /// Somewhere that cannot be told, which is a fault of its own.
    Faulty,
    /// Below this path.
    Path(S3Path),
}

/// Reads an output: `local`, `local @ remote`, or an object. Without a remote path it goes below
/// `prefix`. Numbers, booleans and `null` are paths spelt as Python spells them.
pub(super) fn read_output(
    value: &Value,
    prefix: &Prefix,
    at: &Pointer,
    found: &mut Found,
) -> Option<Resolvable> {
    let text = match value {
        Value::Object(_) => return read_object(value, Direction::Output, at, found),
        Value::Array(_) => {
            found.push(reader::wrong_type(at, "a path or an object with two", value));
            return None;
        }
        scalar => super::python::to_str(scalar),
    };
    let (local, remote) = split(&text, at, found)?;
    if local.starts_with("s3://") {
        let detail = format!("`{local}` is where an output goes; `local @ {local}` is wanted");
        found.push(at.fault(Code::InvalidValue, detail));
        return None;
    }
    if let Some(remote) = remote {
        return Some(unfiltered(Direction::Output, local, remote));
    }
    match prefix {
        Prefix::Path(prefix) => {
            Some(unfiltered(Direction::Output, local, prefix.join(local).as_str()))
        }
        Prefix::Faulty => None,
        Prefix::Absent => {
            let detail = format!("`{local}` has no destination, and there is no output_s3_prefix");
            found.push(at.fault(Code::NoDestination, detail));
            None
        }
    }
}

fn unfiltered(direction: Direction, local: &str, remote: &str) -> Resolvable {
    Resolvable {
        direction,
        local: local.to_owned(),
        remote: remote.to_owned(),
        include: None,
        exclude: None,
    }
}

/// `A` or `A @ B`, neither with whitespace in it.
fn split<'t>(text: &'t str, at: &Pointer, found: &mut Found) -> Option<(&'t str, Option<&'t str>)> {
    let is_word = |word: &str| !word.is_empty() && !word.contains(is_space);
    match text.split_once(" @ ") {
        None if is_word(text) => return Some((text, None)),
        Some((source, destination)) if is_word(source) && is_word(destination) => {
            return Some((source, Some(destination)));
        }
        _ => {}
    }
    let shown: String = text.chars().take(200).collect();
    let detail = format!(
        "`{shown}` is neither a path without whitespace nor two with ` @ ` between; \
         an object takes any: {{\"local\": …, \"remote\": …}}"
    );
    found.push(at.fault(Code::InvalidValue, detail));
    None
}

fn read_object(
    value: &Value,
    direction: Direction,
    at: &Pointer,
    found: &mut Found,
) -> Option<Resolvable> {
    let fields = Fields::read(value, at.clone(), found)?;
    if let Some((place, action)) = fields.get("action") {
        reader::word(action, &place, &[(direction.action(), ())], found);
    }
    let local = fields.required_string("local", found);
    let remote = fields.required_string("remote", found);
    if let Some((place, Value::String(text))) = fields.get("remote")
        && text.is_empty()
    {
        found.push(place.fault(Code::NoDestination, "the remote path is empty"));
    }
    let mut patterns =
        |name| fields.get(name).and_then(|(place, value)| filter::read(value, &place, found));
    let (include, exclude) = (patterns("include"), patterns("exclude"));
    Some(Resolvable { direction, local, remote, include, exclude })
}
