//! What the documentation says is true: every YAML of it passes `check`, every setting, code and metric of the program is
//! in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sidepass::app::App;
use sidepass::config::{ConfigFile, Environment, load};
use sidepass::error::ProxyError;
use sidepass::metrics::Metrics;
use sidepass::token::error::FetchErrorCode;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML text from the documentation and where it stands.
struct Snippet {
    place: String,
    text: String,
}

/// The fenced YAML blocks of a Markdown file.
fn fenced(path: &str) -> Vec<Snippet> {
    let text = read(path);
    let mut blocks = text.split("```yaml\n").skip(1);
    let block = |(number, rest): (usize, &str)| Snippet {
        place: format!("{path}, yaml block {}", number + 1),
        text: rest.split("```").next().unwrap().to_owned(),
    };
    blocks.by_ref().enumerate().map(block).collect()
}

/// The proxy.yaml in the ConfigMaps of a manifest.
fn config_maps(path: &str) -> Vec<Snippet> {
    let text = read(path);
    let maps = text.split("\n  proxy.yaml: |\n").skip(1).enumerate();
    maps.map(|(number, rest)| {
        let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
        let text = lines.map(|line| line.get(4..).unwrap_or("")).collect::<Vec<_>>().join("\n");
        Snippet { place: format!("{path}, proxy.yaml {}", number + 1), text }
    })
    .collect()
}

fn snippets() -> Vec<Snippet> {
    let whole = |path: &str| Snippet { place: path.to_owned(), text: read(path) };
    let mut snippets = vec![whole("proxy.yaml"), whole("deploy/compose/proxy.yaml"), of_help()];
    for path in [
        "README.md",
        "docs/configuration.md",
        "docs/presets.md",
        "docs/operation.md",
        "docs/design.md",
        "deploy/README.md",
    ] {
        snippets.extend(fenced(path));
    }
    for entry in std::fs::read_dir(root().join("deploy/kubernetes")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        snippets.extend(config_maps(&format!("deploy/kubernetes/{name}")));
    }
    snippets
}

/// The example that `--help` teaches with.
fn of_help() -> Snippet {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_sidepass")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let example = help.split("as short as this:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let text = example.lines().map(|line| line.get(2..).unwrap_or("")).collect::<Vec<_>>().join("\n");
    Snippet { place: "sidepass --help".to_owned(), text }
}

/// Every variable that a snippet names, set to something; every secret file that it names, written below `folder`.
fn surroundings(text: &str, folder: &Path) -> (String, Environment) {
    let words = |before: &str| -> BTreeSet<String> {
        let after = text.split(before).skip(1);
        after
            .map(|rest| {
                rest.split(|c: char| !(c.is_alphanumeric() || "_-./".contains(c))).next().unwrap().to_owned()
            })
            .collect()
    };
    let mut environment: Environment =
        words("env: ").into_iter().map(|name| (name, "something".to_owned())).collect();
    environment.insert("CREDENTIALS_DIRECTORY".to_owned(), folder.display().to_string());
    let mut text = text.to_owned();
    for (number, path) in words("{ file: ").into_iter().enumerate() {
        let there = folder.join(format!("secret-{number}"));
        std::fs::write(&there, content_of(&path)).unwrap();
        text = text.replace(&format!("{{ file: {path} }}"), &format!("{{ file: {} }}", there.display()));
    }
    (text, environment)
}

/// What a file of this name holds.
fn content_of(path: &str) -> String {
    let fixture = |name: &str| read(&format!("tests/fixtures/keys/{name}"));
    let client =
        |secret: &str| format!(r#"{{"url":"https://a.example","clientid":"a","clientsecret":"{secret}"}}"#);
    match path.rsplit_once('.') {
        Some((_, "key")) => fixture("p256.pem"),
        Some((_, "crt")) => fixture("p256-cert.pem"),
        Some((name, "json")) if name.contains("google") => serde_json::json!({
            "type": "service_account", "client_email": "a@b.example", "private_key": fixture("rsa.pem"),
        })
        .to_string(),
        Some((_, "json")) => client("something"),
        _ => "something\n".to_owned(),
    }
}

#[test]
fn every_configuration_in_the_documentation_passes_check() {
    let folder = tempfile::tempdir().unwrap();
    let snippets = snippets();
    assert!(snippets.len() >= 7, "too few were found: {}", snippets.len());
    for Snippet { place, text } in snippets {
        let (text, environment) = surroundings(&text, folder.path());
        let file = ConfigFile { path: PathBuf::from(&place), text };
        let loaded = load(&[file], &environment).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(loaded.warnings.is_empty(), "{place}: {:?}", loaded.warnings);
        App::check(&loaded.config).unwrap_or_else(|error| panic!("{place}: {error}"));
    }
}

#[test]
fn a_broken_snippet_would_be_found() {
    let folder = tempfile::tempdir().unwrap();
    let (text, environment) = surroundings("routes:\n  a:\n    upstreem: https://x.example\n", folder.path());
    assert!(load(&[ConfigFile { path: "x".into(), text }], &environment).is_err());
}

#[test]
fn every_reason_code_and_metric_is_documented() {
    let documented = read("docs/operation.md");
    let named =
        |name: &str| documented.contains(&format!("`{name}`")) || documented.contains(&format!("`{name}{{"));
    for (reason, status) in ProxyError::reasons() {
        let line = documented.lines().find(|line| line.contains(&format!("`{reason}`")));
        let line = line.unwrap_or_else(|| panic!("reason {reason} is not in docs/operation.md"));
        assert!(line.starts_with(&format!("| {status} |")), "{reason} is {status}: {line}");
    }
    for code in FetchErrorCode::ALL {
        assert!(named(code.as_str()), "{} is not in docs/operation.md", code.as_str());
    }
    let metrics = Metrics::new().unwrap();
    metrics.route("a").unwrap();
    metrics.profile("a");
    metrics.injection_failures("a");
    let page = String::from_utf8(metrics.render()).unwrap();
    for name in page.lines().filter_map(|line| line.strip_prefix("# TYPE sidepass_")) {
        let name = format!("sidepass_{}", name.split(' ').next().unwrap());
        assert!(named(&name), "{name} is not in docs/operation.md");
    }
}

/// The keys that a source file knows, as its lists of `known` keys have them.
fn known_keys(source: &str) -> BTreeSet<String> {
    let lists = source.split("known: &[").skip(1);
    let keys = lists.flat_map(|list| list.split(']').next().unwrap().split('"').skip(1).step_by(2));
    keys.map(str::to_owned).collect()
}

/// The words within code of Markdown: fenced blocks, and what stands between backticks.
fn words_of_code(text: &str) -> BTreeSet<&str> {
    let code = text.split('`').skip(1).step_by(2);
    code.flat_map(|code| code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))).collect()
}

/// The part of docs/configuration.md from this heading to that one.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n## {from}\n")).unwrap();
    rest.split_once(&format!("\n## {to}\n")).unwrap().0
}

#[test]
fn every_setting_is_documented() {
    let page = read("docs/configuration.md");
    let profiles = part(&page, "profiles.NAME", "secure_parameters");
    let routes = part(&page, "routes.NAME", "proxy");
    let servers = part(&page, "proxy", "Examples");
    let form = page.split_once("\n## profiles.NAME\n").unwrap().0;
    let mut seen = 0;
    for (file, section) in sources() {
        let documented = words_of_code(match section {
            Section::Profiles => profiles,
            Section::Routes => routes,
            Section::Servers => servers,
            Section::Values => form,
            Section::Anywhere => &page,
        });
        for key in known_keys(&std::fs::read_to_string(&file).unwrap()) {
            seen += 1;
            assert!(documented.contains(key.as_str()), "{}: `{key}` is not documented", file.display());
        }
    }
    assert!(seen >= 130, "only {seen} keys were found");
}

/// Where the keys of a file are documented.
enum Section {
    Profiles,
    Routes,
    Servers,
    Values,
    Anywhere,
}

/// The files that read a configuration.
fn sources() -> Vec<(PathBuf, Section)> {
    let folder = root().join("src/config");
    let files = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = files(folder.clone()).filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let sections = named.map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let section = match &*name {
            "parameters" => Section::Profiles,
            "server_file" | "limits_file" => Section::Servers,
            "form" => Section::Values,
            name if name.starts_with("route") => Section::Routes,
            _ => Section::Anywhere,
        };
        (path, section)
    });
    let profiles = files(folder.join("profile_file")).filter(|path| path.is_file());
    sections.chain(profiles.map(|path| (path, Section::Profiles))).collect()
}

#[test]
fn every_file_that_the_documentation_names_is_there() {
    let mut seen = 0;
    for page in
        ["README.md", "docs/configuration.md", "docs/operation.md", "docs/design.md", "docs/providers.md"]
    {
        let text = read(page);
        let code = text.split('`').skip(1).step_by(2);
        let files = code.filter(|code| code.starts_with("src/") || code.starts_with("tests/"));
        // A command is named with its arguments.
        let files = files.map(|code| root().join(code.split(' ').next().unwrap()));
        let links = text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap());
        let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
        let links = links.map(|link| root().join(page).parent().unwrap().join(link));
        for path in files.chain(links) {
            seen += 1;
            assert!(path.exists(), "{page} names {}", path.display());
        }
    }
    assert!(seen >= 100, "only {seen} files are named");
}
