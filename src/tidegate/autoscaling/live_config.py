"""`config-autoscaler` as it is now; what cannot be used leaves the former settings in force."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tidegate.apis.autoscaler_config import AutoscalerConfig, parse_config
from tidegate.apis.settings import NAMESPACE
from tidegate.kube.controller import Context
from tidegate.kube.objects import Object, name_of
from tidegate.kube.resources import CONFIG_MAPS

logger = logging.getLogger(__name__)

_NAME = "config-autoscaler"


class LiveConfig:
    """Follows the ConfigMap and says when it changes.

    Attributes:
        current: the configuration in force.
    """

    def __init__(self, context: Context) -> None:
        self.current = AutoscalerConfig()
        self._listeners: list[Callable[[], None]] = []
        self.informer = context.informers.of(CONFIG_MAPS, namespace=NAMESPACE)
        self.informer.add_handler(self._changed)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change."""
        self._listeners.append(listener)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        known = new or old
        if known is None or name_of(known) != _NAME:
            return
        try:
            config = parse_config((new or {}).get("data") or {})
        except ValueError as error:
            logger.warning("ConfigMap %s: %s; the former settings stay in force", _NAME, error)
            return
        if config != self.current:
            self.current = config
            for listener in self._listeners:
                listener()
