//! How a JWT is signed, as written: `client_assertion` with options, and `assertion`.

use std::time::Duration;

use super::super::form::{self, Kind};
use super::super::profile::{
    Algorithm, AssertionConfig, ContentType, JwtOptions, KeyPairConfig, Scope, Thumbprint,
};
use super::super::reader::{At, Fields, Keys, Read};
use super::super::scope;
use super::client;

/// What a JWT is signed with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signer {
    /// A shared secret.
    Secret,
    /// A private key.
    Key,
}

const OPTION_KEYS: Keys =
    Keys { known: &["algorithm", "key_id", "thumbprint", "audience", "lifetime"], aliases: OPTION_ALIASES };

const OPTION_ALIASES: &[(&str, &str)] = &[
    ("alg", "algorithm"),
    ("kid", "key_id"),
    ("x5t", "write thumbprint: x5t"),
    ("x5t#S256", "write thumbprint: x5t#S256"),
    ("aud", "audience"),
    ("ttl", "lifetime"),
    ("exp", "lifetime"),
    ("expires_in", "lifetime"),
    ("iss", "issuer"),
    ("sub", "subject"),
];

const ASSERTION_KEYS: Keys = Keys {
    known: &[
        "issuer",
        "subject",
        "audience",
        "scope",
        "claims",
        "algorithm",
        "key_id",
        "thumbprint",
        "lifetime",
    ],
    aliases: OPTION_ALIASES,
};

/// An assertion is used at once: it need not live longer.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How the client's own JWT is signed.
pub(super) fn client_jwt(fields: &Fields<'_>, signer: Signer) -> Read<JwtOptions> {
    match fields.get("client_assertion") {
        None => Ok(JwtOptions {
            algorithm: None,
            key_id: None,
            thumbprint: Thumbprint::None,
            audience: None,
            lifetime: LIFETIME,
        }),
        Some(at) => options(&at.fields(&OPTION_KEYS)?, signer, LIFETIME),
    }
}

fn options(fields: &Fields<'_>, signer: Signer, lifetime: Duration) -> Read<JwtOptions> {
    let algorithm = fields.optional("algorithm", |at| algorithm(at, signer));
    let key_id = fields.optional("key_id", |at| form::source(at, Kind::Plain));
    let thumbprint = fields.or("thumbprint", Thumbprint::None, |at| {
        at.choice(
            &[
                ("none", Thumbprint::None),
                ("x5t", Thumbprint::X5t),
                ("x5t#S256", Thumbprint::X5tS256),
                ("both", Thumbprint::Both),
            ],
            "`x5t`, `x5t#S256`, `both` or `none`",
        )
    });
    let audience = fields.optional("audience", |at| form::source(at, Kind::Plain));
    let lifetime = fields.or("lifetime", lifetime, At::some_time);
    Ok(JwtOptions {
        algorithm: algorithm?,
        key_id: key_id?,
        thumbprint: thumbprint?,
        audience: audience?,
        lifetime: lifetime?,
    })
}

/// A thumbprint is one of a certificate.
pub(super) fn certified(at: &At<'_>, jwt: &JwtOptions, key: &KeyPairConfig) -> Read<()> {
    match (jwt.thumbprint, &key.certificate) {
        (Thumbprint::None, _) | (_, Some(_)) => Ok(()),
        _ => Err(at.error_hint(
            "`thumbprint` is that of a certificate, and `key_pair` has none",
            "add it: key_pair: { certificate: { file: … }, private_key: { file: … } }",
        )),
    }
}

/// A JWS algorithm that fits what signs.
pub(super) fn algorithm(at: &At<'_>, signer: Signer) -> Read<Algorithm> {
    let words: Vec<_> = Algorithm::ALL.iter().map(|algorithm| (algorithm.as_str(), *algorithm)).collect();
    let found = at.choice(&words, "a name of RFC 7518, such as `RS256`, `PS256`, `ES256` or `EdDSA`")?;
    match (found.is_symmetric(), signer) {
        (true, Signer::Key) => Err(at.error_hint(
            format!("{} needs a shared secret, and here a private key signs", found.as_str()),
            "write RS256, PS256, ES256 or EdDSA",
        )),
        (false, Signer::Secret) => Err(at.error_hint(
            format!("{} needs a private key, and here the client secret signs", found.as_str()),
            "write HS256, HS384 or HS512, or set client_authentication: private_key_jwt",
        )),
        _ => Ok(found),
    }
}

/// A JWT that is a grant, or the token; signed with `key_pair`.
pub(super) fn assertion(fields: &Fields<'_>, lifetime: Duration) -> Read<AssertionConfig> {
    let key = fields.required("key_pair", client::key_pair);
    let own = fields.required("assertion", |at| at.fields(&ASSERTION_KEYS))?;
    let plain = |key: &str| own.optional(key, |at| form::source(at, Kind::Plain));
    let (issuer, subject) = (plain("issuer"), plain("subject"));
    let claims = own.or("claims", serde_json::Map::new(), scope::json_object);
    let scope = own.or("scope", None, |at| scope::scope(at, Ok(ContentType::Form), " "));
    let scope = scope.map(|scope| match scope {
        Some(Scope::Text(source)) => Some(source),
        _ => None,
    });
    let jwt = options(&own, Signer::Key, lifetime);
    if let (Ok(key), Ok(jwt)) = (&key, &jwt) {
        certified(&own.at, jwt, key)?;
    }
    Ok(AssertionConfig {
        key: key?,
        issuer: issuer?,
        subject: subject?,
        scope: scope?,
        claims: claims?,
        jwt: jwt?,
    })
}
