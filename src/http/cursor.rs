//! The opaque cursors of lists.
//!
//! A cursor names a position and the filters it belongs to, so that a client that changes its
//! filters halfway is told instead of given a list that never existed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::problem::{Kind, Problem};
use crate::store::{Filter, Position};

#[derive(Serialize, Deserialize)]
struct Cursor {
    after: Position,
    filter: String,
}

/// The cursor of the page that starts after `after`.
pub(super) fn encode(after: Position, filter: &Filter) -> Result<String, serde_json::Error> {
    let cursor = Cursor { after, filter: fingerprint(filter)? };
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor)?))
}

/// The position a cursor names, if it belongs to these filters.
pub(super) fn decode(cursor: &str, filter: &Filter) -> Result<Position, Problem> {
    let refused = |why: &str| Problem::new(Kind::InvalidQuery, why);
    let cursor: Cursor = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| refused("The cursor is none of this service's; start without one."))?;
    match fingerprint(filter) {
        Ok(own) if own == cursor.filter => Ok(cursor.after),
        Ok(_) => Err(refused("The cursor belongs to other filters; start without one.")),
        Err(failed) => Err(Problem::internal(&failed)),
    }
}

fn fingerprint(filter: &Filter) -> Result<String, serde_json::Error> {
    let digest = Sha256::digest(serde_json::to_vec(filter)?);
    Ok(URL_SAFE_NO_PAD.encode(&digest[..12]))
}
