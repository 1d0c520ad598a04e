"""Fills Secrets of the type `kubernetes.io/service-account-token`, and deletes those whose account
is gone, as Kubernetes' controller of tokens does."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Protocol

from tidegate.kube.controller import Context, Controller
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    resource_version_of,
    uid_of,
)
from tidegate.kube.resources import SECRETS, SERVICE_ACCOUNTS

_TYPE = "kubernetes.io/service-account-token"
_NAME = "kubernetes.io/service-account.name"
_UID = "kubernetes.io/service-account.uid"


class SignToken(Protocol):
    """Makes a token of the account `name`, which is good while the Secret `secret` holds it."""

    def __call__(self, *, namespace: str, name: str, uid: str, secret: str) -> str: ...


class AccountTokenController:
    """Reconciles Secrets.

    Args:
        context: client, informers, clock.
        root_ca: PEM text by which clients trust the API.
        sign: makes the tokens.
    """

    def __init__(self, context: Context, *, root_ca: str, sign: SignToken) -> None:
        self._client = context.client
        self._root_ca = _encoded(root_ca)
        self._sign = sign
        self._secrets = context.informers.of(SECRETS)
        self._accounts = context.informers.of(SERVICE_ACCOUNTS)
        self.controller = (
            Controller("serviceaccount-tokens", self.reconcile, clock=context.clock)
            .watch(self._secrets, _own_token)
            .watch(self._accounts, self._tokens_of)
        )

    async def reconcile(self, key: Key) -> float | None:
        """Fill one Secret, or delete it if there is no such account."""
        secret = self._secrets.get(key.name, key.namespace)
        if secret is None or is_deleting(secret) or not _account_named(secret):
            return None
        account = await self._account(secret)
        if account is None:
            await self._client.delete(
                SECRETS,
                key.name,
                namespace=key.namespace,
                uid=uid_of(secret),
                resource_version=resource_version_of(secret),
            )
        else:
            await self._fill(secret, account)
        return None

    async def _account(self, secret: Object) -> Object | None:
        """As it is now: a cache that lags must not cost anybody a Secret."""
        try:
            account = await self._client.get(
                SERVICE_ACCOUNTS, _account_named(secret), namespace=namespace_of(secret)
            )
        except NotFound:
            return None
        return account if annotations_of(secret).get(_UID) in (None, "", uid_of(account)) else None

    async def _fill(self, secret: Object, account: Object) -> None:
        namespace, name = namespace_of(secret), name_of(secret)
        held: Object = secret.get("data") or {}
        missing: Object = {}
        if held.get("ca.crt") != self._root_ca:
            missing["ca.crt"] = self._root_ca
        if not held.get("namespace"):
            missing["namespace"] = _encoded(namespace)
        if not held.get("token"):
            missing["token"] = _encoded(
                self._sign(
                    namespace=namespace, name=name_of(account), uid=uid_of(account), secret=name
                )
            )
        if not missing and annotations_of(secret).get(_UID):
            return
        metadata = {
            "uid": uid_of(secret),
            "resourceVersion": resource_version_of(secret),
            "annotations": {_UID: uid_of(account)},
        }
        patch = {"metadata": metadata, "data": missing}
        await self._client.patch(SECRETS, name, patch, namespace=namespace)

    def _tokens_of(self, account: Object) -> Iterable[Key]:
        return [
            key_of(secret)
            for secret in self._secrets.items(namespace_of(account))
            if _account_named(secret) == name_of(account)
        ]


def _own_token(secret: Object) -> Iterable[Key]:
    return (key_of(secret),) if _account_named(secret) else ()


def _account_named(secret: Object) -> str:
    """The account whose token a Secret is for; empty for other Secrets."""
    return str(annotations_of(secret).get(_NAME) or "") if secret.get("type") == _TYPE else ""


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()
