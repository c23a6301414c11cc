use super::*;
use crate::clock::Clock;
use crate::config::profile::KeyPairConfig;
use crate::token::SecretSlot;
use crate::token::keys::HeldPair;
use crate::token::request::Endpoint;
use crate::token::testing::literal;

/// A certificate for `sfadmin`, and its key.
fn pair() -> KeyPairConfig {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "sfadmin");
    let certificate = params.self_signed(&key).unwrap();
    KeyPairConfig {
        certificate: Some(literal(&certificate.pem())),
        private_key: literal(&key.serialize_pem()),
    }
}

fn config(target: TargetSystem) -> SamlAssertion {
    SamlAssertion {
        target,
        key: pair(),
        audience: literal("www.successfactors.com"),
        issuer: None,
        user: UserId::KeyPairCommonName,
        company_id: (target == TargetSystem::SuccessFactors).then(|| literal("ACME")),
    }
}

fn made(config: &SamlAssertion) -> Vec<Member> {
    let keys = HeldPair::new("test".to_owned(), Some(config.key.clone()));
    let url = Secret::new("https://api.example.com/oauth/token?key=s3cret".to_owned());
    let endpoint = Endpoint { url, issuer: None };
    let now = Clock::system().now();
    let occasion = Occasion { endpoint: &endpoint, slot: SecretSlot::Current, shown: None, keys: &keys, now };
    members(config, Some(&Secret::new("client-key".to_owned())), &occasion).unwrap()
}

fn names(members: &[Member]) -> Vec<&'static str> {
    members.iter().map(|(name, _)| *name).collect()
}

#[test]
fn successfactors_gets_its_company_a_plain_base64_and_asks_for_a_new_token() {
    let members = made(&config(TargetSystem::SuccessFactors));
    assert_eq!(names(&members), ["company_id", "assertion", "new_token"]);
    assert_eq!((members[0].1.expose(), members[2].1.expose()), ("ACME", "true"));
    let xml = String::from_utf8(STANDARD.decode(members[1].1.expose()).unwrap()).unwrap();
    for part in [
        "<saml2:Issuer>client-key</saml2:Issuer>",
        ">sfadmin</saml2:NameID>",
        "Recipient=\"https://api.example.com/oauth/token\"",
        "<saml2:Attribute Name=\"api_key\">",
        ">client-key</saml2:AttributeValue>",
        "#ecdsa-sha256\"",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    assert!(!xml.contains("s3cret"), "{xml}");
}

#[test]
fn btp_gets_the_assertion_alone_as_the_rfc_writes_it() {
    for target in [TargetSystem::BtpNeo, TargetSystem::BtpCf] {
        let mut config = config(target);
        config.user = UserId::Fixed(literal("p12345"));
        let members = made(&config);
        assert_eq!(names(&members), ["assertion"]);
        let xml = String::from_utf8(URL_SAFE_NO_PAD.decode(members[0].1.expose()).unwrap()).unwrap();
        assert!(xml.contains("<saml2:Issuer>sfadmin</saml2:Issuer>"), "{xml}");
        assert!(xml.contains(">p12345</saml2:NameID>"), "{xml}");
        assert!(!xml.contains("AttributeStatement"), "{xml}");
    }
}

#[test]
fn no_two_assertions_have_the_same_id() {
    let config = config(TargetSystem::BtpCf);
    assert_ne!(made(&config)[0].1, made(&config)[0].1);
}
