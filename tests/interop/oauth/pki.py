"""Keys and certificates, made for this run alone."""

import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import import_key

_CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
_ORGANIZATION = "sidepass interop"


def private_key(algorithm):
    """A new key that signs with a JWS algorithm."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    return rsa.generate_private_key(65537, 2048)


def _name(common_name):
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(common_name, key, issuer, issuer_key, authority=False, hosts=()):
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, digest)


class KeyPair:
    """A private key and its certificate, as PEM files and as the forms that servers are told."""

    def __init__(self, folder, name, key, certificate, pkcs1=False):
        self.key, self.certificate, self.name = key, certificate, name
        encoding = serialization.Encoding.PEM
        form = serialization.PrivateFormat.TraditionalOpenSSL if pkcs1 else serialization.PrivateFormat.PKCS8
        key_pem = key.private_bytes(encoding, form, serialization.NoEncryption())
        self.key_pem, self.certificate_pem = key_pem.decode(), certificate.public_bytes(encoding).decode()
        self.key_file, self.certificate_file = (str(pathlib.Path(folder, name + end)) for end in (".key", ".crt"))
        for file, text in ((self.key_file, self.key_pem), (self.certificate_file, self.certificate_pem)):
            with open(file, "x", encoding="ascii") as new:
                new.write(text)
        self.subject = f"O={_ORGANIZATION}\nCN={certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value}"

    def setting(self):
        """As sidepass's `key_pair`."""
        return {"certificate": {"file": self.certificate_file}, "private_key": {"file": self.key_file}}

    def become(self, other):
        """Puts the files of another pair in the place of these, as a rotation does."""
        for old, new in ((self.certificate_file, other.certificate_file), (self.key_file, other.key_file)):
            pathlib.Path(new).replace(old)

    def fingerprint(self):
        """As servers show a certificate: SHA-256 in hexadecimal with colons."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    def jwk(self, **more):
        """The public key as a JWK."""
        public = self.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return {**import_key(public, self._kty()).as_dict(private=False), **more}

    def signing_key(self):
        """The private key as joserfc takes it."""
        return import_key(self.key_pem, self._kty())

    def _kty(self):
        if isinstance(self.key, rsa.RSAPrivateKey):
            return "RSA"
        return "EC" if isinstance(self.key, ec.EllipticCurvePrivateKey) else "OKP"


class Authority:
    """A certificate authority that issues what servers and clients need into a folder."""

    def __init__(self, folder):
        self._folder = folder
        self._key = private_key("ES256")
        self._name = _name("interop authority")
        self._certificate = _certificate("interop authority", self._key, self._name, self._key, authority=True)
        self.pair = KeyPair(folder, "authority", self._key, self._certificate)
        self.file, self.pem = self.pair.certificate_file, self.pair.certificate_pem

    def issue(self, name, algorithm="ES256", hosts=(), pkcs1=False):
        """A key pair that this authority vouches for; `name` is the file's and the common name."""
        key = private_key(algorithm)
        return KeyPair(self._folder, name, key, _certificate(name, key, self._name, self._key, hosts=hosts), pkcs1)

    def self_signed(self, name, algorithm="ES256"):
        """A key pair that nobody vouches for."""
        key = private_key(algorithm)
        return KeyPair(self._folder, name, key, _certificate(name, key, _name(name), key))
