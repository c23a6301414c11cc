//! TLS in front of a mock: it asks for a client certificate, and records whose.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) certificate: String,
    /// The key.
    pub(crate) key: String,
    der: CertificateDer<'static>,
}

impl Pair {
    /// A pair for this name, valid from `days.0` to `days.1` days from now.
    pub(crate) fn new(name: &str, days: (i64, i64)) -> Self {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let day = |days: i64| {
            let span = std::time::Duration::from_secs(days.unsigned_abs() * 86_400);
            let now = std::time::SystemTime::now();
            if days < 0 { now - span } else { now + span }
        };
        (params.not_before, params.not_after) = (day(days.0).into(), day(days.1).into());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    /// Writes both into a folder, as `tls.crt` and `tls.key`.
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::write(folder.join("tls.crt"), &self.certificate).unwrap();
        std::fs::write(folder.join("tls.key"), &self.key).unwrap();
    }
}

/// Whose certificate was shown, in order; only those that are let in count.
#[derive(Debug, Default)]
struct Door {
    let_in: Mutex<Vec<CertificateDer<'static>>>,
    shown: Mutex<Vec<CertificateDer<'static>>>,
}

/// TLS before a server that speaks clear text.
pub(crate) struct TlsFront {
    address: SocketAddr,
    folder: TempDir,
    door: Arc<Door>,
    _stop: oneshot::Sender<()>,
}

impl TlsFront {
    /// Before this address. Without a certificate, or with one that was not let in, nobody comes through.
    pub(crate) fn before(inner: SocketAddr) -> Self {
        let own = Pair::new("localhost", (-1, 30));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &own.certificate).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
            rcgen::KeyPair::from_pem(&own.key).unwrap().serialize_der(),
        ));
        let door = Arc::new(Door::default());
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(Arc::clone(&door) as Arc<dyn ClientCertVerifier>)
            .with_single_cert(vec![own.der], key)
            .unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let acceptor = TlsAcceptor::from(Arc::new(config));
                tokio::select! { () = accept(listener, acceptor, inner) => (), _ = stopped => () }
            });
        };
        std::thread::Builder::new().name("mock-tls".to_owned()).spawn(run).unwrap();
        Self { address, folder, door, _stop: stop }
    }

    /// `https://localhost:port`
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The file of the authority that vouches for it.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Lets the owner of this certificate through.
    pub(crate) fn let_in(&self, pair: &Pair) {
        self.door.let_in.lock().unwrap().push(pair.der.clone());
    }

    /// How often this certificate was shown.
    pub(crate) fn shown(&self, pair: &Pair) -> usize {
        self.door.shown.lock().unwrap().iter().filter(|shown| **shown == pair.der).count()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, inner: SocketAddr) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut outer) = acceptor.accept(stream).await else { return };
            let Ok(mut inner) = TcpStream::connect(inner).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
}

impl ClientCertVerifier for Door {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificate = certificate.clone().into_owned();
        if !self.let_in.lock().unwrap().contains(&certificate) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        self.shown.lock().unwrap().push(certificate);
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
