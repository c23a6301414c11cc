//! Counts the frames of HTTP/2 that ask for nothing.
//!
//! PING, SETTINGS, RST_STREAM and their like cost their sender a few bytes and us some work each; hyper answers them as
//! long as they come. Streams have limits of their own, and bodies their windows: here are the rest (CVE-2019-9512,
//! -9514, -9515, -9518; CVE-2023-44487).

use super::http2::PREFACE;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const HEADER: usize = 9;
const END_STREAM: u8 = 1;

/// For so many bytes a frame counts once more.
const WEIGHT: usize = 512;

/// How far the frames of a connection have been read (RFC 9113 §4.1).
#[derive(Debug)]
pub(super) struct FrameScan {
    header: [u8; HEADER],
    length: usize,
    /// Bytes until the next frame begins.
    skip: usize,
}

impl Default for FrameScan {
    fn default() -> Self {
        Self { header: [0; HEADER], length: 0, skip: PREFACE.len() }
    }
}

impl FrameScan {
    /// Takes what has arrived; how many frames in it ask for nothing, large ones counted several times.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> u32 {
        let mut count = 0;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEADER - self.length).min(bytes.len());
            self.header[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
            self.length += taken;
            bytes = &bytes[taken..];
            if self.length == HEADER {
                self.length = 0;
                let [high, middle, low, kind, flags, ..] = self.header;
                self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                if asks_for_nothing(kind, flags, self.skip) {
                    // A frame of nearly three thousand settings is as good as many frames.
                    count += 1 + u32::try_from(self.skip / WEIGHT).unwrap_or(0);
                }
            }
        }
        count
    }
}

/// WINDOW_UPDATE comes often where much is downloaded, and is cheap. An empty DATA frame is how many clients end a body:
/// there is one a stream at most.
fn asks_for_nothing(kind: u8, flags: u8, length: usize) -> bool {
    match kind {
        DATA => length == 0 && flags & END_STREAM == 0,
        HEADERS | WINDOW_UPDATE => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_body_is_no_noise() {
        let mut end = frame(DATA, 0);
        end[4] = END_STREAM;
        let mut scan = FrameScan::default();
        assert_eq!(scan.feed(&[PREFACE, &end.repeat(100)].concat()), 0);
    }

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        [&size[1..], &[kind, 0, 0, 0, 0, 1], vec![6; length].as_slice()].concat()
    }

    #[test]
    fn frames_are_counted_however_they_arrive() {
        let frames =
            [frame(4, 0), frame(1, 20), frame(0, 300), frame(0, 0), frame(6, 8), frame(8, 4), frame(3, 4)];
        let bytes = [PREFACE, &frames.concat()].concat();
        for piece in 1..bytes.len() {
            let mut scan = FrameScan::default();
            let count: u32 = bytes.chunks(piece).map(|piece| scan.feed(piece)).sum();
            assert_eq!(count, 4, "SETTINGS, an empty DATA, PING, RST_STREAM; in pieces of {piece}");
        }
    }
}
