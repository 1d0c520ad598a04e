"""The API's own certificate authority: who the server is, who the administrator is.

Everything lies in one directory readable by its owner only. Certificates near their end, or whose
names no longer fit, are issued anew; the authority and the token key stay, so that kubeconfigs and
tokens handed out before remain good.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from tidegate.kube import certificates
from tidegate.kube.certificates import Issued
from tidegate.kube.errors import UserError

_AUTHORITY_LIFE = timedelta(days=3650)


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
            write_private(pki.token_key, certificates.key_pem(certificates.new_key()))
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
        if not certificates.is_near_end(certificate, now):
            return
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidegate-ca")])
    _store(pair, certificates.new_authority(name, now=now, life=_AUTHORITY_LIFE))


def _issue_server(pair: KeyPair, authority: KeyPair, now: datetime, names: tuple[str, ...]) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidegate-apiserver")])
    _store(pair, certificates.issue_server(_load(authority), subject, names, now=now))


def _issue_client(
    pair: KeyPair, authority: KeyPair, now: datetime, user: str, groups: tuple[str, ...]
) -> None:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
    subject = x509.Name(attributes)
    _store(pair, certificates.issue_client(_load(authority), subject, now=now))


def _serves(pair: KeyPair, authority: KeyPair, now: datetime, names: tuple[str, ...] = ()) -> bool:
    if not (pair.certificate.exists() and pair.key.exists()):
        return False
    certificate = _load_certificate(pair.certificate)
    if certificates.is_near_end(certificate, now):
        return False
    # A crash between the two files of a pair leaves a key that is not the certificate's.
    if certificate.public_key() != _load(pair).key.public_key():
        return False
    try:
        certificate.verify_directly_issued_by(_load_certificate(authority.certificate))
    except (InvalidSignature, ValueError):
        return False
    return not names or certificates.names_of(certificate) >= set(names)


def _load_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _load(pair: KeyPair) -> Issued:
    try:
        return certificates.load(pair.certificate.read_bytes(), pair.key.read_bytes())
    except ValueError as error:
        raise ValueError(f"{pair.key} or its certificate: {error}") from error


def _store(pair: KeyPair, issued: Issued) -> None:
    # The key first: a certificate without its key would look complete after a crash.
    write_private(pair.key, issued.key_pem)
    write_private(pair.certificate, issued.certificate_pem)
