//! The leak scanner: every secret and token of the tests carries a mark, and wherever the mark shows up outside of a
//! request to a mock, something leaked. It also keeps the program's own log lines and the panics of its threads.
//!
//! The mark is looked for as it is and in Base64, whatever stands around it; URL and form encoding leave it as it is.

use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tracing_subscriber::fmt::MakeWriter;

/// Stands at the front of every secret.
const MARK: &str = "cAnArY7q";
/// How many bytes of log are kept for tests that read them.
const KEPT: usize = 32 << 20;

/// A leak: where, and the line.
#[derive(Clone, Debug)]
struct Leak {
    place: String,
    text: String,
}

#[derive(Default)]
struct Scanner {
    needles: Vec<String>,
    leaks: Mutex<Vec<Leak>>,
    panics: Mutex<Vec<String>>,
    log: Mutex<String>,
}

/// A secret text that no other test has; harmless in a header and in a URL.
pub(crate) fn mint() -> String {
    scanner();
    // The last letter takes the bits that Base64 shares with whatever follows: numbers stay apart.
    format!("{MARK}{:05}z", number())
}

/// A number that no other test has.
pub(crate) fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// The part of a secret that [`mint`] made.
pub(crate) fn core(secret: &str) -> &str {
    secret.find(MARK).and_then(|at| secret.get(at..at + MARK.len() + 6)).expect("a minted secret")
}

/// Looks through something that came out of the program.
pub(crate) fn scan(place: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let scanner = scanner();
    for line in
        text.lines().filter(|line| scanner.needles.iter().any(|needle| line.contains(needle.as_str())))
    {
        let leak = Leak { place: place.to_owned(), text: line.chars().take(2000).collect() };
        scanner.leaks.lock().unwrap().push(leak);
    }
}

/// The leaks of secrets that [`mint`] made with this result.
pub(crate) fn leaks_of(secret: &str) -> Vec<String> {
    let forms = forms(secret);
    let leaks = scanner().leaks.lock().unwrap();
    let mine = |leak: &&Leak| forms.iter().any(|form| leak.text.contains(form.as_str()));
    let mut found: Vec<String> = leaks
        .iter()
        .filter(mine)
        .map(|leak| format!("secret in {}: {}", leak.place, leak.text.trim()))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// In the message of a panic that a test of this harness means to happen.
pub(crate) const MEANT: &str = "this panic is meant";

/// Panics of threads that belong to the program, since the n-th one.
pub(crate) fn panics_since(n: usize) -> Vec<String> {
    let panics = scanner().panics.lock().unwrap();
    panics.iter().skip(n).filter(|text| !text.contains(MEANT)).cloned().collect()
}

/// Whether a panic with this text was noted.
pub(crate) fn noted_panic(text: &str) -> bool {
    scanner().panics.lock().unwrap().iter().any(|panic| panic.contains(text))
}

/// How many panics there were.
pub(crate) fn panics() -> usize {
    scanner().panics.lock().unwrap().len()
}

/// The program's log lines that contain all of these texts. The log is shared by all tests: look for your own port or name.
pub(crate) fn log_lines(texts: &[&str]) -> Vec<String> {
    let log = scanner().log.lock().unwrap();
    log.lines().filter(|line| texts.iter().all(|text| line.contains(text))).map(str::to_owned).collect()
}

/// A text as it is, and the middle of its Base64 at each of the three alignments.
fn forms(text: &str) -> Vec<String> {
    let shifted = |offset: usize| {
        let encoded = STANDARD.encode([&b"\0\0"[..offset], text.as_bytes()].concat());
        // Characters that depend on this text alone: six bits each.
        encoded[(8 * offset).div_ceil(6)..(8 * (offset + text.len())) / 6].to_owned()
    };
    [text.to_owned(), shifted(0), shifted(1), shifted(2)].to_vec()
}

fn scanner() -> &'static Scanner {
    static SCANNER: OnceLock<Scanner> = OnceLock::new();
    static INSTALLED: OnceLock<()> = OnceLock::new();
    let scanner = SCANNER.get_or_init(|| Scanner { needles: forms(MARK), ..Scanner::default() });
    INSTALLED.get_or_init(install);
    scanner
}

fn install() {
    raise_file_limit();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(LogWriter)
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("nobody else listens to the log");
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        note_panic(info);
        default(info);
    }));
}

/// A thousand callers need four thousand sockets in this one process.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

fn note_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    // A test's own thread is called after the test; the others of the harness are called so.
    let ours = thread.contains("::") || thread == "main" || thread == "mock" || thread == "caller";
    if !ours || place.starts_with("src/") {
        let payload = info.payload();
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default();
        let text = format!("panic in thread {thread} at {place}: {}", message);
        scan("panic message", text.as_bytes());
        scanner().panics.lock().unwrap().push(text);
    }
}

#[derive(Clone, Copy)]
struct LogWriter;

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for LogWriter {
    /// One event.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        scan("log", bytes);
        let text = String::from_utf8_lossy(bytes);
        if text.contains(" sidepass") {
            let mut log = scanner().log.lock().unwrap();
            if log.len() < KEPT {
                log.push_str(&text);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
