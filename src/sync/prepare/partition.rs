//! Cutting a folder into batches of at most so many bytes: whole folders while they fit, else what
//! they hold; then the pieces into as few batches as first-fit decreasing finds. The reference's
//! `BaseFileSystem.partition` and `PrepareBatchDataSyncHandler.build_node_batches`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A folder by what it holds, with the sizes of files.
#[derive(Debug, Default)]
pub(in crate::sync) struct Folder {
    bytes: u64,
    folders: BTreeMap<OsString, Folder>,
    files: BTreeMap<OsString, u64>,
}

/// A folder or a file that is transferred whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sync) struct Piece {
    /// Below the root; that of a folder ends in `/`, that of the root is empty.
    pub relative: OsString,
    pub bytes: u64,
}

impl Folder {
    /// Adds the file `relative`, or where that ends in `/` a folder.
    pub fn add(&mut self, relative: &OsStr, bytes: u64) {
        self.bytes += bytes;
        let mut segments = relative.as_bytes().splitn(2, |byte| *byte == b'/');
        let first = OsStr::from_bytes(segments.next().unwrap_or_default()).to_owned();
        match segments.next().map(OsStr::from_bytes) {
            None if first.is_empty() => {}
            None => {
                self.files.insert(first, bytes);
            }
            Some(rest) => self.folders.entry(first).or_default().add(rest, bytes),
        }
    }

    /// Its pieces, each of at most `limit` bytes but for files that are larger.
    pub fn pieces(&self, limit: u64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.cut(OsString::new(), limit, &mut pieces);
        pieces
    }

    /// Whether a piece of it would not be transferred as it is with the whole: a name that no file
    /// can have is refused below its folder and not as one, and a file and a folder of one name
    /// cannot be told apart.
    fn is_whole(&self) -> bool {
        let mut names = self.files.keys().chain(self.folders.keys());
        names.any(|name| ["", ".", ".."].iter().any(|strange| name == strange))
            || self.files.keys().any(|name| self.folders.contains_key(name))
    }

    fn cut(&self, relative: OsString, limit: u64, pieces: &mut Vec<Piece>) {
        if self.bytes <= limit || self.is_whole() {
            pieces.push(Piece { relative, bytes: self.bytes });
            return;
        }
        for (name, bytes) in &self.files {
            let mut file = relative.clone();
            file.push(name);
            pieces.push(Piece { relative: file, bytes: *bytes });
        }
        for (name, folder) in &self.folders {
            let mut below = relative.clone();
            below.push(name);
            below.push("/");
            folder.cut(below, limit, pieces);
        }
    }
}

/// Puts pieces into batches of at most `limit` bytes; a larger piece has a batch of its own.
pub(in crate::sync) fn batches(mut pieces: Vec<Piece>, limit: u64) -> Vec<Vec<Piece>> {
    pieces.sort_by(|one, other| {
        (Reverse(one.bytes), &one.relative).cmp(&(Reverse(other.bytes), &other.relative))
    });
    let mut batches: Vec<(u64, Vec<Piece>)> = Vec::new();
    for piece in pieces {
        let fits = |bytes: u64| bytes.checked_add(piece.bytes).is_some_and(|all| all <= limit);
        match batches.iter_mut().find(|(bytes, _)| fits(*bytes)) {
            Some((bytes, batch)) => {
                *bytes += piece.bytes;
                batch.push(piece);
            }
            None => batches.push((piece.bytes, vec![piece])),
        }
    }
    let mut batches: Vec<_> = batches.into_iter().map(|(_, batch)| batch).collect();
    for batch in &mut batches {
        batch.sort_by(|one, other| one.relative.cmp(&other.relative));
    }
    batches
}
