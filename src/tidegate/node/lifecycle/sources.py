"""The ConfigMaps and Secrets a pod refers to, read when a container is created."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from tidegate.kube.client import Client
from tidegate.kube.errors import NotFound, UserError
from tidegate.kube.resources import CONFIG_MAPS, SECRETS


class ConfigError(UserError):
    """The pod refers to something that is not there; it waits with CreateContainerConfigError."""


class MountError(ConfigError):
    """A volume cannot be made yet; the pod waits with ContainerCreating, an event says why."""


class Sources:
    """Reads each object once; make a new one for each container start."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._known: dict[tuple[str, str], Mapping[str, bytes] | None] = {}

    async def config_map(self, name: str, *, optional: bool = False) -> Mapping[str, bytes]:
        """The contents of a ConfigMap; empty if it may be missing and is. Raises ConfigError."""
        return await self._read("configmap", name, optional)

    async def secret(self, name: str, *, optional: bool = False) -> Mapping[str, bytes]:
        """The contents of a Secret. Raises ConfigError."""
        return await self._read("secret", name, optional)

    async def _read(self, kind: str, name: str, optional: bool) -> Mapping[str, bytes]:
        key = (kind, name)
        if key not in self._known:
            self._known[key] = await self._fetch(kind, name)
        contents = self._known[key]
        if contents is None and not optional:
            raise ConfigError(f'{kind} "{name}" not found')
        return contents or {}

    async def _fetch(self, kind: str, name: str) -> Mapping[str, bytes] | None:
        resource = CONFIG_MAPS if kind == "configmap" else SECRETS
        try:
            obj = await self._client.get(resource, name, namespace=self._namespace)
        except NotFound:
            return None
        data: Mapping[str, Any] = obj.get("data") or {}
        encoded: Mapping[str, Any] = obj.get("binaryData") or {}
        if kind == "secret":
            return {key: _decode(value) for key, value in data.items()}
        plain = {key: str(value).encode() for key, value in data.items()}
        return {**plain, **{key: _decode(value) for key, value in encoded.items()}}


def _decode(value: Any) -> bytes:
    try:
        return base64.b64decode(str(value))
    except binascii.Error as error:
        raise ConfigError(f"a value is not base64: {error}") from error
