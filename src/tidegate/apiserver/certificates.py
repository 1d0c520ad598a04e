"""The API's own certificate authority: who the server is, who the administrator is.

Everything lies in one directory readable by its owner only. Certificates near their end, or whose
names no longer fit, are issued anew; the authority and the token key stay, so that kubeconfigs and
tokens handed out before remain good.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tidegate.kube.errors import UserError

_AUTHORITY_LIFE = timedelta(days=3650)
_LEAF_LIFE = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
# Clocks of clients on the same network differ by minutes at most.
_BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True)
class KeyPair:
    """Where a certificate and its private key lie, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Pki:
    """Everything the server and the kubeconfig need.

    Attributes:
        authority: signs the other two; its certificate is what clients trust.
        server: what the server shows.
        admin: the client certificate of the kubeconfig.
        token_key: private key (PEM, EC P-256) that signs service account tokens.
    """

    authority: KeyPair
    server: KeyPair
    admin: KeyPair
    token_key: Path


def ensure_pki(
    directory: Path,
    *,
    server_names: Iterable[str],
    admin: str,
    admin_groups: Iterable[str],
    now: float,
) -> Pki:
    """Make or renew what is missing, near its end or wrong, and leave the rest alone.

    Args:
        directory: created with mode 0700 when missing.
        server_names: host names and IP addresses the server is reached by.
        admin: user name in the administrator's certificate.
        admin_groups: groups in it.
        now: seconds since the Unix epoch.

    Raises:
        UserError: the directory or a file in it cannot be read or written.
    """
    pki = Pki(
        authority=_pair(directory, "ca"),
        server=_pair(directory, "apiserver"),
        admin=_pair(directory, "admin"),
        token_key=directory / "service-account.key",
    )
    moment = datetime.fromtimestamp(now, UTC)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        _ensure_authority(pki.authority, moment)
        if not pki.token_key.exists():
            write_private(pki.token_key, _key_pem(ec.generate_private_key(ec.SECP256R1())))
        names = tuple(dict.fromkeys(server_names))
        if not _serves(pki.server, pki.authority, moment, names):
            _issue_server(pki.server, pki.authority, moment, names)
        groups = tuple(admin_groups)
        if not _serves(pki.admin, pki.authority, moment):
            _issue_client(pki.admin, pki.authority, moment, admin, groups)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the keys in {directory} cannot be read or written: {error}; "
            "check the directory, or remove it to have new keys made"
        ) from error
    return pki


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step; nobody but the owner can ever read it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _pair(directory: Path, name: str) -> KeyPair:
    return KeyPair(directory / f"{name}.crt", directory / f"{name}.key")


def _ensure_authority(pair: KeyPair, now: datetime) -> None:
    if pair.certificate.exists() and pair.key.exists():
        certificate = _load_certificate(pair.certificate)
        if certificate.not_valid_after_utc - now > _RENEW_BEFORE:
            return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidegate-ca")])
    builder = _builder(name, name, key.public_key(), now, _AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    _store(pair, builder.sign(key, hashes.SHA256()), key)


def _issue_server(pair: KeyPair, authority: KeyPair, now: datetime, names: tuple[str, ...]) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidegate-apiserver")])
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    _issue_leaf(pair, authority, now, subject, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)


def _issue_client(
    pair: KeyPair, authority: KeyPair, now: datetime, user: str, groups: tuple[str, ...]
) -> None:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
    _issue_leaf(pair, authority, now, x509.Name(attributes), ExtendedKeyUsageOID.CLIENT_AUTH, None)


def _issue_leaf(
    pair: KeyPair,
    authority: KeyPair,
    now: datetime,
    subject: x509.Name,
    purpose: x509.ObjectIdentifier,
    alternatives: x509.SubjectAlternativeName | None,
) -> None:
    issuer = _load_certificate(authority.certificate)
    issuer_key = _load_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, issuer.subject, key.public_key(), now, _LEAF_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(authority=False), True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(issuer_id, False)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, False)
    _store(pair, builder.sign(issuer_key, hashes.SHA256()), key)


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


def _serves(pair: KeyPair, authority: KeyPair, now: datetime, names: tuple[str, ...] = ()) -> bool:
    if not (pair.certificate.exists() and pair.key.exists()):
        return False
    certificate = _load_certificate(pair.certificate)
    if certificate.not_valid_after_utc - now <= _RENEW_BEFORE:
        return False
    # A crash between the two files of a pair leaves a key that is not the certificate's.
    if certificate.public_key() != _load_key(pair.key).public_key():
        return False
    try:
        certificate.verify_directly_issued_by(_load_certificate(authority.certificate))
    except (InvalidSignature, ValueError):
        return False
    return not names or _names_of(certificate) >= set(names)


def _names_of(certificate: x509.Certificate) -> set[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return {str(name.value) for name in extension.value}


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds no elliptic curve key")  # noqa: TRY004 - a file's content
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _store(pair: KeyPair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    # The key first: a certificate without its key would look complete after a crash.
    write_private(pair.key, _key_pem(key))
    write_private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
