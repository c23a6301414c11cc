use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, KeyPair, RsaKeyPair, UnparsedPublicKey};

use super::*;

struct Rsa(RsaKeyPair);

impl Signer for Rsa {
    type Error = aws_lc_rs::error::Unspecified;

    fn algorithm(&self) -> &'static str {
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
    }

    fn certificate(&self) -> &[u8] {
        b"certificate"
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, Self::Error> {
        let mut value = vec![0; self.0.public_modulus_len()];
        self.0.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut value)?;
        Ok(value)
    }
}

fn made(user: &str, attributes: &[(&str, &str)]) -> (String, Rsa) {
    let statement = Statement {
        issuer: "sidepass.example",
        user,
        audience: "www.successfactors.com",
        recipient: "https://api.example.com/oauth/token?a=1&b=2",
        attributes,
    };
    let key = Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    (assertion(&statement, now, "_id1", &key).unwrap(), key)
}

/// The text between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap() + from.len();
    &text[start..start + text[start..].find(to).unwrap()]
}

#[test]
fn says_who_where_and_for_how_long() {
    let (xml, _) = made("sfadmin", &[("api_key", "k<1>&\"2\"")]);
    let (before, rest) = xml.split_once("<ds:Signature ").unwrap();
    let after = rest.split_once("</ds:Signature>").unwrap().1;
    assert_eq!(
        [before, after].concat(),
        "<saml2:Assertion xmlns:saml2=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_id1\" \
         IssueInstant=\"2026-01-01T00:00:00.000Z\" Version=\"2.0\"><saml2:Issuer>sidepass.example</saml2:Issuer>\
         <saml2:Subject><saml2:NameID Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified\">sfadmin\
         </saml2:NameID><saml2:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
         <saml2:SubjectConfirmationData NotOnOrAfter=\"2026-01-01T00:10:00.000Z\" \
         Recipient=\"https://api.example.com/oauth/token?a=1&amp;b=2\"></saml2:SubjectConfirmationData>\
         </saml2:SubjectConfirmation></saml2:Subject><saml2:Conditions NotBefore=\"2025-12-31T23:59:00.000Z\" \
         NotOnOrAfter=\"2026-01-01T00:10:00.000Z\"><saml2:AudienceRestriction><saml2:Audience>www.successfactors.com\
         </saml2:Audience></saml2:AudienceRestriction></saml2:Conditions><saml2:AuthnStatement \
         AuthnInstant=\"2026-01-01T00:00:00.000Z\" SessionIndex=\"_id1\"><saml2:AuthnContext>\
         <saml2:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport\
         </saml2:AuthnContextClassRef></saml2:AuthnContext></saml2:AuthnStatement><saml2:AttributeStatement>\
         <saml2:Attribute Name=\"api_key\"><saml2:AttributeValue xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"xs:string\">k&lt;1&gt;&amp;\"2\"\
         </saml2:AttributeValue></saml2:Attribute></saml2:AttributeStatement></saml2:Assertion>"
    );
}

#[test]
fn the_signature_covers_everything_else() {
    let (xml, key) = made("someone", &[]);
    let (before, rest) = xml.split_once("<ds:Signature ").unwrap();
    let (signature, after) = rest.split_once("</ds:Signature>").unwrap();
    let digest = digest::digest(&SHA256, [before, after].concat().as_bytes());
    assert_eq!(between(signature, "<ds:DigestValue>", "<"), STANDARD.encode(digest.as_ref()));
    let info = between(signature, "<ds:SignedInfo>", "</ds:SignedInfo>");
    let signed = format!("<ds:SignedInfo xmlns:ds=\"{DSIG}\">{info}</ds:SignedInfo>");
    let value = STANDARD.decode(between(signature, "<ds:SignatureValue>", "<")).unwrap();
    let public = UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key.0.public_key());
    public.verify(signed.as_bytes(), &value).unwrap();
    public.verify(signed.replace("#_id1", "#_id2").as_bytes(), &value).unwrap_err();
}

#[test]
fn what_is_configured_cannot_become_markup() {
    let evil = "</saml2:NameID>\"><x y='\r\n\t\u{1}&amp;";
    let (xml, _) = made(evil, &[(evil, evil)]);
    assert!(
        xml.contains("&lt;/saml2:NameID&gt;\"&gt;&lt;x y='&#xD;\n\t\u{fffd}&amp;amp;</saml2:NameID>"),
        "{xml}"
    );
    assert!(
        xml.contains("Name=\"&lt;/saml2:NameID>&quot;>&lt;x y='&#xD;&#xA;&#x9;\u{fffd}&amp;amp;\">"),
        "{xml}"
    );
}
