//! A bin of files: as many as are transferred before what arrived is made durable and the next
//! begin.

/// Counts the bins that a source is cut into, in the order it is listed.
#[derive(Debug)]
pub(in crate::sync) struct Bin {
    limit: u64,
    bytes: u64,
    count: u64,
}

impl Bin {
    /// The first of bins of at most `limit` bytes, or one that takes everything. A larger file
    /// fills a bin of its own.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit: limit.unwrap_or(u64::MAX), bytes: 0, count: 0 }
    }

    /// Adds a file of `size` bytes; answers whether it still fits, or begins the next bin.
    pub fn takes(&mut self, size: u64) -> bool {
        let bytes = self.bytes.saturating_add(size);
        if self.count > 0 && bytes <= self.limit {
            self.bytes = bytes;
            return true;
        }
        let first = self.count == 0;
        self.bytes = size;
        self.count += 1;
        first
    }

    /// How many bins there have been.
    pub fn count(&self) -> u64 {
        self.count
    }
}
