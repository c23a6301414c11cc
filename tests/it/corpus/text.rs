//! The data files: entries of `key: value` lines below a `== name`, with escapes for bytes.
//!
//! Values know `\r \n \t \0 \\ \xHH`, `{host}` (where the caller connects), `{upstream}` (the upstream's own name) and
//! `{300*ab}` (so many times this text). A `#` starts a comment at the beginning of a line only.

use std::path::Path;

/// One entry, its lines in order.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What it is about; unique within its folder.
    pub(super) name: String,
    /// The lines.
    pub(super) lines: Vec<(String, String)>,
}

impl Entry {
    /// The first value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.lines.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Why it is not run yet.
    pub(super) fn pending(&self) -> Option<&str> {
        self.get("pending")
    }
}

/// Every entry of a folder below `tests/fixtures`, by file and place.
pub(super) fn folder(name: &str) -> Vec<Entry> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let entries: Vec<Entry> = files.iter().flat_map(|file| read(file)).collect();
    let mut names: Vec<_> = entries.iter().map(|entry| &entry.name).collect();
    names.sort();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two entries of one name");
    }
    entries
}

fn read(file: &Path) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (n, line) in std::fs::read_to_string(file).unwrap().lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = || format!("{}:{}: {line}", file.display(), n + 1);
        if let Some(name) = line.strip_prefix("== ") {
            entries.push(Entry { name: name.to_owned(), lines: Vec::new() });
            continue;
        }
        let (key, value) = line
            .split_once(": ")
            .or_else(|| Some((line.strip_suffix(':')?, "")))
            .unwrap_or_else(|| panic!("{}", place()));
        let entry = entries.last_mut().unwrap_or_else(|| panic!("{}: no entry yet", place()));
        entry.lines.push((key.to_owned(), value.to_owned()));
    }
    entries
}

/// What stands for addresses in a value.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// `{host}`
    pub(super) host: String,
    /// `{upstream}`
    pub(super) upstream: String,
}

impl Places {
    /// The bytes that a value means.
    pub(super) fn bytes(&self, value: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = value;
        while let Some(open) = rest.find('{') {
            out.extend(unescape(&rest[..open]));
            let after = &rest[open + 1..];
            let inner = after.find('}').map(|close| (&after[..close], &after[close + 1..]));
            rest = match inner {
                Some(("host", after)) => {
                    out.extend(self.host.as_bytes());
                    after
                }
                Some(("upstream", after)) => {
                    out.extend(self.upstream.as_bytes());
                    after
                }
                Some((inner, behind)) => {
                    match inner.split_once('*').and_then(|(n, text)| Some((n.parse().ok()?, text))) {
                        Some((times, text)) => {
                            out.extend(unescape(text).repeat(times));
                            behind
                        }
                        None => {
                            out.push(b'{');
                            after
                        }
                    }
                }
                None => {
                    out.push(b'{');
                    after
                }
            };
        }
        out.extend(unescape(rest));
        out
    }

    /// The text that a value means.
    pub(super) fn text(&self, value: &str) -> String {
        latin(&self.bytes(value))
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("no byte: \\x{digits} in {text}"))
            }
            other => panic!("no escape: {:?} in {text}", other.map(char::from)),
        });
    }
    out
}

/// Bytes as the data files write them; long ones are cut in the middle.
pub(super) fn escape(bytes: &[u8]) -> String {
    let show = |bytes: &[u8]| {
        bytes.iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect::<String>()
    };
    if bytes.len() <= 1200 {
        return show(bytes);
    }
    format!(
        "{} ... {} bytes in all ... {}",
        show(&bytes[..800]),
        bytes.len(),
        show(&bytes[bytes.len() - 200..])
    )
}

/// A character a byte: no byte is lost, and no two become one.
pub(super) fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[test]
fn values_mean_bytes() {
    let places = Places { host: "127.0.0.1:1".to_owned(), upstream: "up:2".to_owned() };
    assert_eq!(places.bytes(r"a\r\n\x00\\{3*xy}{host}{upstream}{x}{"), b"a\r\n\0\\xyxyxy127.0.0.1:1up:2{x}{");
    assert_eq!(escape(b"a\r\x00\xff"), r"a\r\x00\xff");
}
