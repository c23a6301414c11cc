//! TLS to the upstream: which protocol is chosen, which name is asked for, where it connects.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sidepass::config::route::{HostPort, Http2, RouteConfig};
use tempfile::TempDir;

use crate::support::http2::{Http2Upstream, Manners};
use crate::support::rig::Rig;
use crate::support::setup::Setup;

/// A certificate for a name, and the file of the authority that vouches for it.
struct Identity {
    config: ServerConfig,
    folder: TempDir,
}

impl Identity {
    fn of(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        Self { config, folder }
    }

    fn upstream(&self, protocols: &[&str]) -> Http2Upstream {
        self.upstream_with(protocols, Manners::default())
    }

    fn upstream_with(&self, protocols: &[&str], manners: Manners) -> Http2Upstream {
        let mut config = self.config.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Http2Upstream::start(Manners { tls: Some(Arc::new(config)), ..manners })
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

/// A rig whose route leads to `url`, and connects to `address`.
fn rig(
    url: &str,
    address: SocketAddr,
    identity: &Identity,
    adjust: impl FnOnce(&mut RouteConfig) + 'static,
) -> Rig {
    let authority = identity.authority();
    Setup::new()
        .variable("UPSTREAM", url)
        .adjust(move |config| {
            let route = &mut config.routes[0];
            route.ca_file = Some(authority);
            route.connect_to = Some(HostPort { host: "127.0.0.1".to_owned(), port: address.port() });
            adjust(route);
        })
        .start()
}

// G 28 (B7)
#[test]
fn name_and_host_are_the_upstream_s_wherever_the_connection_goes() {
    let identity = Identity::of("api.test");
    for (protocols, version) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"][..], "HTTP/1.1")] {
        let upstream = identity.upstream(protocols);
        let rig = rig("https://api.test", upstream.address(), &identity, |_| {});
        for _ in 0..3 {
            assert_eq!(rig.get("/x").status, 200);
        }
        for seen in upstream.seen() {
            assert!(seen.head.ends_with(version), "{}", seen.head);
            assert_eq!((seen.sni.as_deref(), seen.authority.as_str()), (Some("api.test"), "api.test"));
        }
        assert_eq!((upstream.seen().len(), upstream.connections()), (3, 1));
    }
}

// G 28 (B7)
#[test]
fn the_name_in_tls_can_be_another_one() {
    let identity = Identity::of("inner.test");
    let upstream = identity.upstream(&["h2"]);
    let rig = rig("https://api.test:8443", upstream.address(), &identity, |route| {
        route.server_name = Some("inner.test".to_owned());
    });
    assert_eq!(rig.get("/").status, 200);
    let seen = upstream.seen().remove(0);
    assert_eq!((seen.sni.as_deref(), seen.authority.as_str()), (Some("inner.test"), "api.test:8443"));
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let identity = Identity::of("inner.test");
    let upstream = identity.upstream(&["h2", "http/1.1"]);
    let rig = rig("https://api.test", upstream.address(), &identity, |_| {});
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_tls"));
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_route_can_insist_on_a_protocol() {
    let identity = Identity::of("api.test");
    let both = identity.upstream(&["h2", "http/1.1"]);
    let rig1 = rig("https://api.test", both.address(), &identity, |route| route.http2 = Http2::Off);
    assert_eq!(rig1.get("/").status, 200);
    assert!(both.seen()[0].head.ends_with("HTTP/1.1"));
    let silent = identity.upstream(&[]);
    let rig2 = rig("https://api.test", silent.address(), &identity, |route| {
        route.http2 = Http2::PriorKnowledge;
    });
    let answer = rig2.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_tls"));
    let rig3 = rig("https://api.test", silent.address(), &identity, |_| {});
    assert_eq!(rig3.get("/").status, 200);
}

#[test]
fn callers_that_come_together_share_the_first_handshake() {
    let identity = Identity::of("api.test");
    let upstream = identity.upstream(&["h2", "http/1.1"]);
    let rig = rig("https://api.test", upstream.address(), &identity, |_| {});
    let mut callers: Vec<_> = (0..40).map(|_| rig.connect()).collect();
    for caller in &mut callers {
        caller.send(rig.request("GET", "/", &[], b""));
    }
    for caller in &mut callers {
        assert_eq!(caller.read().status, 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_upgrade_gets_the_http_1_that_it_needs_from_an_upstream_that_prefers_http_2() {
    let identity = Identity::of("api.test");
    let upstream = identity.upstream(&["h2", "http/1.1"]);
    let rig = rig("https://api.test", upstream.address(), &identity, |route| {
        route.upgrades = vec!["websocket".to_owned()];
    });
    assert_eq!(rig.get("/").status, 200);
    let offer = [("Connection", "upgrade"), ("Upgrade", "websocket")];
    let mut caller = rig.connect();
    caller.send(rig.request("GET", "/socket", &offer, b""));
    assert_eq!(caller.read_head().unwrap().word(1), "101");
    assert_eq!(rig.get("/").status, 200);
    let versions: Vec<_> =
        upstream.seen().iter().map(|seen| seen.head[seen.head.len() - 3..].to_owned()).collect();
    assert_eq!(versions, ["2.0", "1.1", "2.0"]);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn an_upstream_that_asks_for_http_1_after_all_gets_it() {
    let identity = Identity::of("api.test");
    let manners = Manners { http1_required: true, ..Manners::default() };
    let upstream = identity.upstream_with(&["h2", "http/1.1"], manners);
    let rig = rig("https://api.test", upstream.address(), &identity, |_| {});
    for _ in 0..2 {
        assert_eq!(rig.get("/").status, 200);
    }
    assert!(upstream.seen().iter().all(|seen| seen.head.ends_with("HTTP/1.1")));
    assert_eq!(upstream.connections(), 2, "one to learn it");
}
