//! Bytes to JSON, with the limits that protect what reads the result.
//!
//! Depth is checked before parsing, by a scanner that knows strings and brackets only: a parser
//! that recurses must not be the one to find out.

use serde_json::Value;

/// The deepest nesting taken.
pub const MAX_DEPTH: usize = 64;

/// Why bytes are no usable JSON; lines and columns count from 1, columns in bytes.
#[derive(Debug, thiserror::Error)]
pub enum JsonFault {
    /// Not UTF-8.
    #[error("not UTF-8 at line {line}, column {column}")]
    NotUtf8 {
        /// The line of the first bad byte.
        line: usize,
        /// Its column.
        column: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels at line {line}, column {column}")]
    TooDeep {
        /// The line of the bracket that is one too many.
        line: usize,
        /// Its column.
        column: usize,
    },
    /// Not JSON.
    #[error("not JSON at line {}, column {}", .0.line(), .0.column())]
    Syntax(#[source] serde_json::Error),
}

/// Reads one JSON value.
pub fn read(bytes: &[u8]) -> Result<Value, JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = position(bytes, error.valid_up_to());
        JsonFault::NotUtf8 { line, column }
    })?;
    if let Some(offset) = too_deep(bytes) {
        let (line, column) = position(bytes, offset);
        return Err(JsonFault::TooDeep { line, column });
    }
    serde_json::from_str(text).map_err(JsonFault::Syntax)
}

/// Where the first bracket deeper than [`MAX_DEPTH`] is.
fn too_deep(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(offset);
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = &bytes[..offset];
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (before.split(|byte| *byte == b'\n').count(), offset - start + 1)
}
