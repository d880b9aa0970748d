//! `random.Random(seed).choice(…)` for a text seed: MT19937, string seeding version 2.

use rand_mt::Mt;
use sha2::{Digest, Sha512};

/// The index that `random.Random(seed).choice` picks from `count` candidates; 0 for one or none.
pub fn choice(seed: &str, count: usize) -> usize {
    let Ok(bound) = u32::try_from(count) else { return 0 };
    if bound < 2 {
        return 0;
    }
    let mut generator = Mt::new_with_key(key(seed));
    let bits = u32::BITS - bound.leading_zeros();
    loop {
        let drawn = generator.next_u32() >> (u32::BITS - bits);
        if drawn < bound {
            return drawn as usize;
        }
    }
}

/// The seed's bytes and their SHA-512, read as one big-endian integer, in 32-bit words from the
/// least significant on.
fn key(seed: &str) -> Vec<u32> {
    let mut bytes = seed.as_bytes().to_vec();
    bytes.extend_from_slice(&Sha512::digest(seed.as_bytes()));
    let mut words: Vec<u32> = bytes
        .rchunks(4)
        .map(|chunk| chunk.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte)))
        .collect();
    while words.len() > 1 && words.last() == Some(&0) {
        words.pop();
    }
    words
}
