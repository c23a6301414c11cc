//! Keys for tests (tests/fixtures/keys), and what openssl says about them.

macro_rules! keys {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) const $name: &str = include_str!(concat!("../../../tests/fixtures/keys/", $file));)*
    };
}

keys! {
    RSA = "rsa.pem";
    RSA_PKCS1 = "rsa-pkcs1.pem";
    RSA_1024 = "rsa-1024.pem";
    RSA_1024_PKCS1 = "rsa-1024-pkcs1.pem";
    P256 = "p256.pem";
    P256_SEC1 = "p256-sec1.pem";
    P384 = "p384.pem";
    P521 = "p521.pem";
    SECP256K1 = "secp256k1.pem";
    ED25519 = "ed25519.pem";
    ENCRYPTED = "encrypted.pem";
    ENCRYPTED_TRADITIONAL = "encrypted-traditional.pem";
    CERTIFICATE = "p256-cert.pem";
}

/// SHA-256 of the public key of [`P256`], in base64.
pub(crate) const P256_SPKI_SHA256: &str = "jm5Lh3749Mg4HbFFQ20vZIr5imKLLhY8K0BSdZIx8k0=";
