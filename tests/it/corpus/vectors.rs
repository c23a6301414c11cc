//! Reads llhttp's markdown vectors (`tests/fixtures/llhttp/vectors`): the input, and what llhttp says of it.
//!
//! An input is the text of an `http` block, made into bytes as llhttp's own runner makes it; the `log` block behind it
//! tells offsets into these bytes.

use std::ops::Range;
use std::path::Path;

/// One vector.
#[derive(Clone, Debug, Default)]
pub(super) struct Vector {
    /// `file.md: heading`, with a number where two share it.
    pub(super) name: String,
    /// Whether llhttp was told to be lenient.
    pub(super) lenient: bool,
    /// The bytes.
    pub(super) input: Vec<u8>,
    /// What llhttp took for messages, in order.
    pub(super) messages: Vec<Message>,
    /// Why it stopped, unless that was for an upgrade.
    pub(super) error: Option<String>,
}

/// A message as llhttp reads it.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    begin: usize,
    /// Where the version of its request line ends.
    version_end: Option<usize>,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) body: Vec<u8>,
    /// Whether it came to its end.
    pub(super) complete: bool,
}

impl Vector {
    /// The messages that came to their end.
    pub(super) fn complete(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| message.complete)
    }

    /// The input with a Host in every message that has none: most vectors are older than that rule.
    pub(super) fn with_hosts(&self) -> Vec<u8> {
        let mut bytes = self.input.clone();
        for (n, message) in self.messages.iter().enumerate().rev() {
            let end = self.messages.get(n + 1).map_or(self.input.len(), |next| next.begin);
            let text = String::from_utf8_lossy(&self.input[message.begin..end]).to_ascii_lowercase();
            if let (Some(at), false) = (message.version_end, text.contains("\nhost")) {
                bytes.splice(at..at, b"\r\nHost: localhost".iter().copied());
            }
        }
        bytes
    }
}

/// Every vector, by file and place.
pub(super) fn all() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llhttp/vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut all: Vec<Vector> = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for mut vector in read(&std::fs::read_to_string(&file).unwrap()) {
            vector.name = format!("{name}: {}", vector.name);
            let twins =
                all.iter().filter(|one| one.name.split(" #").next() == Some(vector.name.as_str())).count();
            if twins > 0 {
                vector.name = format!("{} #{}", vector.name, twins + 1);
            }
            all.push(vector);
        }
    }
    all
}

fn read(text: &str) -> Vec<Vector> {
    let (mut vectors, mut heading, mut meta) = (Vec::<Vector>::new(), "", "");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        } else if line.starts_with("<!-- meta") {
            meta = line;
        } else if line == "```http" {
            let input = input(&block(&mut lines));
            let lenient = meta.contains("lenient");
            vectors.push(Vector { name: heading.to_owned(), lenient, input, ..Vector::default() });
        } else if line == "```log" {
            let vector = vectors.last_mut().unwrap();
            tell(vector, &block(&mut lines));
            if meta.contains("skipBody") {
                // llhttp was told that there are no bodies; to anybody else the messages are not complete.
                vector.messages.iter_mut().for_each(|message| message.complete = false);
            }
        }
    }
    vectors
}

fn block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> String {
    lines.take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect()
}

/// As in llhttp's `test/md-test.ts`: every line ends with CR LF, escapes are characters, and these are UTF-8.
fn input(text: &str) -> Vec<u8> {
    let text = text.strip_suffix('\n').unwrap_or(text).replace("\\\n", "").replace('\n', "\r\n");
    let mut text = text.as_str();
    let mut out = String::new();
    while let Some(at) = text.find('\\') {
        out.push_str(&text[..at]);
        text = &text[at + 1..];
        let taken = |radix| text.chars().take_while(|c| c.is_digit(radix)).count();
        let (c, length) = match text.chars().next() {
            Some('r') => ('\r', 1),
            Some('n') => ('\n', 1),
            Some('t') => ('\t', 1),
            Some('f') => ('\x0c', 1),
            Some('x') => {
                let digits = text[1..].chars().take_while(char::is_ascii_hexdigit).count();
                (char::from(u8::from_str_radix(&text[1..=digits], 16).unwrap()), digits + 1)
            }
            Some('0'..='7') => {
                let digits = taken(8).min(3);
                (char::from(u8::from_str_radix(&text[..digits], 8).unwrap()), digits)
            }
            _ => ('\\', 0),
        };
        out.push(c);
        text = &text[length..];
    }
    out.push_str(text);
    out.into_bytes()
}

/// Notes what a log says.
fn tell(vector: &mut Vector, log: &str) {
    for line in log.lines() {
        let (offset, rest) =
            line.strip_prefix("off=").and_then(|rest| rest.split_once(' ')).unwrap_or(("", line));
        let Ok(offset) = offset.parse::<usize>() else { continue };
        if rest == "message begin" {
            vector.messages.push(Message { begin: offset, ..Message::default() });
        }
        if rest.starts_with("error code=") && !rest.contains("Pause on") {
            vector.error = Some(rest.to_owned());
        }
        let Some(message) = vector.messages.last_mut() else { continue };
        match rest {
            "message complete" => message.complete = true,
            "version complete" => message.version_end = Some(offset),
            _ => {}
        }
        let Some((length, what)) = rest.strip_prefix("len=").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let range: Range<usize> = offset..offset + length.parse::<usize>().unwrap();
        let bytes = vector.input.get(range).unwrap_or_default();
        match what.split(']').next().unwrap_or_default() {
            "span[method" => message.method.push_str(&String::from_utf8_lossy(bytes)),
            "span[url" => message.url.push_str(&String::from_utf8_lossy(bytes)),
            "span[body" => message.body.extend_from_slice(bytes),
            _ => {}
        }
    }
}

#[test]
fn the_vectors_are_read_as_llhttp_reads_them() {
    let all = all();
    assert_eq!(all.len(), 166);
    let one = |name: &str| all.iter().find(|vector| vector.name == name).unwrap_or_else(|| panic!("{name}"));
    let lowercase = one("transfer-encoding.md: Parse chunks with lowercase size");
    let message = &lowercase.messages[0];
    assert_eq!(
        (message.method.as_str(), message.url.as_str(), message.body.as_slice()),
        ("PUT", "/url", &b"0123456789"[..])
    );
    assert!(message.complete && lowercase.error.is_none());
    assert!(lowercase.with_hosts().starts_with(b"PUT /url HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding"));
    assert!(one("invalid.md: ICE protocol and GET method").error.is_some());
    // Every offset fits: methods and targets are made of visible characters.
    for message in all.iter().flat_map(Vector::complete) {
        assert!(!message.method.is_empty() && !message.url.contains(' '), "{message:?}");
    }
}
