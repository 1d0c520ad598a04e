"""Gives every namespace its `default` ServiceAccount and the API's root certificate."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.kube.controller import Context, Controller, Mapper
from tidegate.kube.errors import AlreadyExists
from tidegate.kube.objects import Key, Object, is_deleting, name_of, namespace_of
from tidegate.kube.resources import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS

DEFAULT_ACCOUNT = "default"
ROOT_CA_CONFIG_MAP = "kube-root-ca.crt"
_ROOT_CA_KEY = "ca.crt"


class ServiceAccountController:
    """Reconciles namespaces.

    Args:
        context: client, informers, clock.
        root_ca: PEM text that pods trust when they talk to the API.
    """

    def __init__(self, context: Context, *, root_ca: str) -> None:
        self._client = context.client
        self._root_ca = root_ca
        self._namespaces = context.informers.of(NAMESPACES)
        self._accounts = context.informers.of(SERVICE_ACCOUNTS)
        self._config_maps = context.informers.of(CONFIG_MAPS)
        self.controller = (
            Controller("serviceaccount", self.reconcile, clock=context.clock)
            .watch(self._namespaces)
            .watch(self._accounts, _namespace_of(DEFAULT_ACCOUNT))
            .watch(self._config_maps, _namespace_of(ROOT_CA_CONFIG_MAP))
        )

    async def reconcile(self, key: Key) -> float | None:
        """Create what one namespace lacks and put its certificate right."""
        namespace = self._namespaces.get(key.name)
        if namespace is None or is_deleting(namespace):
            return None
        if self._accounts.get(DEFAULT_ACCOUNT, key.name) is None:
            await self._create_account(key.name)
        await self._put_root_ca(key.name)
        return None

    async def _create_account(self, namespace: str) -> None:
        account: Object = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": DEFAULT_ACCOUNT, "namespace": namespace},
        }
        try:
            await self._client.create(SERVICE_ACCOUNTS, account)
        except AlreadyExists:
            return

    async def _put_root_ca(self, namespace: str) -> None:
        data = {_ROOT_CA_KEY: self._root_ca}
        known = self._config_maps.get(ROOT_CA_CONFIG_MAP, namespace)
        if known is None:
            config_map: Object = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": ROOT_CA_CONFIG_MAP, "namespace": namespace},
                "data": data,
            }
            await self._client.create(CONFIG_MAPS, config_map)
        elif known.get("data") != data:
            await self._client.patch(
                CONFIG_MAPS, ROOT_CA_CONFIG_MAP, {"data": data}, namespace=namespace
            )


def _namespace_of(name: str) -> Mapper:
    def mapper(obj: Object) -> Iterable[Key]:
        return (Key("", namespace_of(obj)),) if name_of(obj) == name else ()

    return mapper
