//! `sidepass check`: what `run` would do with the configuration, without starting anything.

use clap::Args;

use super::{Config, Failure, issuer, settings};
use crate::app::App;
use crate::config::Environment;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Ask nobody: leave out what the issuers of profiles say of themselves
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    config: Config,
}

pub(super) fn run(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let loaded = options.config.load(environment)?;
    let soon = App::check(&loaded.config)?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    for warning in soon {
        eprintln!("warning: {warning}");
    }
    let count = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let files: Vec<_> = options.config.files.iter().map(|file| file.display().to_string()).collect();
    println!(
        "{}: fine, {} and {}",
        files.join(", "),
        count(loaded.config.profiles.len(), "profile"),
        count(loaded.config.routes.len(), "route"),
    );
    for missing in settings::missing_headers(&loaded.config) {
        eprintln!("warning: {missing}");
    }
    let filled = loaded.config.profiles.iter().flat_map(settings::filled);
    filled.for_each(|line| println!("{line}"));
    if !options.offline {
        for (profile, answer) in issuer::ask(&loaded.config.profiles)? {
            match answer {
                Ok(metadata) => {
                    let name = &profile.name;
                    issuer::endpoints(&metadata).iter().for_each(|line| println!("profiles.{name}: {line}"));
                }
                // It may be reachable from where sidepass will run.
                Err(error) => eprintln!("warning: profiles.{}.issuer: {error}", profile.name),
            }
        }
    }
    Ok(())
}
