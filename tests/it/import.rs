//! `sidepass import`: every export of tests/fixtures/import as the command prints it, byte for byte; what is printed passes
//! `check`; no secret of an export gets out.
//!
//! `UPDATE_GOLDEN=1` writes the expected texts anew: `NAME.yaml` is standard output (missing: nothing may be printed),
//! `NAME.err` standard error.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::process::{Ended, folder_with, sidepass};
use crate::support::proxy::Variables;

/// Stands in every export where a secret does.
const SECRET: &str = "hunter2";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import")
}

/// The exports of a kind.
fn exports(kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

/// Runs the command where the export lies.
fn import(kind: &str, export: &Path) -> Ended {
    let name = export.file_name().unwrap().to_str().unwrap();
    sidepass(&["import", kind, name], &Variables::new(), export.parent().unwrap())
}

#[test]
fn every_export_becomes_what_is_written_beside_it() {
    let update = std::env::vars_os().any(|(name, _)| name == "UPDATE_GOLDEN");
    let mut wrong = Vec::new();
    for kind in ["cpi", "destination", "service-key", "vcap"] {
        for export in exports(kind) {
            let ended = import(kind, &export);
            let bad = export.file_stem().unwrap().to_str().unwrap().starts_with("bad_");
            assert_eq!(ended.code, i32::from(bad), "{}: {}", export.display(), ended.err);
            assert_eq!(ended.out.is_empty(), bad, "{}: {}", export.display(), ended.out);
            for text in [&ended.out, &ended.err] {
                assert!(!text.contains(SECRET), "{}: {text}", export.display());
            }
            for (extension, said) in [("yaml", &ended.out), ("err", &ended.err)] {
                let golden = export.with_extension(extension);
                if update && !said.is_empty() {
                    std::fs::write(&golden, said).unwrap();
                }
                let expected = std::fs::read_to_string(&golden).unwrap_or_default();
                if expected != *said {
                    wrong.push(format!("{}\n--- expected\n{expected}--- said\n{said}", golden.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A Google service-account key.
const GOOGLE: &str = r#"{"type": "service_account", "client_email": "robot@acme-1.iam.gserviceaccount.com",
    "private_key_id": "k1", "private_key": "KEY", "token_uri": "https://oauth2.googleapis.com/token"}"#;

/// The words behind a mark in a text.
fn words(text: &str, before: &str, part: fn(char) -> bool) -> BTreeSet<String> {
    text.split(before).skip(1).map(|rest| rest.chars().take_while(|c| part(*c)).collect()).collect()
}

/// What an import asks for: variables set, files written.
fn fill_in(yaml: &str, folder: &Path) -> Variables {
    let made = rcgen::generate_simple_self_signed(["robot".to_owned()]).unwrap();
    for file in words(yaml, "{ file: ", |c| c != ' ') {
        let text = match file.rsplit('.').next().unwrap() {
            "json" => GOOGLE.replace("KEY", &made.signing_key.serialize_pem().replace('\n', "\\n")),
            "crt" => made.cert.pem(),
            "key" => made.signing_key.serialize_pem(),
            _ => "header.payload.signature".to_owned(),
        };
        std::fs::write(folder.join(file), text).unwrap();
    }
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = words(yaml, "{ env: ", name).into_iter().chain(words(yaml, "'${", name));
    let names = names.chain(words(yaml, "https://${", name));
    let value = |name: &str| if name.ends_with("_URL") { "https://filled.example/" } else { "filled" };
    names.map(|name| (name.clone(), value(&name).to_owned())).collect()
}

#[test]
fn what_is_printed_passes_check_once_the_secrets_are_there() {
    let mut checked = 0;
    for kind in ["cpi", "destination", "service-key", "vcap"] {
        for export in exports(kind) {
            let yaml = import(kind, &export).out;
            if yaml.is_empty() {
                continue;
            }
            let (folder, file) = folder_with(&yaml);
            let variables = fill_in(&yaml, folder.path());
            let ended = sidepass(&["check", "--config", file.to_str().unwrap()], &variables, folder.path());
            assert_eq!(ended.code, 0, "{}: {}\n{yaml}", export.display(), ended.err);
            let secret = ended.err.contains("a secret stands in the file itself");
            assert!(!secret, "{}: {}", export.display(), ended.err);
            let incomplete = sidepass(&["check"], &Variables::new(), folder.path());
            assert_eq!(incomplete.code, if variables.is_empty() { 0 } else { 78 }, "{}", export.display());
            checked += 1;
        }
    }
    assert!(checked >= 12, "only {checked}");
}

/// Runs the command with this on standard input.
fn piped(arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sidepass"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may stop reading before the end.
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut pipe, &input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn an_export_may_come_from_standard_input_or_the_environment() {
    let export = std::fs::read(root().join("cpi/collection.json")).unwrap();
    let ended = piped(&["import", "cpi", "-"], &export);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(
        ended.out.contains("lms_admin_OAuth2:") && ended.out.contains("from standard input"),
        "{}",
        ended.out
    );

    let services = std::fs::read_to_string(root().join("vcap/services.json")).unwrap();
    let variables = Variables::from([("VCAP_SERVICES".to_owned(), services)]);
    let ended = sidepass(&["import", "vcap"], &variables, &std::env::temp_dir());
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("<<<\"$VCAP_SERVICES\"") && !ended.out.contains(SECRET), "{}", ended.out);
    let ended = sidepass(&["import", "vcap"], &Variables::new(), &std::env::temp_dir());
    assert!(ended.code == 1 && ended.err.contains("VCAP_SERVICES is not set"), "{}", ended.err);
}

#[test]
fn what_cannot_be_read_is_told_and_nothing_is_printed() {
    for (input, part) in [
        (vec![b' '; (1 << 20) + 1], "larger than 1 MiB"),
        (b"{\"a\": \"\xff\"}".to_vec(), "not UTF-8"),
        (b"".to_vec(), "empty"),
        (b"[".repeat(100_000), "nested too deeply"),
    ] {
        let ended = piped(&["import", "cpi", "-"], &input);
        assert!(ended.code == 1 && ended.out.is_empty() && ended.err.contains(part), "{part}: {}", ended.err);
    }
    let ended = sidepass(&["import", "cpi", "nowhere.json"], &Variables::new(), &std::env::temp_dir());
    assert!(ended.code == 1 && ended.err.contains("nowhere.json"), "{}", ended.err);
    for arguments in [&["import"][..], &["import", "cpi"], &["import", "frobnicate", "-"]] {
        let ended = sidepass(arguments, &Variables::new(), &std::env::temp_dir());
        assert_eq!(ended.code, 64, "{arguments:?}: {}", ended.err);
    }
}
