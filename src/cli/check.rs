//! `sidepass check`: what `run` would do with the configuration, without starting anything.

use super::{Config, Failure};
use crate::app::App;
use crate::config::Environment;

pub(super) fn run(config: &Config, environment: &Environment) -> Result<(), Failure> {
    let loaded = config.load(environment)?;
    App::check(&loaded.config)?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    let count = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let files: Vec<_> = config.files.iter().map(|file| file.display().to_string()).collect();
    println!(
        "{}: fine, {} and {}",
        files.join(", "),
        count(loaded.config.profiles.len(), "profile"),
        count(loaded.config.routes.len(), "route"),
    );
    Ok(())
}
