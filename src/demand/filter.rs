//! Include and exclude patterns: Python's regular expressions that match a whole relative path.

use fancy_regex::Regex;
use serde_json::Value;

use super::{
    fault::{Code, Pointer},
    reader::{self, Found},
};
use crate::plan::data_sync::Patterns;

/// `pattern` as Python's `re.fullmatch` takes it: only matches of the whole text count.
///
/// Patterns that only Python compiles are errors.
pub fn compile(pattern: &str) -> Result<Regex, Box<fancy_regex::Error>> {
    let pattern = end_anchors(pattern);
    // Alone first: a stray parenthesis must not be closed by the group around it.
    Regex::new(&pattern).map_err(Box::new)?;
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(Box::new)
}

/// Python's `\Z` is the very end of the text, which is `\z` here.
fn end_anchors(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '\\' {
            match chars.next() {
                Some('Z') => out.push('z'),
                Some(escaped) => out.push(escaped),
                None => {}
            }
        }
    }
    out
}

/// Reads `include` or `exclude`: a string, a list of strings, or nothing.
pub(super) fn read(value: &Value, at: &Pointer, found: &mut Found) -> Option<Patterns> {
    match value {
        Value::Null => None,
        Value::String(pattern) => {
            check(pattern, at, found);
            Some(Patterns::One(pattern.clone()))
        }
        Value::Array(_) => {
            let patterns = reader::strings(value, at, found);
            for (index, pattern) in patterns.iter().enumerate() {
                check(pattern, &at.index(index), found);
            }
            Some(Patterns::Many(patterns))
        }
        other => {
            found.push(reader::wrong_type(at, "a pattern or a list of patterns", other));
            None
        }
    }
}

fn check(pattern: &str, at: &Pointer, found: &mut Found) {
    if let Err(error) = compile(pattern) {
        let detail = format!("`{pattern}` is no usable regular expression: {error}");
        found.push(at.fault(Code::InvalidPattern, detail));
    }
}
