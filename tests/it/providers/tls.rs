//! TLS in front of a scripted server: it wants the certificate of the examples, and passes on what comes within.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// The server that `localhost` is.
pub(super) struct Front {
    address: SocketAddr,
    shown: Arc<AtomicUsize>,
    /// It ends with this.
    _stop: oneshot::Sender<()>,
}

/// A certificate for `localhost`, and what may come in.
pub(super) struct Identity {
    config: Arc<ServerConfig>,
    /// The file to trust.
    pub(super) authority: PathBuf,
}

impl Identity {
    /// Lets nobody in but whoever shows `tls.crt`.
    pub(super) fn new(home: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let authority = home.join("ca.pem");
        std::fs::write(&authority, made.cert.pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(home.join("tls.crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self { config: Arc::new(config), authority }
    }

    /// TLS in front of this server.
    pub(super) fn front(&self, behind: SocketAddr) -> Front {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel::<()>();
        let relay = relay(listener, TlsAcceptor::from(Arc::clone(&self.config)), behind, Arc::clone(&shown));
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = relay => {}
                    _ = stopped => {}
                }
            });
        });
        Front { address, shown, _stop: stop }
    }
}

/// Passes on what comes from whoever showed a certificate.
async fn relay(listener: TcpListener, acceptor: TlsAcceptor, behind: SocketAddr, shown: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shown) = (acceptor.clone(), Arc::clone(&shown));
        tokio::spawn(async move {
            let Ok(mut outer) = acceptor.accept(stream).await else { return };
            if outer.get_ref().1.peer_certificates().is_some() {
                shown.fetch_add(1, Ordering::SeqCst);
            }
            let mut inner = TcpStream::connect(behind).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
}

impl Front {
    /// `https://localhost:port`
    pub(super) fn origin(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// How many connections showed the certificate.
    pub(super) fn shown(&self) -> usize {
        self.shown.load(Ordering::SeqCst)
    }
}
