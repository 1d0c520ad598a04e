"""The settings of the controllers: what the composition gives and what ConfigMaps say, live."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.apis.settings import ADMISSION, CONFIG_MAPS, NAMESPACE, SettingError, Settings
from tidegate.kube.controller import Context
from tidegate.kube.errors import AlreadyExists, ApiError
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Object, name_of
from tidegate.kube.resources import CONFIG_MAPS as CONFIG_MAP_RESOURCE

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class ServingSettings:
    """What the composition tells serving.

    Attributes:
        domain: below which URLs are made when `config-domain` names no other.
        gateway_port: where clients reach the gateway; part of URLs unless it is 80.
        ingress_class: whose gateways take the Routes.
    """

    domain: str = "localhost"
    gateway_port: int = 8080
    ingress_class: str = "tidegate.ingress.networking.knative.dev"


class ConfigStore:
    """Keeps `current` equal to the ConfigMaps, for the controllers and for admission.

    A ConfigMap that cannot be read leaves its former settings in force.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._listeners: list[Callable[[], None]] = []
        self.current = Settings()
        self.informer: Informer = context.informers.of(CONFIG_MAP_RESOURCE, namespace=NAMESPACE)
        self.informer.add_handler(self._changed)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of the settings."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Create the ConfigMaps that are absent, so that users find what they may set."""
        await self.informer.wait_synced()
        for name in CONFIG_MAPS:
            while not await self._ensure(name):
                await self._context.clock.sleep(_RETRY_SECONDS)

    async def _ensure(self, name: str) -> bool:
        if self.informer.get(name, NAMESPACE) is not None:
            return True
        config_map: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "data": {},
        }
        try:
            await self._context.client.create(CONFIG_MAP_RESOURCE, config_map)
        except AlreadyExists:
            return True
        except ApiError as error:
            logger.warning("ConfigMap %s/%s cannot be created: %s", NAMESPACE, name, error)
            return False
        return True

    def _changed(self, old: Object | None, new: Object | None) -> None:
        present = new or old
        if present is None:
            return
        data: dict[str, str] = (new or {}).get("data") or {}
        try:
            settings = self.current.with_config_map(name_of(present), data)
        except SettingError as error:
            logger.error("%s; its former settings stay in force", error)
            return
        if settings == self.current:
            return
        self.current = settings
        ADMISSION.current = settings
        for listener in self._listeners:
            listener()
