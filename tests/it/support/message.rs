//! One HTTP/1.1 message head, read by hand: raw bytes are kept, and nothing is tidied up.

/// Where the head ends in `bytes` (behind the empty line), if it does.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The lines of a head: the first one, then name and value of each field, in order, as they were spelled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// All of it, with the empty line.
    pub(crate) raw: Vec<u8>,
    /// Request line or status line.
    pub(crate) first: String,
    /// The fields.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head that [`head_end`] found.
    pub(crate) fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .map(|line| line.split_once(':').map_or((line, ""), |(name, value)| (name, value.trim())))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { raw: raw.to_vec(), first, fields }
    }

    /// The n-th word of the first line.
    pub(crate) fn word(&self, n: usize) -> &str {
        self.first.split(' ').nth(n).unwrap_or_default()
    }

    /// Every value of this field, in order; names are compared ignoring case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The first value of this field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// How the body is framed, as far as the head says.
    pub(crate) fn framing(&self) -> Framing {
        if self.all("transfer-encoding").iter().any(|value| value.to_ascii_lowercase().contains("chunked")) {
            return Framing::Chunked;
        }
        match self.get("content-length").and_then(|value| value.parse().ok()) {
            Some(length) => Framing::Length(length),
            None => Framing::Nothing,
        }
    }

    /// Whether `Connection: close` stands there.
    pub(crate) fn says_close(&self) -> bool {
        self.all("connection").iter().any(|value| value.to_ascii_lowercase().contains("close"))
    }
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No length, no chunks.
    Nothing,
    /// `Content-Length`
    Length(usize),
    /// `Transfer-Encoding: chunked`
    Chunked,
}

/// A chunked body as far as it has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// The last chunk is not there yet; this is what came so far.
    Partial(Vec<u8>),
    /// The body, the trailers' lines, and how many bytes of the input it all took.
    Whole(Vec<u8>, String, usize),
}

/// Reads a chunked body from the front of `bytes`; nonsense is `None`.
pub(crate) fn read_chunked(bytes: &[u8]) -> Option<Chunked> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = bytes[at..].windows(2).position(|two| two == b"\r\n") else {
            return Some(Chunked::Partial(body));
        };
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        at += line + 2;
        if size == 0 {
            let Some(end) = end_of_trailers(&bytes[at..]) else { return Some(Chunked::Partial(body)) };
            let trailers = String::from_utf8_lossy(&bytes[at..at + end]).trim_end().to_owned();
            return Some(Chunked::Whole(body, trailers, at + end));
        }
        if bytes.len() < at + size + 2 {
            body.extend_from_slice(&bytes[at..bytes.len().min(at + size)]);
            return Some(Chunked::Partial(body));
        }
        body.extend_from_slice(&bytes[at..at + size]);
        at += size + 2;
    }
}

fn end_of_trailers(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") { Some(2) } else { head_end(bytes) }
}

/// Percent-decodes a form value (`+` is a space), as a strict token service does.
pub(crate) fn form_decode(text: &str) -> String {
    let (mut out, bytes, mut at) = (Vec::new(), text.as_bytes(), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match (bytes[at], hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The pairs of a form body.
pub(crate) fn form_pairs(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (form_decode(k), form_decode(v)))
        .collect()
}
