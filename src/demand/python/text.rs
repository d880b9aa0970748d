//! `str()` of JSON values, whitespace, and the sizes `sys.getsizeof` tells.

use serde_json::Value;

use super::{number, printable};

/// Python's `str(value)`: a string is itself, everything else its `repr`.
pub fn to_str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => {
            let mut out = String::new();
            write_repr(&mut out, other);
            out
        }
    }
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&number::canonical(number)),
        Value::String(text) => write_string_repr(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_string_repr(out, key);
                out.push_str(": ");
                write_repr(out, item);
            }
            out.push('}');
        }
    }
}

/// `repr()` of a string: single quotes unless it has some and no double ones.
fn write_string_repr(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if c == quote => {
                out.push('\\');
                out.push(c);
            }
            _ if printable::is_printable(c) => out.push(c),
            _ => out.push_str(&escape(u32::from(c))),
        }
    }
    out.push(quote);
}

fn escape(code: u32) -> String {
    match code {
        0..=0xff => format!("\\x{code:02x}"),
        0x100..=0xffff => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    }
}

/// What `\s` matches and `str.strip` strips: Unicode whitespace and the four ASCII separators.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// What `\w` matches in a pattern of text.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `sys.getsizeof` of a plain `str` with this text, on a 64-bit Python 3.11.
pub fn size_of_str(text: &str) -> usize {
    let length = text.chars().count();
    match text.chars().max().map_or(0, u32::from) {
        0..=0x7f => 49 + length,
        0x80..=0xff => 73 + length,
        0x100..=0xffff => 74 + 2 * length,
        _ => 76 + 4 * length,
    }
}

/// `sys.getsizeof` of the reference's `JobParamEnvName`, a subclass of `str`, with this ASCII text.
pub fn size_of_env_name(text: &str) -> usize {
    113 + text.len()
}
