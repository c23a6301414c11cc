//! The table as a whole: every file has a row and a line in docs/providers.md, and passes `check` as it stands.

use std::collections::BTreeSet;

use sidepass::app::App;
use sidepass::config::{ConfigFile, load};

use super::row::{folder, read, surroundings, write_files};
use super::{rows_a_to_f, rows_g_to_r, rows_s_to_z};

fn files() -> BTreeSet<String> {
    let names =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".yaml")).collect()
}

#[test]
fn every_example_has_a_row() {
    let rows = [rows_a_to_f::files(), rows_g_to_r::files(), rows_s_to_z::files()].concat();
    let rows: BTreeSet<String> = rows.into_iter().map(str::to_owned).collect();
    assert_eq!(files(), rows);
}

#[test]
fn every_example_passes_check_with_nothing_but_its_secrets_set() {
    let home = tempfile::tempdir().unwrap();
    write_files(home.path());
    for name in files() {
        let text = read(&name);
        let lines: Vec<&str> = text.lines().collect();
        let page = lines.iter().take(6).any(|line| line.starts_with("# https://"));
        assert!(lines[0].starts_with("# ") && page, "{name} says what it is, and names the provider's page");
        let file = ConfigFile { path: home.path().join(&name), text: text.clone() };
        let loaded = load(&[file], &surroundings(&text)).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(loaded.warnings.is_empty(), "{name}: {:?}", loaded.warnings);
        App::check(&loaded.config).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn every_example_is_in_the_documentation() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let page = std::fs::read_to_string(path).unwrap();
    let links = page
        .split("](../deploy/examples/providers/")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap().to_owned());
    assert_eq!(links.collect::<BTreeSet<_>>(), files());
}
