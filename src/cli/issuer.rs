//! What the issuers of profiles say of themselves, for commands that show it.

use std::sync::Arc;
use std::time::Duration;

use super::{Failure, small_runtime};
use crate::config::ProfileConfig;
use crate::token::discovery::{self, Metadata};
use crate::token::error::FetchError;

/// How long a command waits for all issuers together.
const PATIENCE: Duration = Duration::from_secs(5);

/// A profile, and what came of asking its issuer.
pub(super) type Asked<'a> = (&'a ProfileConfig, Result<Metadata, FetchError>);

/// Asks the issuers of these profiles, all at once; a profile that has none is left out.
pub(super) fn ask<'a>(
    profiles: impl IntoIterator<Item = &'a ProfileConfig>,
) -> Result<Vec<Asked<'a>>, Failure> {
    let with_issuer: Vec<_> = profiles.into_iter().filter(|profile| profile.issuer().is_some()).collect();
    if with_issuer.is_empty() {
        return Ok(Vec::new());
    }
    let runtime = small_runtime()?;
    let answers = runtime.block_on(async {
        let looks: Vec<_> = with_issuer
            .iter()
            .map(|profile| {
                let profile = Arc::new((*profile).clone());
                tokio::spawn(async move { discovery::look_up(&profile, PATIENCE).await })
            })
            .collect();
        let mut answers = Vec::with_capacity(looks.len());
        for look in looks {
            answers.push(look.await);
        }
        answers
    });
    // A name resolution that hangs must not hold the command up.
    runtime.shutdown_background();
    let answers = with_issuer
        .into_iter()
        .zip(answers)
        .filter_map(|(profile, answer)| Some((profile, answer.ok()?.transpose()?)));
    Ok(answers.collect())
}

/// The endpoints, a line each; one on another host than the issuer says so.
pub(super) fn endpoints(metadata: &Metadata) -> Vec<String> {
    let elsewhere = if metadata.is_elsewhere() { " (on another host than the issuer)" } else { "" };
    // A query may hold a key.
    let mut lines = vec![format!("token endpoint {:?}{elsewhere}", metadata.token_endpoint)];
    lines.extend(metadata.authorization_endpoint.iter().map(|url| format!("authorization endpoint {url:?}")));
    lines
}
