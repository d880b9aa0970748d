//! Reading a try's log by pages. A cursor is the offset in bytes of the first line not yet read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::engine::job::{LogLine, LogPage};

/// The most bytes of one page, and so of one line; a longer line is cut.
const PAGE_BYTES: u64 = 1024 * 1024;

/// At most `limit` lines of the file at `path` from `offset` on. A last line without a newline is
/// given once nothing more will be written (`ended`). A file that is not there yet is empty.
pub(super) fn page(path: &Path, offset: u64, limit: usize, ended: bool) -> io::Result<LogPage> {
    let window = match File::open(path) {
        Ok(mut file) => {
            let mut window = Vec::new();
            file.seek(SeekFrom::Start(offset))?;
            file.take(PAGE_BYTES).read_to_end(&mut window)?;
            window
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let (lines, read) = split(&window, limit, ended);
    Ok(LogPage { lines, next_cursor: (offset + read as u64).to_string() })
}

/// The first lines of `window`, and the bytes they take with their newlines.
fn split(window: &[u8], limit: usize, ended: bool) -> (Vec<LogLine>, usize) {
    let full = window.len() as u64 == PAGE_BYTES;
    let mut lines = Vec::new();
    let mut read = 0;
    for piece in window.split_inclusive(|byte| *byte == b'\n').take(limit) {
        let complete = piece.ends_with(b"\n");
        // The window cut this line short: it is whole on the next page, unless it fills this one.
        let cut = !complete && full;
        if (cut && read > 0) || (!complete && !full && !ended) {
            break;
        }
        let piece = if cut { whole_characters(piece) } else { piece };
        let text = piece.strip_suffix(b"\n").unwrap_or(piece);
        lines.push(LogLine { at: None, message: String::from_utf8_lossy(text).into_owned() });
        read += piece.len();
    }
    (lines, read)
}

/// `piece` without the beginning of a character whose rest is beyond it.
fn whole_characters(piece: &[u8]) -> &[u8] {
    let rest = piece.utf8_chunks().last().map_or(&[][..], |last| last.invalid());
    let unfinished = std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
    if unfinished { &piece[..piece.len() - rest.len()] } else { piece }
}
