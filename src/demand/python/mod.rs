//! What the reference owes to Python itself, in one place: `str()` and `json.dumps` of JSON
//! values, `random.Random(seed).choice`, `pathlib.PurePosixPath`, whitespace and sizes of strings.
//!
//! Hashes, names and environment variables of the reference are made of these, so equal answers
//! need equal text. Everything follows Python 3.11.

pub mod dumps;
pub mod number;
pub mod path;
mod printable;
pub mod random;
pub mod text;

pub use dumps::dumps;
pub use path::PurePath;
pub use text::to_str;

use sha2::{Digest, Sha256};

/// SHA-256 of `text`, as 64 lower-case hex digits.
pub fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
