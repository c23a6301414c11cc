//! Profiles that sign in with another's token: each gets what it names, once all have been read.
//!
//! Invariant: whoever starts at a profile and goes to the one that comes first comes to an end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Name;
use super::profile::{Grant, OAuth2, ProfileConfig, ProfileKind, RefreshToken, SubjectToken};
use super::reader::{At, Fields, Read};

/// Fills in the first profiles; a circle, and one that cannot come first, become errors.
pub(crate) fn fill_in(fields: &Fields<'_>, profiles: &mut [Read<ProfileConfig>]) {
    let mut ready: BTreeMap<Name, Arc<ProfileConfig>> = BTreeMap::new();
    let mut broken: Vec<Name> = Vec::new();
    // Each round fills in those whose first profile was filled in the round before.
    loop {
        let before = ready.len() + broken.len();
        for read in profiles.iter_mut() {
            let Ok(profile) = read.as_mut() else { continue };
            if ready.contains_key(&profile.name) || broken.contains(&profile.name) {
                continue;
            }
            let name = profile.name.clone();
            match settle(fields, profile, &ready) {
                Settled::Ready => drop(ready.insert(name, Arc::new(profile.clone()))),
                Settled::Broken => broken.push(name),
                Settled::Later => {}
            }
        }
        if ready.len() + broken.len() == before {
            break;
        }
    }
    report_circles(fields, profiles, &ready, &broken);
}

enum Settled {
    Ready,
    Broken,
    /// Its first profile is not ready yet.
    Later,
}

fn settle(
    fields: &Fields<'_>,
    profile: &mut ProfileConfig,
    ready: &BTreeMap<Name, Arc<ProfileConfig>>,
) -> Settled {
    let ProfileKind::HttpLogin(login) = &mut profile.kind else { return Settled::Ready };
    let Some(first) = &mut login.first else { return Settled::Ready };
    let Some(found) = ready.get(&first.name) else { return Settled::Later };
    if let Some((why, hint)) = cannot_come_first(found) {
        report(fields, &profile.name, why, hint);
        return Settled::Broken;
    }
    first.profile = Some(Arc::clone(found));
    Settled::Ready
}

/// Why a profile cannot sign in for another.
fn cannot_come_first(profile: &ProfileConfig) -> Option<(&'static str, &'static str)> {
    let oauth2: &OAuth2 = profile.oauth2()?;
    if oauth2.dpop.is_some() {
        return Some((
            "the token of that profile is bound to a key (DPoP), and a login proves no key",
            "name a profile without `dpop`",
        ));
    }
    match &oauth2.grant {
        // Without a file, its refresh token is one that is never replaced.
        Grant::RefreshToken(RefreshToken { state_file: Some(_), .. }) | Grant::AuthorizationCode(_) => {
            Some((
                "that profile keeps a refresh token that changes, and only one profile can live on it",
                "name a profile of another type, or one whose refresh token is never replaced and needs no state_file",
            ))
        }
        Grant::TokenExchange(exchange) if matches!(exchange.subject, SubjectToken::Header(_)) => Some((
            "that profile has a token for each caller, and a login has no caller",
            "let its subject_token come from a file",
        )),
        _ => None,
    }
}

/// Whoever waits for itself. What only waits for those stays silent, and so does what waits for something broken.
fn report_circles(
    fields: &Fields<'_>,
    profiles: &[Read<ProfileConfig>],
    ready: &BTreeMap<Name, Arc<ProfileConfig>>,
    broken: &[Name],
) {
    let next: BTreeMap<&Name, &Name> = profiles
        .iter()
        .flatten()
        .filter(|profile| !ready.contains_key(&profile.name) && !broken.contains(&profile.name))
        .filter_map(|profile| match &profile.kind {
            ProfileKind::HttpLogin(login) => Some((&profile.name, &login.first.as_ref()?.name)),
            _ => None,
        })
        .collect();
    for start in next.keys() {
        let mut way = vec![*start];
        while let Some(name) = way.last().and_then(|last| next.get(last)) {
            way.push(name);
            if name == start || way.len() > next.len() + 1 {
                break;
            }
        }
        if way.len() > 1 && way.last() == Some(start) {
            let names: Vec<&str> = way.iter().map(|name| name.as_str()).collect();
            let why = format!("it comes round to itself: {}", names.join(" -> "));
            report(fields, start, why, "one of them must sign in by itself");
        }
    }
}

/// Reports a mistake of `profile:` of this profile.
fn report(fields: &Fields<'_>, name: &Name, why: impl Into<String>, hint: &str) {
    let entries = fields.get("profiles").map(At::entries);
    let Some(profile) = entries.into_iter().flatten().flatten().find(|at| at.key == name.as_str()) else {
        return;
    };
    let Ok(keys) = profile.entries() else { return };
    if let Some(at) = keys.iter().find(|at| at.key == "profile") {
        at.error_hint(why, hint);
    }
}
