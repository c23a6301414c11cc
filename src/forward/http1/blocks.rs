//! A worker's blocks of memory for large bodies, read into again and again.
//!
//! Invariant: there are at most `BLOCKS` of them, however many connections there are. A piece of a body that its caller
//! does not take keeps its block; who finds none free makes do with less.

use bytes::BytesMut;

/// Bytes of a block. With fewer at a time both neighbours are woken more often, which costs more than the copying; with a
/// megabyte, what was read has left the processor's cache before it is written.
pub(super) const BLOCK: usize = 256 * 1024;

/// So that some callers may be slow: two megabytes in all.
pub(super) const BLOCKS: usize = 8;

/// A worker's blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks(
    /// A share of each, without bytes: when it is the last one, the block is free.
    Vec<BytesMut>,
);

impl Blocks {
    /// A block that nobody uses, empty; it is free again when it and all that was split off it are dropped. The first one
    /// is preferred: its memory was used last.
    pub(super) fn take(&mut self) -> Option<BytesMut> {
        for share in &mut self.0 {
            if share.try_reclaim(BLOCK) {
                return Some(share.split_off(0));
            }
        }
        if self.0.len() == BLOCKS {
            return None;
        }
        let mut share = BytesMut::with_capacity(BLOCK);
        let block = share.split_off(0);
        self.0.push(share);
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_when_all_of_it_is_dropped() {
        let mut blocks = Blocks::default();
        let mut block = blocks.take().unwrap();
        block.extend_from_slice(&[b'x'; BLOCK]);
        let place = block.as_ptr();
        let piece = block.split_to(1000).freeze();
        drop(block);
        let other = blocks.take().unwrap();
        assert!(other.capacity() >= BLOCK && other.as_ptr() != place, "a piece of the first one is in use");
        drop(piece);
        let again = blocks.take().unwrap();
        assert!((again.as_ptr(), again.len()) == (place, 0) && again.capacity() >= BLOCK);
    }

    #[test]
    fn there_are_only_so_many_blocks() {
        let mut blocks = Blocks::default();
        let mut taken: Vec<_> = std::iter::from_fn(|| blocks.take()).take(2 * BLOCKS).collect();
        assert_eq!(taken.len(), BLOCKS);
        taken.pop();
        assert!(blocks.take().is_some() && blocks.take().is_some(), "one is free");
        taken.push(blocks.take().unwrap());
        assert!(blocks.take().is_none());
    }
}
