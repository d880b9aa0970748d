//! Where the bytes of a larger object go: a range of a file under way, written a mebibyte at a
//! time, past the page cache where the file system takes it.
//!
//! What is written past the cache is on disk when the write returns. Through the cache each page
//! would be copied twice and written again at the end of the step, which costs more than the
//! transfer itself (open(2), `O_DIRECT`).

use std::io::ErrorKind::InvalidInput;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::partial::Partial;
use crate::sync::error::{SyncError, blocking};

/// Bytes gathered before they are written.
pub(in crate::sync) const WRITE: usize = 1 << 20;
/// What offsets, lengths and addresses of writes past the cache are multiples of, on every file
/// system that has them.
pub(in crate::sync) const BLOCK: usize = 4096;

/// Writes one range of a file, in order, and digests it.
pub(in crate::sync) struct Sink<D> {
    partial: Arc<Partial>,
    offset: u64,
    /// Whether the file is written in blocks.
    blocks: bool,
    work: Option<Work<D>>,
}

/// What goes to where it may block, and comes back.
struct Work<D> {
    buffer: Buffer,
    digest: D,
}

/// What is told of the bytes of a range in their order.
pub(in crate::sync) trait Digests: Send + 'static {
    fn update(&mut self, bytes: &[u8]);
}

impl<D: Digests> Sink<D> {
    /// Begins at `offset`, a multiple of [`BLOCK`] where `blocks` is true.
    pub fn new(partial: Arc<Partial>, offset: u64, blocks: bool, digest: D) -> Self {
        Self { partial, offset, blocks, work: Some(Work { buffer: Buffer::default(), digest }) }
    }

    /// Takes some more bytes, and waits while there is much to write.
    pub async fn take(&mut self, mut bytes: Bytes) -> Result<(), SyncError> {
        while !bytes.is_empty() {
            let Some(work) = &mut self.work else { return Err(SyncError::Changed) };
            let taken = bytes.split_to(work.buffer.room().min(bytes.len()));
            work.buffer.push(&taken);
            if work.buffer.room() == 0 {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Writes what is left; answers the digest.
    pub async fn finish(mut self) -> Result<D, SyncError> {
        self.flush().await?;
        self.work.map(|work| work.digest).ok_or(SyncError::Changed)
    }

    async fn flush(&mut self) -> Result<(), SyncError> {
        let Some(mut work) = self.work.take() else { return Err(SyncError::Changed) };
        let (partial, offset, blocks) = (Arc::clone(&self.partial), self.offset, self.blocks);
        let length = work.buffer.bytes().len();
        let work = blocking(move || {
            work.digest.update(work.buffer.bytes());
            // What exceeds the object's end is cut off before the file gets its name.
            let bytes = if blocks { work.buffer.blocks() } else { work.buffer.bytes() };
            let mut written = partial.file().write_all_at(bytes, offset);
            // Some file systems take the flag and then not the writes.
            if blocks && written.as_ref().is_err_and(|error| error.kind() == InvalidInput) {
                partial.go_cached();
                written = partial.file().write_all_at(bytes, offset);
            }
            written.map_err(SyncError::file("write", partial.path()))?;
            work.buffer.clear();
            Ok(work)
        });
        self.work = Some(work.await?);
        self.offset += length as u64;
        Ok(())
    }
}

/// Up to [`WRITE`] bytes at an address that is a multiple of [`BLOCK`].
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    fn room(&self) -> usize {
        WRITE - self.length
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes = vec![0; WRITE + BLOCK];
            self.start = self.bytes.as_ptr().align_offset(BLOCK);
        }
        let end = self.start + self.length;
        self.bytes[end..end + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }

    /// The bytes, and zeros up to a whole block.
    fn blocks(&mut self) -> &[u8] {
        let (length, end) = (self.length, self.length.next_multiple_of(BLOCK));
        self.bytes[self.start + length..self.start + end].fill(0);
        &self.bytes[self.start..self.start + end]
    }

    fn clear(&mut self) {
        self.length = 0;
    }
}
