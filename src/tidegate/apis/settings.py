"""Knative's ConfigMaps as frozen settings, and the holder that admission reads them from.

Source of keys and defaults: Knative Serving's `config-defaults`, `config-features`,
`config-network`, `config-domain`, `config-gc`, `config-deployment` and `config-autoscaler`. The
serving controllers watch the ConfigMaps and put every change into `ADMISSION`; until they have
read them, and where they do not run, Knative's defaults hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.apis.autoscaler_config import AutoscalerConfig, parse_config
from tidegate.apis.config_parsers import (
    Data,
    parse_defaults,
    parse_deployment,
    parse_domains,
    parse_features,
    parse_gc,
    parse_network,
)
from tidegate.apis.config_sections import (
    Defaults,
    Deployment,
    Domain,
    Features,
    GarbageCollection,
    Network,
)
from tidegate.kube.errors import UserError

NAMESPACE = "knative-serving"
CLUSTER_LOCAL_DOMAIN = "svc.cluster.local"


# The field of `Settings` that each ConfigMap fills, and what reads it.
_PARSERS: dict[str, tuple[str, Callable[[Data], Any]]] = {
    "config-autoscaler": ("autoscaler", parse_config),
    "config-defaults": ("defaults", parse_defaults),
    "config-deployment": ("deployment", parse_deployment),
    "config-domain": ("domains", parse_domains),
    "config-features": ("features", parse_features),
    "config-gc": ("gc", parse_gc),
    "config-network": ("network", parse_network),
}
CONFIG_MAPS = tuple(_PARSERS)


class SettingError(UserError):
    """A ConfigMap holds a value that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """All of them."""

    defaults: Defaults = field(default_factory=Defaults)
    features: Features = field(default_factory=Features)
    network: Network = field(default_factory=Network)
    domains: tuple[Domain, ...] = ()
    gc: GarbageCollection = field(default_factory=GarbageCollection)
    deployment: Deployment = field(default_factory=Deployment)
    autoscaler: AutoscalerConfig = field(default_factory=AutoscalerConfig)

    def with_config_map(self, name: str, data: Data) -> Settings:
        """These settings with one ConfigMap's `data` in force; others' names change nothing.

        Raises:
            SettingError: a value cannot be used; names the ConfigMap and the key.
        """
        if name not in _PARSERS:
            return self
        section, parse = _PARSERS[name]
        usable = {key: value for key, value in data.items() if not key.startswith("_")}
        try:
            return replace(self, **{section: parse(usable)})
        except ValueError as error:
            raise SettingError(f"ConfigMap {NAMESPACE}/{name}: {error}") from error


class SettingsHolder:
    """The settings in force; replaced as a whole."""

    def __init__(self) -> None:
        self.current = Settings()


ADMISSION = SettingsHolder()
