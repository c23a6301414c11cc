//! The shape of `src/`: who may import whom, where each outside crate is at home, how long a file may get.
//!
//! It reads the source text, blanks comments, literals and test code, and looks at the paths that are left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The top-level modules by level: a module may use modules of lower levels only. One line a level, from the bottom.
const LEVELS: &[&[&str]] = &[
    &["secret", "clock", "sieve", "metrics", "telemetry", "readiness", "shutdown"],
    &["config"],
    &["import"],
    &["tls"],
    &["token"],
    &["profile"],
    &["route", "inject"],
    &["credential"],
    &["guard", "forward"],
    &["error"],
    &["proxy"],
    &["server"],
    &["admin"],
    &["app"],
    &["demo"],
    &["cli"],
    &["main"],
];

/// Outside crates that one place has to itself: crate, and the files (or folders) that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("figment", &["config"]),
    ("granit_parser", &["config/yaml"]),
    ("reqwest", &["token/http"]),
    ("arc_swap", &["token/cell", "token/dpop", "inject", "proxy/csrf", "tls", "app"]),
    ("prometheus", &["metrics"]),
    ("tracing_subscriber", &["telemetry"]),
];

/// Lines of a file without its tests.
const LONGEST: usize = 400;

/// A source file of the program.
struct Source {
    /// Its path below `src/`, without `.rs`: `token/cell`.
    path: String,
    /// The text with comments, literals and test code blanked; as many lines as the file without its tests.
    code: String,
}

impl Source {
    /// The top-level module it belongs to.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Whether it is this file, or lies in the folder that goes with it.
    fn is_in(&self, home: &str) -> bool {
        self.path == home || self.path.strip_prefix(home).is_some_and(|rest| rest.starts_with('/'))
    }
}

#[test]
fn modules_import_only_modules_below_them() {
    let levels: BTreeMap<&str, usize> = LEVELS
        .iter()
        .enumerate()
        .flat_map(|(level, names)| names.iter().map(move |name| (*name, level)))
        .collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        if module == "lib" {
            continue;
        }
        let Some(own) = levels.get(module) else {
            wrong.push(format!("src/{}.rs: no level yet; give `{module}` one in LEVELS", source.path));
            continue;
        };
        for used in used_modules(&source).iter().filter(|used| *used != module) {
            if levels.get(used.as_str()).is_none_or(|level| level >= own) {
                wrong.push(format!("src/{}.rs: `{module}` must not use `{used}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_outside_crate_has_one_home() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, homes) in HOMES {
            if names_path(&source.code, name) && !homes.iter().any(|home| source.is_in(home)) {
                wrong.push(format!("src/{}.rs: `{name}` is at home in {}", source.path, homes.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_request_path_never_sees_who_writes_tokens() {
    let hidden = ["TokenWriter", "reqwest", "granit_parser", "figment"];
    for source in sources().iter().filter(|s| ["proxy", "route", "inject", "forward"].contains(&s.module())) {
        let found: Vec<_> = hidden.iter().filter(|name| has_word(&source.code, name)).collect();
        assert!(found.is_empty(), "src/{}.rs names {found:?}", source.path);
    }
}

/// Where a request passes: what it shares with other threads, it loads.
const REQUEST_PATH: &[&str] = &["proxy", "route", "inject", "credential", "guard", "forward", "server"];

#[test]
fn the_request_path_takes_no_lock() {
    let locks = ["Mutex", "RwLock", "Condvar", "OnceLock", "LazyLock", "Semaphore"];
    for source in sources().iter().filter(|source| REQUEST_PATH.contains(&source.module())) {
        let found: Vec<_> = locks.iter().filter(|name| has_word(&source.code, name)).collect();
        assert!(found.is_empty(), "src/{}.rs names {found:?}", source.path);
    }
}

#[test]
fn the_only_file_that_picks_a_status_is_error() {
    // admin and demo answer for themselves; the proxy's own refusals all come from error.rs.
    for source in
        sources().iter().filter(|s| ["proxy", "route", "inject", "guard", "credential"].contains(&s.module()))
    {
        for line in source.code.lines().filter(|line| line.contains("StatusCode::")) {
            let compares = line.contains("==")
                || line.contains("!=")
                || line.contains("=>")
                || line.contains("matches!");
            assert!(compares, "src/{}.rs picks a status: {}", source.path, line.trim());
        }
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    let long: Vec<_> = sources()
        .iter()
        .map(|source| (source.code.lines().count(), source.path.clone()))
        .filter(|(lines, _)| *lines > LONGEST)
        .collect();
    assert!(long.is_empty(), "more than {LONGEST} lines without tests: {long:?}");
}

#[test]
fn production_code_is_safe_and_never_unwraps() {
    for source in sources() {
        assert!(!has_word(&source.code, "unsafe"), "src/{}.rs: unsafe", source.path);
        for (number, line) in source.code.lines().enumerate() {
            let bad =
                [".unwrap()", "todo!(", "unimplemented!(", "dbg!("].iter().find(|bad| line.contains(*bad));
            assert!(bad.is_none(), "src/{}.rs:{}: {}", source.path, number + 1, bad.unwrap_or(&""));
        }
    }
}

#[test]
fn the_reader_of_source_text_knows_comments_literals_and_tests() {
    let code = blank(
        "a // crate::x\n\"crate::y \\\" \" 'c' '\\'' b'{' r#\"crate::z\"# &'a str /* crate::v */ crate::w",
    );
    assert_eq!(code.matches("crate::").count(), 1, "{code}");
    assert!(code.contains("&'a str"), "{code}");
    let cut = cut_tests(&blank(
        "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { \"}\" }\n}\nfn c() {}\n#[cfg(test)]\nmod t;\n",
    ));
    assert!(
        cut.contains("fn a") && cut.contains("fn c") && !cut.contains("fn b") && !cut.contains("mod t"),
        "{cut}"
    );
    let source = |path: &str, code: &str| Source { path: path.into(), code: code.into() };
    let used = |path, code| used_modules(&source(path, code)).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(
        used("token/cell", "use crate::{clock::{Moment, fake}, config}; crate::secret::x()"),
        "clock config secret"
    );
    assert_eq!(used("token/cell", "use super::super::route::R; use super::Token;"), "route");
    assert_eq!(used("token", "use super::forward;"), "forward");
    assert_eq!(used("main", "use sidepass::{app, cli::Cli};"), "app cli");
    assert!(
        names_path("use reqwest::Client;", "reqwest")
            && !names_path("my_reqwest::x; reqwest_x::y", "reqwest")
    );
}

/// Every file of `src/` that is no test.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 10, "src/ was found");
    let read = |file: PathBuf| {
        let path = file.strip_prefix(&root).unwrap().with_extension("");
        let text = std::fs::read_to_string(&file).unwrap();
        Source { path: path.to_str().unwrap().to_owned(), code: cut_tests(&blank(&text)) }
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        // `foo/tests.rs` and `foo/tests/` hold the tests of `foo.rs`.
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The top-level modules that the code names: `crate::x`, `crate::{x, y::z}`, `super::` that leads there, `sidepass::x`.
fn used_modules(source: &Source) -> BTreeSet<String> {
    let up = "super::".repeat(source.path.split('/').count());
    let mut used = BTreeSet::new();
    for root in ["crate::", "sidepass::", up.as_str()] {
        for (at, _) in source.code.match_indices(root) {
            let before = source.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            used.extend(first_names(&source.code[at + root.len()..]));
        }
    }
    // Capitals are items of the root, not modules; `super::super` is met again at its own length.
    used.retain(|name| name.starts_with(char::is_lowercase) && !["super", "self"].contains(&name.as_str()));
    used
}

/// `x` of `x::y`, or `x` and `y` of `{x::{..}, y}`.
fn first_names(rest: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let (mut names, mut depth, mut fresh) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                names.push(word(&group[at..]));
                fresh = false;
            }
            _ => (),
        }
    }
    names
}

/// Whether the code names the crate at the front of a path: `name::` or `use name;`.
fn names_path(code: &str, name: &str) -> bool {
    word_places(code, name).any(|at| {
        let rest = code[at + name.len()..].trim_start();
        !code[..at].ends_with("::")
            && (rest.starts_with("::") || (code[..at].trim_end().ends_with("use") && !rest.is_empty()))
    })
}

fn has_word(code: &str, word: &str) -> bool {
    word_places(code, word).next().is_some()
}

fn word_places<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| !code[..*at].ends_with(part) && !code[at + word.len()..].starts_with(part))
}

/// The text with comments and the insides of literals as spaces; lines stay lines.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let length = literal_length(&text[at..], out.chars().next_back());
        if length == 0 {
            let c = text[at..].chars().next().unwrap();
            out.push(c);
            at += c.len_utf8();
        } else {
            out.extend(text[at..at + length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            at += length;
        }
    }
    out
}

/// How long the comment or literal is that starts here; 0 if none does.
fn literal_length(rest: &str, before: Option<char>) -> usize {
    let to = |found: Option<usize>, close: usize| found.map_or(rest.len(), |at| at + close);
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return to(rest.find('\n'), 0);
    }
    if rest.starts_with("/*") {
        return to(rest.find("*/"), 2);
    }
    if let (Some(raw), false) = (rest.trim_start_matches('b').strip_prefix('r'), in_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let open = rest.len() - raw.len() + hashes + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            return rest[open..].find(&close).map_or(rest.len(), |at| open + at + close.len());
        }
    }
    match rest.as_bytes()[0] {
        b'"' => quoted_length(rest, b'"'),
        b'\'' => {
            // A lifetime has no closing quote after one character.
            let character = rest[1..].chars().next().map_or(0, char::len_utf8);
            let closed =
                rest.as_bytes().get(1) == Some(&b'\\') || rest.as_bytes().get(1 + character) == Some(&b'\'');
            if closed { quoted_length(rest, b'\'') } else { 0 }
        }
        _ => 0,
    }
}

fn quoted_length(rest: &str, quote: u8) -> usize {
    let (bytes, mut at) = (rest.as_bytes(), 1);
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The code without the items under `#[cfg(test)]`.
fn cut_tests(code: &str) -> String {
    let (mut out, mut rest) = (String::new(), code);
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(['{', ';']).map_or(rest.len(), |open| match rest.as_bytes()[open] {
            b'{' => open + block_length(&rest[open..]),
            _ => open + 1,
        });
        rest = &rest[end..];
    }
    out + rest
}

fn block_length(block: &str) -> usize {
    let mut depth = 0;
    for (at, c) in block.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => (),
        }
    }
    block.len()
}
