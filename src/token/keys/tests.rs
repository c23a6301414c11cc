use std::path::Path;
use std::time::UNIX_EPOCH;

use super::*;
use crate::token::sign::testing as keys;

fn literal(text: &str) -> SecretSource {
    SecretSource::Literal(Secret::new(text.to_owned()))
}

fn pair(certificate: &str, key: &str) -> KeyPairConfig {
    KeyPairConfig { certificate: Some(literal(certificate)), private_key: literal(key) }
}

fn now() -> SystemTime {
    SystemTime::now()
}

/// A pair of its own, valid for so long.
fn issue(name: &str, from: SystemTime, lifetime: Duration) -> (String, String) {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = from.into();
    params.not_after = (from + lifetime).into();
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_pair_is_read_with_its_certificate_first_whatever_the_order_of_the_file() {
    let (other, _) = issue("ca", now(), HOUR);
    let text = format!("{other}\n{}", keys::CERTIFICATE);
    let pair = KeyPair::read(&pair(&text, keys::P256_SEC1)).unwrap();
    assert_eq!(pair.leaf().unwrap().common_name.as_deref(), Some("acme-client"));
    let identity = pair.identity().unwrap();
    assert_eq!(identity.chain.len(), 2);
    assert_eq!(Certificate::parse(&identity.chain[0]).unwrap(), *pair.leaf().unwrap());
    assert!(!format!("{pair:?} {identity:?}").contains("PRIVATE"));
}

#[test]
fn line_breaks_may_be_written_as_in_a_variable() {
    let one_line = |text: &str| text.replace('\n', "\\n");
    let config = pair(&one_line(keys::CERTIFICATE), &one_line(keys::P256));
    assert!(KeyPair::read(&config).is_ok());
    let windows = keys::P256.replace('\n', "\\r\\n");
    assert!(KeyPair::read(&KeyPairConfig { certificate: None, private_key: literal(&windows) }).is_ok());
}

#[test]
fn a_key_alone_signs_and_is_no_identity() {
    let pair = KeyPair::read(&KeyPairConfig { certificate: None, private_key: literal(keys::RSA) }).unwrap();
    assert!(pair.identity().is_none() && pair.leaf().is_none() && pair.valid_at(UNIX_EPOCH).is_ok());
    assert_eq!(pair.signing_key(Some(Algorithm::Ps256)).unwrap().algorithm(), Algorithm::Ps256);
}

#[test]
fn what_is_no_pair_says_so_and_shows_nothing() {
    let error = |config: &KeyPairConfig| KeyPair::read(config).unwrap_err().to_string();
    let said = error(&pair(keys::CERTIFICATE, keys::P384));
    assert!(said.contains("made for another key"), "{said}");
    let said = error(&pair("hunter2", keys::P256));
    assert_eq!(said, "the literal value holds no certificate (`-----BEGIN CERTIFICATE-----`)");
    let said = error(&pair("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", keys::P256));
    assert!(said.contains("cannot be read"), "{said}");
    let said = error(&pair(keys::CERTIFICATE, keys::ENCRYPTED));
    assert!(said.contains("with a password"), "{said}");
    let gone =
        KeyPairConfig { certificate: None, private_key: SecretSource::File("/nowhere/tls.key".into()) };
    assert!(matches!(KeyPair::read(&gone), Err(KeyPairError::Unreadable(_))));
}

#[test]
fn an_expired_certificate_names_its_date_and_one_of_tomorrow_the_clock() {
    let pair = KeyPair::read(&pair(keys::CERTIFICATE, keys::P256)).unwrap();
    let at = |text: &str| humantime::parse_rfc3339(text).unwrap();
    let said = pair.valid_at(at("2099-01-01T00:00:01Z")).unwrap_err().to_string();
    assert_eq!(
        said,
        "the certificate of acme-client expired at 2099-01-01T00:00:00Z: put a new one in its place"
    );
    let said = pair.valid_at(at("2019-12-31T23:59:59Z")).unwrap_err().to_string();
    assert!(
        said.contains("not valid before 2020-01-01T00:00:00Z, and here it is 2019-12-31T23:59:59Z"),
        "{said}"
    );
    assert!(pair.valid_at(at("2020-01-01T00:00:00Z")).is_ok());
    assert!(pair.expires_soon(at("2098-12-31T00:00:00Z")).is_none());
    assert!(pair.expires_soon(at("2098-12-31T00:00:01Z")).is_some());
    let (short, key) = issue("short", now(), HOUR);
    let short = KeyPair::read(&self::pair(&short, &key)).unwrap();
    assert!(short.expires_soon(now() + HOUR / 2).is_none(), "it is half its life old");
    assert!(short.expires_soon(now() + HOUR / 10 * 9).is_some());
}

fn files(dir: &Path) -> KeyPairConfig {
    KeyPairConfig {
        certificate: Some(SecretSource::File(dir.join("tls.crt"))),
        private_key: SecretSource::File(dir.join("tls.key")),
    }
}

#[test]
fn a_half_changed_pair_leaves_the_one_before_in_force_until_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let name = |pair: Arc<KeyPair>| pair.leaf().unwrap().common_name.clone().unwrap();
    let held = HeldPair::new("test".into(), Some(files(dir.path())));
    let ((first, first_key), (second, second_key)) =
        (issue("first", now() - HOUR, 2 * HOUR), issue("second", now() - HOUR, 4 * HOUR));
    assert!(held.current(now()).is_err(), "there is nothing yet");
    write("tls.crt", &first);
    write("tls.key", &first_key);
    assert_eq!(name(held.current(now()).unwrap()), "first");
    write("tls.crt", &second);
    assert_eq!(name(held.current(now()).unwrap()), "first", "the key is still the old one");
    assert!(held.current(now() + 2 * HOUR).is_err(), "but not longer than it is valid");
    write("tls.key", &second_key);
    assert_eq!(name(held.current(now()).unwrap()), "second");
    std::fs::remove_file(dir.path().join("tls.key")).unwrap();
    assert_eq!(name(held.current(now()).unwrap()), "second");
    let error: FetchError = held.current(now() + 4 * HOUR).unwrap_err().into();
    assert_eq!(error.code, FetchErrorCode::SecretUnreadable);
}

#[test]
fn a_pair_that_is_not_valid_yet_comes_into_force_when_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let write = |(certificate, key): (String, String)| {
        std::fs::write(dir.path().join("tls.crt"), certificate).unwrap();
        std::fs::write(dir.path().join("tls.key"), key).unwrap();
    };
    let held = HeldPair::new("test".into(), Some(files(dir.path())));
    write(issue("first", now(), 3 * HOUR));
    let first = held.current(now() + HOUR).unwrap();
    write(issue("second", now() + 2 * HOUR, 3 * HOUR));
    assert!(Arc::ptr_eq(&first, &held.current(now() + HOUR).unwrap()));
    assert!(!Arc::ptr_eq(&first, &held.current(now() + 2 * HOUR + HOUR / 60).unwrap()));
}
