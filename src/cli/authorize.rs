//! `sidepass authorize PROFILE`: consent in a browser, once; what comes of it is kept in the profile's state file.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::{Config, Failure, small_runtime};
use crate::clock::Clock;
use crate::config::Environment;
use crate::token::authorize::{AuthorizeError, Authorized, Consent};
use crate::token::state_file::Delivery;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The profile's name
    profile: String,
    /// Only print the address of the page; open no browser
    #[arg(long)]
    no_browser: bool,
    /// How long to wait for consent
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    config: Config,
}

pub(super) fn run(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let profile = options.config.profile(&options.profile, environment)?;
    let work = async {
        let consent = Consent::prepare(Arc::new(profile), Clock::system()).await?;
        invite(&consent, options, environment);
        consent.complete(options.timeout).await
    };
    let authorized: Result<Authorized, AuthorizeError> = small_runtime()?.block_on(work);
    let Authorized { state_file, delivery } = authorized
        .map_err(|error| Failure::new(format!("profile {} is not authorized: {error}", options.profile)))?;
    let state_file = state_file.display();
    match delivery {
        Delivery::Kept => eprintln!("authorized; the refresh token is kept in {state_file}"),
        Delivery::Offered => {
            eprintln!(
                "authorized; the sidepass that owns {state_file} takes the refresh token within two seconds"
            );
        }
    }
    Ok(())
}

/// Says what to do: the address to standard output, so that a script can take it, the rest beside it.
fn invite(consent: &Consent, options: &Options, environment: &Environment) {
    let (address, port) = (consent.address(), consent.address().port());
    let opened = !options.no_browser && open_browser(consent.url(), environment);
    eprintln!(
        "{}",
        if opened { "A browser opens this page; if it does not:" } else { "Open this page in a browser:" }
    );
    println!("{}", consent.url());
    eprintln!(
        "Waiting {} for its answer on http://{address}/callback\n\
         If the browser runs on another machine, forward the port from there first:\n  \
         ssh -L {port}:127.0.0.1:{port} <this machine>",
        humantime::format_duration(options.timeout),
    );
}

/// Opens a page where there is a screen. Other users of this machine may see its address: it holds no secret.
fn open_browser(url: &str, environment: &Environment) -> bool {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| environment.get(*name).is_some_and(|v| !v.is_empty()));
    if !screen && !cfg!(target_os = "macos") {
        return false;
    }
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}
