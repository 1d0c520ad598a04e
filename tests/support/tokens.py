"""The means to sign service account tokens, with a key of the test's own."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tidegate.apiserver.authn.tokens import TokenIssuer
from tidegate.kube.clock import Clock


def token_issuer(directory: Path, clock: Clock) -> TokenIssuer:
    """An issuer whose key lies in `directory`."""
    file = directory / "token.key"
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(*pem, serialization.NoEncryption()))
    return TokenIssuer(file, clock=clock)
