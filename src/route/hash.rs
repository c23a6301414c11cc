//! A hash for the keys of the route table.
//!
//! The keys come from the configuration and a look-up adds none, so nobody outside can make them collide: the protection
//! that the standard library's hash pays for with some sixty instructions a look-up is not needed here.

use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys are all known at start.
pub(super) type KnownMap<V> = std::collections::HashMap<Box<str>, V, BuildHasherDefault<KnownHasher>>;

/// Multiplies eight bytes at a time and folds the product (as wyhash does).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownHasher(u64);

/// 2^64 divided by the golden ratio: odd, and its bits look random.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

impl KnownHasher {
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word).wrapping_mul(u128::from(FACTOR));
        // Both halves: a product's lower bits know nothing of the factors' upper ones.
        let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(product >> 64).unwrap_or_default();
        self.0 = low ^ high;
    }
}

impl Hasher for KnownHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = 0;
        for byte in rest {
            last = last << 8 | u64::from(*byte);
        }
        self.add(last);
    }

    fn write_u8(&mut self, byte: u8) {
        // What ends a text.
        self.0 ^= u64::from(byte);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn a_thousand_prefixes_fill_the_buckets_of_a_map_evenly() {
        let hasher = BuildHasherDefault::<KnownHasher>::default();
        for keys in [
            (0..1000).map(|n| format!("/r{n}")).collect::<Vec<_>>(),
            (0..1000).map(|n| format!("/api/v{}/tenant-{}/orders", n % 10, n)).collect(),
        ] {
            let hashes: Vec<u64> = keys.iter().map(|key| hasher.hash_one(key.as_str())).collect();
            let buckets: HashSet<u64> = hashes.iter().map(|hash| hash % 2048).collect();
            // Thrown at random, 1000 keys meet 791 of 2048 buckets on average.
            assert!(buckets.len() > 700, "{}", buckets.len());
            let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(tags.len() > 100, "{}", tags.len());
            assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), 1000);
        }
    }
}
