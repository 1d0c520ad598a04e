"""From a request's credentials to a user: a bearer token, or the client certificate.

A token that is sent counts before the certificate, so that a wrong one is never passed over.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hmac import compare_digest
from typing import Protocol

from tidegate.apiserver.authn.identities import ACCOUNT_PREFIX, account_groups, user_named
from tidegate.apiserver.authn.tokens import DEFAULT_AUDIENCES, BoundTo, TokenIdentity, TokenIssuer
from tidegate.apiserver.http.protocol import Subject
from tidegate.apiserver.requests import User
from tidegate.apiserver.values import section
from tidegate.kube.errors import Unauthorized
from tidegate.kube.objects import Key, Object, is_deleting, uid_of
from tidegate.kube.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS, Resource

_BOUND = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}
_EXTRA = "authentication.kubernetes.io"


class Objects(Protocol):
    """Where the authenticator sees whether what a token names still lives."""

    def find(self, resource: Resource, key: Key) -> Object | None: ...


class Authenticator:
    """Knows users by token and certificate.

    Args:
        tokens: verifies service account tokens.
        objects: the live objects.
    """

    def __init__(self, tokens: TokenIssuer, objects: Objects) -> None:
        self._tokens = tokens
        self._objects = objects

    def authenticate(self, authorization: str, certificate: Subject | None) -> User | None:
        """The user behind an `Authorization` header or a certificate; None without either.

        Raises:
            Unauthorized: there are credentials, and they are not good.
        """
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthorized("Unauthorized")
            return self.user_of_token(token.strip())
        if certificate is not None and certificate.common_name:
            return user_named(certificate.common_name, certificate.organizations)
        return None

    def user_of_token(self, token: str, audiences: Sequence[str] = DEFAULT_AUDIENCES) -> User:
        """The service account a token stands for.

        Raises:
            Unauthorized: the token is not good, or what it names is gone.
        """
        identity = self._tokens.verify(token, audiences=audiences)
        self._check_account(identity)
        if identity.bound_to is not None:
            self._check_bound(identity.namespace, identity.bound_to)
        if not identity.token_id:
            self._check_held(identity, token)
        return User(
            f"{ACCOUNT_PREFIX}{identity.namespace}:{identity.name}",
            account_groups(identity.namespace),
            identity.uid,
            _extra(identity),
        )

    def audiences_of(self, token: str, audiences: Sequence[str]) -> tuple[str, ...]:
        """Those of `audiences` that the token is meant for."""
        identity = self._tokens.verify(token, audiences=audiences)
        return tuple(a for a in audiences if a in identity.audiences)

    def _check_account(self, identity: TokenIdentity) -> None:
        account = self._objects.find(SERVICE_ACCOUNTS, Key(identity.namespace, identity.name))
        if account is None or uid_of(account) != identity.uid:
            raise Unauthorized("the service account of the token has been deleted")

    def _check_bound(self, namespace: str, bound: BoundTo) -> None:
        resource = _BOUND[bound.kind]
        key = Key(namespace if resource.namespaced else "", bound.name)
        obj = self._objects.find(resource, key)
        if obj is None or uid_of(obj) != bound.uid:
            raise Unauthorized(f"the {bound.kind} that the token is bound to has been deleted")
        if is_deleting(obj) and bound.kind == "Secret":
            raise Unauthorized("the Secret that the token is bound to is being deleted")

    def _check_held(self, identity: TokenIdentity, token: str) -> None:
        """What is taken out of its Secret, or exchanged there, is good no longer."""
        secret = self._objects.find(SECRETS, Key(identity.namespace, identity.secret))
        if secret is None or is_deleting(secret):
            raise Unauthorized("the Secret of the token has been deleted")
        held = section(secret, "data").get("token")
        if not compare_digest(str(held).encode(), b64encode(token.encode())):
            raise Unauthorized("the Secret of the token does not hold it any more")


def _extra(identity: TokenIdentity) -> dict[str, tuple[str, ...]]:
    if not identity.token_id:
        return {}
    extra = {f"{_EXTRA}/credential-id": (f"JTI={identity.token_id}",)}
    if identity.bound_to is not None:
        kind = identity.bound_to.kind.lower()
        extra[f"{_EXTRA}/{kind}-name"] = (identity.bound_to.name,)
        extra[f"{_EXTRA}/{kind}-uid"] = (identity.bound_to.uid,)
    return extra
