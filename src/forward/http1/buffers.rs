//! A worker's memory for what is read and written: whoever speaks takes it, and gives it back when there is nothing in it.
//!
//! Invariant: a connection that waits with nothing half read or half written owns no buffer.

use std::cell::RefCell;

use bytes::BytesMut;
use http::HeaderMap;

use super::blocks::Blocks;

/// Bytes for reading while answers are small.
pub(super) const SMALL: usize = 8 * 1024;

/// Bytes for reading a body that is large, where no block is free.
pub(super) const LARGE: usize = 64 * 1024;

/// A larger one was needed for a large head or body, and is not kept.
const KEPT: usize = 16 * 1024;

/// A map with room for more fields than this is not kept.
const FIELDS: usize = 64;

/// One of each kind is enough where nobody keeps one while waiting; blocks wait for slow callers.
#[derive(Debug, Default)]
pub struct Buffers {
    read: RefCell<BytesMut>,
    blocks: RefCell<Blocks>,
    write: RefCell<Vec<u8>>,
    fields: RefCell<HeaderMap>,
}

impl Buffers {
    /// An empty buffer to read into, perhaps without room.
    pub(super) fn take_read(&self) -> BytesMut {
        self.read.take()
    }

    /// Takes a buffer that is empty; one that grew is let go.
    pub(super) fn give_read(&self, buffer: BytesMut) {
        if (1..=KEPT).contains(&buffer.capacity()) {
            self.read.replace(buffer);
        }
    }

    /// A block to read a large body into, if one is free. Nobody gives it back: it is dropped, and so are its pieces.
    pub(super) fn take_block(&self) -> Option<BytesMut> {
        self.blocks.borrow_mut().take()
    }

    /// An empty buffer to write into.
    pub(super) fn take_write(&self) -> Vec<u8> {
        self.write.take()
    }

    /// Takes a buffer that is not used any more.
    pub(super) fn give_write(&self, mut buffer: Vec<u8>) {
        if (1..=KEPT).contains(&buffer.capacity()) {
            buffer.clear();
            self.write.replace(buffer);
        }
    }

    /// An empty map for the fields of an answer.
    pub(super) fn take_fields(&self) -> HeaderMap {
        self.fields.take()
    }

    /// Takes a map whose fields are not needed any more, as a request's are when it has its answer.
    pub fn give_fields(&self, mut fields: HeaderMap) {
        if (1..=FIELDS).contains(&fields.capacity()) {
            fields.clear();
            self.fields.replace(fields);
        }
    }
}
