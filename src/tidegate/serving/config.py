"""The settings of the controllers: what the composition gives and what ConfigMaps say, live."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.apis.settings import ADMISSION, CONFIG_MAPS, NAMESPACE, SettingError, Settings
from tidegate.kube.controller import Context, Controller
from tidegate.kube.events import EventRecorder
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Key, Object, key_of, name_of
from tidegate.kube.resources import CONFIG_MAPS as CONFIG_MAP_RESOURCE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServingSettings:
    """What the composition tells serving.

    Attributes:
        domain: below which URLs are made when `config-domain` names no other.
        gateway_port: where clients reach the gateway; part of URLs unless it is 80.
        https_port: where they reach it over TLS, 0 for nowhere; part of URLs unless it is 443.
        gateway_address: the gateway's address on this machine.
        ingress_class: whose gateways take the Routes.
    """

    domain: str = "localhost"
    gateway_port: int = 8080
    gateway_address: str = "127.0.0.1"
    https_port: int = 0
    ingress_class: str = "tidegate.ingress.networking.knative.dev"


class ConfigStore:
    """Keeps `current` equal to the ConfigMaps, for the controllers and for admission.

    The settings change in the informer's handler, so that no reconciler sees a ConfigMap before
    its settings. A ConfigMap that cannot be read leaves its former settings in force; an event
    on it says why. One that is absent is created, so that users find what they may set.
    """

    def __init__(self, context: Context, recorder: EventRecorder) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = recorder
        self._listeners: list[Callable[[], None]] = []
        self.current = Settings()
        self._informer = context.informers.of(CONFIG_MAP_RESOURCE, namespace=NAMESPACE)
        self._informer.add_handler(self._changed)

    def requeue(self, controller: Controller, informer: Informer) -> None:
        """Have `controller` look at every object of `informer` after every change."""

        def requeue_all() -> None:
            for obj in informer.items():
                controller.queue.add(key_of(obj))

        self._listeners.append(requeue_all)

    def controller(self) -> Controller:
        """Keeps the ConfigMaps there and reports what is wrong with them."""
        controller = Controller("config", self.reconcile, clock=self._clock, workers=1)
        controller.watch(self._informer)
        for name in CONFIG_MAPS:
            controller.queue.add(Key(NAMESPACE, name))
        return controller

    async def reconcile(self, key: Key) -> None:
        if key.name not in CONFIG_MAPS:
            return
        config_map = self._informer.get(key.name, NAMESPACE)
        if config_map is None:
            await self._client.create(CONFIG_MAP_RESOURCE, _empty(key.name))
            return
        try:
            Settings().with_config_map(key.name, config_map.get("data") or {})
        except SettingError as error:
            message = f"{error}; the former settings stay in force"
            logger.error(message)
            await self._recorder.warning(config_map, "InvalidConfiguration", message)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        present = new or old
        if present is None:
            return
        data: dict[str, str] = (new or {}).get("data") or {}
        try:
            settings = self.current.with_config_map(name_of(present), data)
        except SettingError:
            return
        if settings == self.current:
            return
        self.current = settings
        ADMISSION.current = settings
        for listener in self._listeners:
            listener()


def _empty(name: str) -> Object:
    return {
        "apiVersion": CONFIG_MAP_RESOURCE.api_version,
        "kind": CONFIG_MAP_RESOURCE.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {},
    }
