//! Counts the frames of HTTP/2 that ask for nothing, or may come too often.
//!
//! PING, SETTINGS, RST_STREAM and their like cost their sender a few bytes and us some work each; hyper answers them as
//! long as they come, from either side. Streams have limits of their own, and bodies their windows: here are the rest (CVE-2019-9512,
//! -9514, -9515, -9518; CVE-2023-44487).

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const HEADER: usize = 9;
const END_STREAM: u8 = 1;

/// For so many bytes a frame counts once more.
const WEIGHT: usize = 512;

/// How many frames of a kind there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Those that ask for nothing, large ones counted several times.
    pub noise: u32,
    /// HEADERS: messages, their trailers, interim answers.
    pub heads: u32,
    /// RST_STREAM
    pub resets: u32,
}

/// How far the frames of a connection have been read (RFC 9113 §4.1).
#[derive(Debug)]
pub struct FrameScan {
    header: [u8; HEADER],
    length: usize,
    /// Bytes until the next frame begins.
    skip: usize,
}

impl FrameScan {
    /// The first frame comes behind so many bytes.
    pub fn behind(skip: usize) -> Self {
        Self { header: [0; HEADER], length: 0, skip }
    }

    /// Takes what has arrived, and counts the frames that begin in it.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Frames {
        let mut count = Frames::default();
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
                match kind {
                    HEADERS => count.heads += 1,
                    RST_STREAM => count.resets += 1,
                    kind if asks_for_nothing(kind, flags, self.skip) => {
                        // A frame of nearly three thousand settings is as good as many frames.
                        count.noise += 1 + u32::try_from(self.skip / WEIGHT).unwrap_or(0);
                    }
                    _ => {}
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
        WINDOW_UPDATE => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as what a caller begins with.
    const PREFACE: &[u8] = &[b'p'; 24];

    fn scan() -> FrameScan {
        FrameScan::behind(PREFACE.len())
    }

    #[test]
    fn the_end_of_a_body_is_no_noise() {
        let mut end = frame(DATA, 0);
        end[4] = END_STREAM;
        assert_eq!(scan().feed(&[PREFACE, &end.repeat(100)].concat()), Frames::default());
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
            let mut scan = scan();
            let counts: Vec<Frames> = bytes.chunks(piece).map(|piece| scan.feed(piece)).collect();
            let sum = |of: fn(&Frames) -> u32| counts.iter().map(of).sum::<u32>();
            assert_eq!(sum(|one| one.noise), 3, "SETTINGS, an empty DATA, PING; in pieces of {piece}");
            assert_eq!(sum(|one| one.heads), 1, "in pieces of {piece}");
            assert_eq!(sum(|one| one.resets), 1, "in pieces of {piece}");
        }
    }
}
