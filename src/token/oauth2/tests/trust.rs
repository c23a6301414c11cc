//! Which token services are trusted.

use super::*;

/// A TLS server for `localhost` that answers every connection with a token, and the PEM of its authority.
async fn tls_server() -> (String, String, JoinHandle<()>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/token", listener.local_addr().unwrap().port());
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let body = r#"{"access_token":"t"}"#;
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (url, pem, task)
}

#[tokio::test]
async fn trusts_only_the_authorities_of_ca_file_and_reads_it_anew() {
    let (url, pem, task) = tls_server().await;
    let (other_url, other_pem, other_task) = tls_server().await;
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    let mut profile = profile(&url, "id", "s3cr3t");
    profile.transport.ca_file = Some(ca_file.clone());
    let source = source_of(profile);

    let missing = fetch(&source).await.unwrap_err();
    assert_eq!((missing.code, missing.class), (FetchErrorCode::Tls, FetchErrorClass::Permanent));
    assert!(missing.message.contains("ca.pem"), "{missing}");

    std::fs::write(&ca_file, &other_pem).unwrap();
    assert!(source.inputs_changed(), "ends the backoff");
    let untrusted = fetch(&source).await.unwrap_err();
    assert_eq!((untrusted.code, untrusted.class), (FetchErrorCode::Tls, FetchErrorClass::Permanent));

    std::fs::write(&ca_file, format!("{other_pem}{pem}")).unwrap();
    fetch(&source).await.unwrap();
    std::fs::write(&ca_file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fetch(&source).await.expect("the authorities of before are kept");
    std::fs::write(&ca_file, &other_pem).unwrap();
    assert_eq!(fetch(&source).await.unwrap_err().code, FetchErrorCode::Tls, "and replaced by good ones");
    drop((other_url, task.abort(), other_task.abort()));
}

#[tokio::test]
async fn a_service_that_does_not_speak_tls_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let failed = fetch(&source_of(profile(&url, "id", "s3cr3t"))).await.unwrap_err();
    assert_eq!((failed.code, failed.class), (FetchErrorCode::Tls, FetchErrorClass::Unavailable), "{failed}");
}
