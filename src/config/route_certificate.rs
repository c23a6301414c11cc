//! `client_certificate` of a route: what it shows an upstream that asks who we are.

use super::ProfileConfig;
use super::profile::KeyPairConfig;
use super::profile_file::certified_pair;
use super::reader::{At, Read};
use super::url::Scheme;

/// Where the profile of a route stands.
#[derive(Clone, Copy)]
pub(crate) enum OfProfile<'a> {
    /// It has none.
    None,
    /// It has one that could not be read.
    Broken,
    /// This one.
    Sound(&'a ProfileConfig),
}

/// Reads `profile`, or a pair of the route's own.
pub(crate) fn client_certificate(
    at: &At<'_>,
    profile: OfProfile<'_>,
    scheme: Option<Scheme>,
) -> Read<Option<KeyPairConfig>> {
    if scheme == Some(Scheme::Http) {
        return Err(at.key_error(
            "a certificate is shown in TLS, and this upstream is http://",
            Some("write https://, or leave `client_certificate` out".to_owned()),
        ));
    }
    if at.map().is_some() {
        return certified_pair(at).map(Some);
    }
    at.choice(&[("profile", ())], "`profile`, or { certificate: …, private_key: … }")?;
    let hint = "key_pair: { certificate: { file: … }, private_key: { file: … } }";
    match profile {
        OfProfile::None => {
            Err(at.error_hint("this route has no profile", "write { certificate: …, private_key: … }"))
        }
        OfProfile::Broken => Ok(None),
        OfProfile::Sound(profile) => match profile.key_pair().filter(|pair| pair.certificate.is_some()) {
            Some(pair) => Ok(Some(pair.clone())),
            None => Err(at.error_hint(format!("profile `{}` has no certificate", profile.name), hint)),
        },
    }
}
