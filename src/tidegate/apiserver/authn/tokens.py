"""Service account tokens: signed, bound to an account (and pod), expiring; and those of Secrets.

A token is good only while the signature, the audience and the times hold and the account (and the
pod) it names still live with the same uid; the last is checked by the authenticator, so that
deleting the account ends its tokens at once. That of a Secret has Kubernetes' legacy claims: it
does not expire, and is good while its Secret holds it.
"""

from __future__ import annotations

import base64
import hashlib
import math
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tidegate.kube.clock import Clock
from tidegate.kube.errors import Unauthorized

ISSUER = "https://kubernetes.default.svc.cluster.local"
DEFAULT_AUDIENCES = (ISSUER, "https://kubernetes.default.svc")
MINIMUM_SECONDS = 600
MAXIMUM_SECONDS = 1 << 32

_ALGORITHM = "ES256"
_CLAIM = "kubernetes.io"
_REQUIRED = ("exp", "nbf", "aud", "iss", "jti")
_LEGACY_ISSUER = "kubernetes/serviceaccount"
_LEGACY_CLAIM = "kubernetes.io/serviceaccount/"
# A client's clock may be a little ahead of ours.
_LEEWAY_SECONDS = 10
_CACHED_TOKENS = 1024
_MAX_TOKEN_CHARS = 16 * 1024


@dataclass(frozen=True)
class BoundTo:
    """The object whose end ends the token: a Pod, Secret or Node."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class TokenIdentity:
    """What a verified token says.

    Attributes:
        namespace, name, uid: the service account.
        bound_to: the object the token is bound to, if any.
        token_id: the token's own id (`jti`), empty for that of a Secret.
        audiences: whom the token is meant for.
        expires_at: seconds since the Unix epoch.
        secret: the name of the Secret that must hold the token, if it is one's.
    """

    namespace: str
    name: str
    uid: str
    bound_to: BoundTo | None
    token_id: str
    audiences: tuple[str, ...]
    expires_at: float
    secret: str = ""


class TokenIssuer:
    """Signs and verifies tokens with one EC P-256 key.

    Args:
        key_file: private key, PEM.
        clock: for issue and expiry.
    """

    def __init__(self, key_file: Path, *, clock: Clock) -> None:
        self._clock = clock
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_file} holds no elliptic curve key")
        self._key = key
        self._public = key.public_key()
        spki = self._public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key_id = _base64url(hashlib.sha256(spki).digest())
        self._verified: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def issue(
        self,
        *,
        namespace: str,
        name: str,
        uid: str,
        audiences: Sequence[str] = (),
        seconds: int = 3600,
        bound_to: BoundTo | None = None,
    ) -> tuple[str, float]:
        """A new token and the time it expires, in seconds since the Unix epoch."""
        now = int(self._clock.time())
        expires_at = now + seconds
        subject: dict[str, Any] = {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": uid},
        }
        if bound_to is not None:
            subject[bound_to.kind.lower()] = {"name": bound_to.name, "uid": bound_to.uid}
        claims = {
            "aud": list(audiences or DEFAULT_AUDIENCES[:1]),
            "exp": expires_at,
            "iat": now,
            "nbf": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "sub": f"system:serviceaccount:{namespace}:{name}",
            _CLAIM: subject,
        }
        headers = {"kid": self._key_id}
        return jwt.encode(claims, self._key, _ALGORITHM, headers=headers), float(expires_at)

    def issue_for_secret(self, *, namespace: str, name: str, uid: str, secret: str) -> str:
        """A new token of a ServiceAccount, good for as long as the Secret `secret` holds it."""
        claims = {
            "iss": _LEGACY_ISSUER,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            f"{_LEGACY_CLAIM}namespace": namespace,
            f"{_LEGACY_CLAIM}secret.name": secret,
            f"{_LEGACY_CLAIM}service-account.name": name,
            f"{_LEGACY_CLAIM}service-account.uid": uid,
        }
        return jwt.encode(claims, self._key, _ALGORITHM, headers={"kid": self._key_id})

    def verify(self, token: str, *, audiences: Sequence[str] = DEFAULT_AUDIENCES) -> TokenIdentity:
        """What the token says, signature, issuer, audience and times checked.

        Raises:
            Unauthorized: any of these does not hold; the message says which.
        """
        claims = self._claims(token)
        if claims["iss"] == _LEGACY_ISSUER:
            identity = _legacy_identity(claims)
            _check_audience(identity, audiences)
            return identity
        identity = _identity(claims)
        now = self._clock.time()
        if now >= identity.expires_at:
            raise Unauthorized("the token has expired")
        if now + _LEEWAY_SECONDS < float(claims["nbf"]):
            raise Unauthorized("the token is not valid yet")
        _check_audience(identity, audiences)
        return identity

    def key_set(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        numbers = self._public.public_numbers()
        return {
            "keys": [
                {
                    "use": "sig",
                    "kty": "EC",
                    "kid": self._key_id,
                    "crv": "P-256",
                    "alg": _ALGORITHM,
                    "x": _base64url(numbers.x.to_bytes(32, "big")),
                    "y": _base64url(numbers.y.to_bytes(32, "big")),
                }
            ]
        }

    def configuration(self, server: str) -> dict[str, Any]:
        """The OpenID discovery document; `server` is the API's base URL."""
        return {
            "issuer": ISSUER,
            "jwks_uri": f"{server}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
        }

    def _claims(self, token: str) -> Mapping[str, Any]:
        # The signature is the costly part and never changes its answer.
        known = self._verified.get(token)
        if known is not None:
            self._verified.move_to_end(token)
            return known
        if len(token) > _MAX_TOKEN_CHARS:
            raise Unauthorized("the token is too long")
        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[_ALGORITHM],
                issuer=(ISSUER, _LEGACY_ISSUER),
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "require": ["iss"],
                },
            )
        except jwt.PyJWTError as error:
            raise Unauthorized("the token is not one of ours") from error
        if claims["iss"] == ISSUER and any(name not in claims for name in _REQUIRED):
            raise Unauthorized("the token is not one of ours")
        self._verified[token] = claims
        if len(self._verified) > _CACHED_TOKENS:
            self._verified.popitem(last=False)
        return claims


def _identity(claims: Mapping[str, Any]) -> TokenIdentity:
    subject: Mapping[str, Any] = claims.get(_CLAIM) or {}
    account: Mapping[str, Any] = subject.get("serviceaccount") or {}
    bound_to = None
    for kind in ("Pod", "Secret", "Node"):
        reference: Mapping[str, Any] | None = subject.get(kind.lower())
        if reference:
            bound_to = BoundTo(kind, str(reference["name"]), str(reference["uid"]))
            break
    audience = claims["aud"]
    return TokenIdentity(
        namespace=str(subject.get("namespace", "")),
        name=str(account.get("name", "")),
        uid=str(account.get("uid", "")),
        bound_to=bound_to,
        token_id=str(claims["jti"]),
        audiences=(audience,) if isinstance(audience, str) else tuple(audience),
        expires_at=float(claims["exp"]),
    )


def _legacy_identity(claims: Mapping[str, Any]) -> TokenIdentity:
    def claim(name: str) -> str:
        return str(claims.get(f"{_LEGACY_CLAIM}{name}") or "")

    return TokenIdentity(
        namespace=claim("namespace"),
        name=claim("service-account.name"),
        uid=claim("service-account.uid"),
        bound_to=None,
        token_id="",
        audiences=DEFAULT_AUDIENCES,
        expires_at=math.inf,
        secret=claim("secret.name"),
    )


def _check_audience(identity: TokenIdentity, audiences: Sequence[str]) -> None:
    if not set(identity.audiences) & set(audiences):
        raise Unauthorized(f"the token is for other audiences: {list(identity.audiences)}")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
