//! A private key and its certificate: read together, checked against each other, and kept while a new pair is no pair.
//!
//! Invariant: a key and a certificate that do not belong together never leave this file.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use humantime::format_rfc3339_seconds as date;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::Certificate;
use super::error::{FetchError, FetchErrorCode};
use super::sign::{self, KeyError, SigningKey};
use crate::config::SecretSource;
use crate::config::profile::{Algorithm, KeyPairConfig, ProfileConfig};
use crate::secret::Secret;
use crate::tls::Identity;

/// A certificate that has less than this to live is worth a warning, unless a fifth of its life is less: some live an hour
/// and are renewed long before.
const SOON: Duration = Duration::from_secs(24 * 60 * 60);

/// A private key, with its certificates if there are any.
pub struct KeyPair {
    private: PrivateKeyDer<'static>,
    /// Ours first.
    chain: Vec<CertificateDer<'static>>,
    leaf: Option<Certificate>,
}

/// Why a pair cannot be used; names the sources, and holds nothing of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyPairError {
    /// A file cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// What was read is no pair, or cannot be used (any more, or yet).
    #[error("{0}")]
    Unusable(String),
}

impl KeyPair {
    /// Reads the pair as it is now. Its certificate may have expired: see [`Self::valid_at`].
    pub fn read(config: &KeyPairConfig) -> Result<Self, KeyPairError> {
        Self::parse(config, &Texts::read(config)?)
    }

    fn parse(config: &KeyPairConfig, texts: &Texts) -> Result<Self, KeyPairError> {
        let key = &config.private_key;
        let unfit = |error: KeyError| KeyPairError::Unusable(format!("{key} {error}"));
        let private = sign::private_key(texts.private_key.expose()).map_err(unfit)?;
        let public = SigningKey::from_der(&private, None).map_err(unfit)?;
        let (Some(source), Some(text)) = (&config.certificate, &texts.certificate) else {
            return Ok(Self { private, chain: Vec::new(), leaf: None });
        };
        let mut chain = certificates(source, text)?;
        let read = |certificate: &CertificateDer<'_>| {
            Certificate::parse(certificate).map_err(|_| {
                KeyPairError::Unusable(format!("{source} holds a certificate that cannot be read"))
            })
        };
        let all = chain.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let own = all.into_iter().enumerate().find(|(_, one)| Some(one.spki.as_slice()) == public.spki_der());
        let Some((index, leaf)) = own else {
            return Err(KeyPairError::Unusable(format!(
                "the certificate ({source}) was made for another key than the one that is here ({key}): they are a pair, \
                 and change together"
            )));
        };
        // A server wants ours first (RFC 8446 §4.4.2), whatever the file's order.
        chain[..=index].rotate_right(1);
        Ok(Self { private, chain, leaf: Some(leaf) })
    }

    /// Whether its certificate, if it has one, is valid then.
    pub fn valid_at(&self, now: SystemTime) -> Result<(), KeyPairError> {
        let Some(leaf) = &self.leaf else { return Ok(()) };
        let whose = leaf.common_name.as_deref().map_or_else(String::new, |name| format!(" of {name}"));
        if now > leaf.not_after {
            return Err(KeyPairError::Unusable(format!(
                "the certificate{whose} expired at {}: put a new one in its place",
                date(leaf.not_after)
            )));
        }
        if now < leaf.not_before {
            return Err(KeyPairError::Unusable(format!(
                "the certificate{whose} is not valid before {}, and here it is {}: is the clock right?",
                date(leaf.not_before),
                date(now)
            )));
        }
        Ok(())
    }

    /// When its certificate expires, if that is soon: within a day, and within the last fifth of its life.
    pub fn expires_soon(&self, now: SystemTime) -> Option<SystemTime> {
        let leaf = self.leaf.as_ref()?;
        let life = leaf.not_after.duration_since(leaf.not_before).unwrap_or_default();
        (now + SOON.min(life / 5) > leaf.not_after).then_some(leaf.not_after)
    }

    /// Our certificate.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.leaf.as_ref()
    }

    /// The key, to sign with.
    pub fn signing_key(&self, algorithm: Option<Algorithm>) -> Result<SigningKey, KeyError> {
        SigningKey::from_der(&self.private, algorithm)
    }

    /// The pair, to show in TLS; none without a certificate.
    pub fn identity(&self) -> Option<Identity> {
        self.leaf.as_ref()?;
        Some(Identity { chain: self.chain.clone(), key: self.private.clone_key() })
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

fn certificates(source: &SecretSource, text: &Secret) -> Result<Vec<CertificateDer<'static>>, KeyPairError> {
    let unusable = |what: &str| KeyPairError::Unusable(format!("{source} {what}"));
    let chain = CertificateDer::pem_slice_iter(text.expose().as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable("is a damaged PEM text: is it complete, with every line break?"))?;
    match chain.is_empty() {
        true => Err(unusable("holds no certificate (`-----BEGIN CERTIFICATE-----`)")),
        false => Ok(chain),
    }
}

/// What the sources of a pair hold.
struct Texts {
    certificate: Option<Secret>,
    private_key: Secret,
}

impl Texts {
    fn read(config: &KeyPairConfig) -> Result<Self, KeyPairError> {
        let read = |source: &SecretSource| pem_text(source).map_err(KeyPairError::Unreadable);
        Ok(Self {
            certificate: config.certificate.as_ref().map(read).transpose()?,
            private_key: read(&config.private_key)?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for text in self.certificate.iter().chain([&self.private_key]) {
            context.update(text.expose().as_bytes());
            context.update(b"\0");
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// A PEM text as of now. Variables and JSON members often hold it on one line, with `\n` for its line breaks.
pub fn pem_text(source: &SecretSource) -> Result<Secret, String> {
    let text = source.read_text().map_err(|error| error.0)?;
    match text.expose().contains("\\n") {
        true => Ok(Secret::new(text.expose().replace("\\r", "").replace("\\n", "\n"))),
        false => Ok(text),
    }
}

/// The pair of a profile or a route, read again whenever it is asked for. A new pair that cannot be used leaves the one
/// before in force, and is told once.
#[derive(Debug)]
pub struct HeldPair {
    config: Option<KeyPairConfig>,
    /// For the log: `profiles.x`.
    owner: String,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    pair: Arc<KeyPair>,
    digest: [u8; 32],
    /// Whether it was told that it expires soon.
    warned: bool,
    /// What was refused last, so that it is told once.
    refused: Option<Refused>,
}

#[derive(Debug, PartialEq, Eq)]
struct Refused {
    digest: Option<[u8; 32]>,
    error: KeyPairError,
}

impl HeldPair {
    /// The pair of a profile, if it has one; nothing is read yet.
    pub fn of(profile: &ProfileConfig) -> Self {
        Self::new(format!("profiles.{}", profile.name), profile.key_pair().cloned())
    }

    /// The pair of this configuration, if there is one; nothing is read yet.
    pub fn new(owner: String, config: Option<KeyPairConfig>) -> Self {
        Self { config, owner, held: Mutex::new(None) }
    }

    /// The pair as it is now, with a certificate that is valid.
    pub fn current(&self, now: SystemTime) -> Result<Arc<KeyPair>, KeyPairError> {
        let config = self.config.as_ref();
        let config = config.ok_or_else(|| KeyPairError::Unusable("there is no key_pair".to_owned()))?;
        let texts = Texts::read(config);
        let digest = texts.as_ref().ok().map(Texts::digest);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_mut().filter(|held| Some(held.digest) == digest) {
            held.refused = None;
            self.warn_if_soon(held, now);
            return held.pair.valid_at(now).map(|()| Arc::clone(&held.pair));
        }
        let read = texts.and_then(|texts| {
            let pair = KeyPair::parse(config, &texts)?;
            pair.valid_at(now).map(|()| (Arc::new(pair), texts.digest()))
        });
        match (read, held.as_mut()) {
            (Ok((pair, digest)), before) => {
                if before.is_some() {
                    tracing::info!(owner = self.owner, "the key pair has changed");
                }
                let new = held.insert(Held { pair, digest, warned: false, refused: None });
                self.warn_if_soon(new, now);
                Ok(Arc::clone(&new.pair))
            }
            (Err(error), Some(before)) if before.pair.valid_at(now).is_ok() => {
                let refused = Some(Refused { digest, error });
                if before.refused != refused {
                    if let Some(Refused { error, .. }) = &refused {
                        tracing::warn!(owner = self.owner, "keeping the key pair of before: {error}");
                    }
                    before.refused = refused;
                }
                Ok(Arc::clone(&before.pair))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Says once for each certificate that it expires soon.
    fn warn_if_soon(&self, held: &mut Held, now: SystemTime) {
        if let Some(end) = held.pair.expires_soon(now).filter(|_| !held.warned) {
            tracing::warn!(owner = self.owner, "the certificate expires at {}", date(end));
            held.warned = true;
        }
    }
}

/// Whether the keys of a profile can be used: that a pair is one, that its certificate is valid, and that each key fits the
/// algorithms that it is to sign with. Says if the certificate expires within a day.
pub fn check(profile: &ProfileConfig, now: SystemTime) -> Result<Option<String>, String> {
    if let Some(dpop) = profile.oauth2().and_then(|oauth2| oauth2.dpop.as_ref())
        && let Some(source) = &dpop.private_key
    {
        let text = pem_text(source).map_err(|error| format!("dpop.private_key: {error}"))?;
        SigningKey::from_pem(text.expose(), dpop.algorithm)
            .map_err(|error| format!("dpop.private_key {error}"))?;
    }
    let Some(config) = profile.key_pair() else { return Ok(None) };
    let named = |error: &dyn fmt::Display| format!("key_pair: {error}");
    let pair = KeyPair::read(config).map_err(|error| named(&error))?;
    pair.valid_at(now).map_err(|error| match &config.certificate {
        Some(source) => named(&format_args!("{source}: {error}")),
        None => named(&error),
    })?;
    profile.signs_with().into_iter().try_for_each(|algorithm| {
        let private = &config.private_key;
        pair.signing_key(algorithm)
            .map(|_| ())
            .map_err(|error| named(&format_args!("{private}: the private key {error}")))
    })?;
    Ok(pair.expires_soon(now).map(|end| format!("key_pair: the certificate expires at {}", date(end))))
}

impl From<KeyPairError> for FetchError {
    fn from(error: KeyPairError) -> Self {
        let code = match error {
            KeyPairError::Unreadable(_) => FetchErrorCode::SecretUnreadable,
            KeyPairError::Unusable(_) => FetchErrorCode::RequestInvalid,
        };
        FetchError::new(code, format!("key_pair: {error}"))
    }
}

#[cfg(test)]
mod tests;
