//! Which servers we trust, and how we speak TLS to them: the same for token services and upstreams.
//!
//! Invariant: every configuration names the aws-lc-rs provider itself, so none depends on a process-wide default.

pub mod failure;

use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};

/// Whose certificates are accepted.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The system's certificate authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), or, on a machine that has
    /// none, the ones that browsers trust, which are built in.
    System,
    /// Only the certificate authorities of this PEM text (`ca_file`).
    Pem(&'a [u8]),
    /// None at all: for a client that speaks clear text only.
    Nobody,
}

/// Our own certificate, and its key.
pub struct Identity {
    /// The certificate, and those that lead from it to an authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// What we show a server that asks who we are. It can be replaced: new connections show the new one.
#[derive(Clone, Debug)]
pub struct Presented(Arc<Current>);

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl Presented {
    /// Shows this certificate.
    pub fn new(identity: Identity) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Current(ArcSwap::new(certified(identity)?)))))
    }

    /// Shows this one from now on.
    pub fn replace(&self, identity: Identity) -> Result<(), TlsError> {
        self.0.0.store(certified(identity)?);
        Ok(())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Whatever authorities the server names: there is one certificate, and a server that does not want it says so.
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certified(identity: Identity) -> Result<Arc<CertifiedKey>, TlsError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(identity.chain, identity.key, &provider)
        .map(Arc::new)
        .map_err(|error| TlsError::Identity(error.to_string()))
}

/// The same trust and offer, and our certificate for a server that asks. No session is resumed: it would go on showing
/// the certificate of before.
pub fn presenting(config: &ClientConfig, presented: &Presented) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.client_auth_cert_resolver = Arc::clone(&presented.0) as Arc<dyn ResolvesClientCert>;
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Why no TLS configuration could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The PEM text is broken.
    #[error("is not a PEM file of certificates: {0}")]
    Pem(String),
    /// The PEM text holds no certificate.
    #[error("holds no certificate (`-----BEGIN CERTIFICATE-----`)")]
    NoCertificate,
    /// A certificate cannot be used as a trust anchor.
    #[error("holds a certificate that cannot be used: {0}")]
    Certificate(String),
    /// Our own certificate cannot be used.
    #[error("our certificate cannot be used: {0}")]
    Identity(String),
    /// The crypto provider and rustls do not agree on a protocol version; a fault of the build.
    #[error("cannot set up TLS: {0}")]
    Provider(String),
}

/// Sessions to resume, where everybody uses one configuration; room for them is made at once.
const SESSIONS: usize = 256;

/// The same where a configuration is made for one server: as many as rustls keeps of one.
const SESSIONS_OF_ONE: usize = 8;

/// A client configuration: TLS 1.2 and 1.3, ALPN `http/1.1` only. The system's, and nobody's, are made once and shared.
pub fn client_config(trust: Trust<'_>) -> Result<Arc<ClientConfig>, TlsError> {
    static SYSTEM: OnceLock<Result<Arc<ClientConfig>, TlsError>> = OnceLock::new();
    static NOBODY: OnceLock<Result<Arc<ClientConfig>, TlsError>> = OnceLock::new();
    match trust {
        Trust::System => SYSTEM.get_or_init(|| build(system_roots(), SESSIONS)).clone(),
        Trust::Pem(pem) => build(pem_roots(pem)?, SESSIONS_OF_ONE),
        Trust::Nobody => NOBODY.get_or_init(|| build(RootCertStore::empty(), 0)).clone(),
    }
}

/// What is offered in the handshake (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2, and nothing else.
    Http2,
    /// HTTP/2, or HTTP/1.1 where the server does not know it.
    Either,
}

/// The same trust, the same sessions to resume, another offer.
pub fn with_alpn(config: &ClientConfig, alpn: Alpn) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = match alpn {
        Alpn::Http2 => vec![b"h2".to_vec()],
        Alpn::Either => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Arc::new(config)
}

fn build(roots: RootCertStore, sessions: usize) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Provider(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = match sessions {
        0 => Resumption::disabled(),
        some => Resumption::in_memory_sessions(some),
    };
    Ok(Arc::new(config))
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "cannot read some of the system's certificate authorities");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "loaded the system's certificate authorities");
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        tracing::info!("the system has no certificate authorities; trusting the built-in ones");
    }
    roots
}

fn pem_roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| TlsError::Pem(error.to_string()))?;
        roots.add(certificate).map_err(|error| TlsError::Certificate(error.to_string()))?;
    }
    if roots.is_empty() { Err(TlsError::NoCertificate) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> String {
        rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn the_system_configuration_is_made_once_and_speaks_http_1() {
        let first = client_config(Trust::System).unwrap();
        assert!(Arc::ptr_eq(&first, &client_config(Trust::System).unwrap()));
        assert_eq!(first.alpn_protocols, [b"http/1.1"]);
    }

    #[test]
    fn several_authorities_in_one_file_are_all_taken() {
        let pem = format!("# the old one\n{}\n# the new one\n{}", authority(), authority());
        assert_eq!(pem_roots(pem.as_bytes()).unwrap().len(), 2);
        assert!(client_config(Trust::Pem(pem.as_bytes())).is_ok());
    }

    #[test]
    fn a_file_without_a_usable_certificate_is_refused() {
        assert_eq!(client_config(Trust::Pem(b"")).unwrap_err(), TlsError::NoCertificate);
        let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(matches!(client_config(Trust::Pem(broken.as_bytes())), Err(TlsError::Pem(_))));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(client_config(Trust::Pem(nonsense.as_bytes())), Err(TlsError::Certificate(_))));
    }
}
