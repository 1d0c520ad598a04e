"""The certificates that clients of the gateway are shown, as bundles of PEM text.

A host without a certificate of its own gets one that the platform's authority issues for all
hosts beside it: `*.default.localhost` for `hello.default.localhost`, since a wildcard stands for
one label. So a new service needs a new certificate only when it is the first of its namespace.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from tidegate.kube import certificates
from tidegate.kube.certificates import Issued
from tidegate.kube.errors import UserError
from tidegate.kube.objects import Object, name_of, namespace_of

# What HAProxy's admin socket takes in one piece, less the command before it.
_LARGEST = 15_000
_LONGEST_COMMON_NAME = 64


class CertificateError(UserError):
    """A certificate that cannot be shown to clients; the message says whose and why."""


def pattern_of(host: str) -> str:
    """The name of the certificate for a host: a wildcard, or the host where none is allowed."""
    _, _, parent = host.partition(".")
    # Clients take no wildcard directly below a top-level domain.
    return f"*.{parent}" if "." in parent else host


def self_made(authority: Issued, names: Iterable[str], *, now: float) -> bytes:
    """A bundle for these names, signed by the platform's authority."""
    listed = list(names)
    common = listed[0] if len(listed[0]) <= _LONGEST_COMMON_NAME else "tidegate-gateway"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    issued = certificates.issue_server(
        authority, subject, listed, now=datetime.fromtimestamp(now, UTC)
    )
    return issued.certificate_pem + issued.key_pem


def of_files(certificate: Path, key: Path) -> bytes:
    """The bundle in two files.

    Raises:
        CertificateError: they cannot be read, or do not belong together.
    """
    try:
        chain, private = certificate.read_bytes(), key.read_bytes()
    except OSError as error:
        raise CertificateError(f"cannot read {error.filename}: {error.strerror}") from error
    return _bundle(chain, private, whose=f"{certificate} and {key}")


def of_secret(secret: Object) -> bytes:
    """The bundle in a Secret of type `kubernetes.io/tls`.

    Raises:
        CertificateError: it holds none, or what does not belong together.
    """
    whose = f"Secret {namespace_of(secret)}/{name_of(secret)}"
    data = cast("Mapping[str, str]", secret.get("data") or {})
    parts: list[bytes] = []
    for field in ("tls.crt", "tls.key"):
        try:
            parts.append(base64.b64decode(data.get(field, ""), validate=True))
        except (binascii.Error, ValueError) as error:
            raise CertificateError(f"{whose}: data[{field}] is no base64") from error
        if not parts[-1]:
            raise CertificateError(f"{whose}: data[{field}] is missing")
    return _bundle(parts[0], parts[1], whose=whose)


def needs_renewal(bundle: bytes, *, now: float) -> bool:
    """Whether a bundle nears its end."""
    certificate = x509.load_pem_x509_certificate(bundle)
    return certificates.is_near_end(certificate, datetime.fromtimestamp(now, UTC))


def is_usable(bundle: bytes, authority: Issued, names: Iterable[str], *, now: float) -> bool:
    """Whether a bundle made before is still what would be made now."""
    try:
        certificate = x509.load_pem_x509_certificate(bundle)
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, InvalidSignature):
        return False
    return not needs_renewal(bundle, now=now) and certificates.names_of(certificate) >= set(names)


def _bundle(chain: bytes, key: bytes, *, whose: str) -> bytes:
    try:
        found = x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise CertificateError(f"{whose}: the certificate is no PEM text: {error}") from error
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"{whose}: the key is no unencrypted PEM text: {error}") from error
    if found[0].public_key() != private.public_key():
        raise CertificateError(f"{whose}: the key is not that of the first certificate")
    # Written anew, so that nothing but PEM can get into a command for HAProxy.
    pem = serialization.Encoding.PEM
    bundle = b"".join(certificate.public_bytes(pem) for certificate in found)
    bundle += private.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if len(bundle) > _LARGEST:
        raise CertificateError(
            f"{whose}: {len(bundle)} bytes are more than the {_LARGEST} that the gateway takes: "
            "leave certificates out that clients know already"
        )
    return bundle
