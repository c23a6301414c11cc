//! `sidepass token PROFILE`: gets a token as the proxy would, and shows everything but the token.

use std::sync::Arc;

use clap::Args;

use super::{Config, Failure, issuer, small_runtime};
use crate::clock::Clock;
use crate::config::{Environment, ProfileConfig};
use crate::profile;
use crate::token::{AccessToken, LifetimeFrom, jwt};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The profile's name
    profile: String,
    /// Print the token itself (to stdout; the rest goes to stderr)
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    config: Config,
}

pub(super) fn run(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let profile = options.config.profile(&options.profile, environment)?;
    let clock = Clock::system();
    let fetched = small_runtime()?.block_on(profile::fetch_once(Arc::new(profile.clone()), clock.clone()));
    let token = fetched.map_err(|error| {
        Failure::new(format!(
            "profile    {}\nstate      failed: {}\nreason     {error}",
            profile.name,
            error.code.as_str()
        ))
    })?;
    let mut text = describe(&profile, &token, &clock);
    for (_, answer) in issuer::ask([&profile])? {
        match answer {
            Ok(metadata) => {
                issuer::endpoints(&metadata)
                    .iter()
                    .for_each(|line| text.push_str(&format!("issuer       {line}\n")));
            }
            Err(error) => text.push_str(&format!("issuer       {error}\n")),
        }
    }
    if options.reveal {
        eprint!("{text}");
        println!("{}", token.text.expose());
    } else {
        print!("{text}");
    }
    Ok(())
}

fn describe(profile: &ProfileConfig, token: &AccessToken, clock: &Clock) -> String {
    let (issued, expires) = (token.issued_at, token.expires_at());
    let when = |moment: crate::clock::Moment| humantime::format_rfc3339_seconds(moment.wall());
    let whole = |span: std::time::Duration| {
        humantime::format_duration(std::time::Duration::from_secs(span.as_secs()))
    };
    let claims = jwt::claims(token.text.expose());
    let kind = if claims.is_some() { "JWT" } else { "opaque" };
    let life = match token.lifetime_from {
        LifetimeFrom::Never => "expires      never\n".to_owned(),
        from => format!(
            "expires      {} (in {})\nlifetime     {} (from {})\n",
            when(expires),
            whole(expires.remaining(clock.now())),
            whole(token.lifetime),
            from.as_str(),
        ),
    };
    let mut text = format!(
        "profile      {}\nstate        valid\nfingerprint  {}\nkind         {kind}, {} bytes\nissued       {}\n{life}",
        profile.name,
        token.fingerprint(),
        token.text.expose().len(),
        when(issued),
    );
    if let Some(key) = &token.key {
        text.push_str(&format!("bound to     {} (DPoP, the key's thumbprint)\n", key.thumbprint()));
    }
    if let Some(claims) = claims {
        text.push_str("claims (not verified)\n");
        for (name, value) in claims {
            text.push_str(&format!("  {name}: {value}\n"));
        }
    }
    text
}
