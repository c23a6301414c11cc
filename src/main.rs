//! The story of the process: arguments and environment in, an exit code out. Everything else is a command's.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Names and values that are no text cannot be meant for us.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    sidepass::cli::run(std::env::args_os(), &environment.collect())
}
