"""X.509 as the platform's own authority issues it: keys on P-256, certificates for a year.

The API's server and the gateway show certificates made here; who keeps them, where, and when they
are renewed is each room's own matter.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

LEAF_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
# Clocks of clients on the same network differ by minutes at most.
_BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh private key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_authority(name: x509.Name, *, now: datetime, life: timedelta) -> Issued:
    """A certificate that signs others, signed by itself."""
    key = new_key()
    builder = _builder(name, name, key.public_key(), now, life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    return Issued(builder.sign(key, hashes.SHA256()), key)


def issue_server(
    authority: Issued, subject: x509.Name, names: Iterable[str], *, now: datetime
) -> Issued:
    """A certificate for the server of these host names (`*.` for one label) and IP addresses."""
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return _issue(authority, subject, ExtendedKeyUsageOID.SERVER_AUTH, alternatives, now)


def issue_client(authority: Issued, subject: x509.Name, *, now: datetime) -> Issued:
    """A certificate for a client of that name."""
    return _issue(authority, subject, ExtendedKeyUsageOID.CLIENT_AUTH, None, now)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as unencrypted PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load(certificate: bytes, key: bytes) -> Issued:
    """Read a pair of PEM texts.

    Raises:
        ValueError: one of them is none, or the key is not on an elliptic curve.
    """
    private = serialization.load_pem_private_key(key, password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve key")  # noqa: TRY004 - a file's content
    return Issued(x509.load_pem_x509_certificate(certificate), private)


def names_of(certificate: x509.Certificate) -> set[str]:
    """The host names and addresses a certificate is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in extension.value}


def is_near_end(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether it is time to renew it."""
    return certificate.not_valid_after_utc - now <= RENEW_BEFORE


def _issue(
    authority: Issued,
    subject: x509.Name,
    purpose: x509.ObjectIdentifier,
    alternatives: x509.SubjectAlternativeName | None,
    now: datetime,
) -> Issued:
    key = new_key()
    issuer = authority.certificate.subject
    builder = _builder(subject, issuer, key.public_key(), now, LEAF_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(authority=False), True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(issuer_id, False)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, False)
    return Issued(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
