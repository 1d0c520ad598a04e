"""Knative's ConfigMaps as frozen settings, and the holder that admission reads them from.

Source of keys and defaults: Knative Serving's `config-defaults`, `config-features`,
`config-network`, `config-domain`, `config-gc`, `config-deployment` and `config-autoscaler`. The
serving controllers watch the ConfigMaps and put every change into `ADMISSION`; until they have
read them, and where they do not run, Knative's defaults hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import yaml

from tidegate.apis.autoscaling import KPA_CLASS
from tidegate.apis.durations import parse_duration
from tidegate.kube.errors import UserError

NAMESPACE = "knative-serving"
CLUSTER_LOCAL_DOMAIN = "svc.cluster.local"

Data = Mapping[str, str]


class SettingError(UserError):
    """A ConfigMap holds a value that cannot be used."""


@dataclass(frozen=True)
class Defaults:
    """`config-defaults`; resources are None where the operator sets none."""

    revision_timeout_seconds: int = 300
    max_revision_timeout_seconds: int = 600
    revision_response_start_timeout_seconds: int = 300
    revision_idle_timeout_seconds: int = 0
    revision_cpu_request: str | None = None
    revision_memory_request: str | None = None
    revision_ephemeral_storage_request: str | None = None
    revision_cpu_limit: str | None = None
    revision_memory_limit: str | None = None
    revision_ephemeral_storage_limit: str | None = None
    container_name_template: str = "user-container"
    init_container_name_template: str = "init-container"
    container_concurrency: int = 0
    container_concurrency_max_limit: int = 1000
    allow_container_concurrency_zero: bool = True
    enable_service_links: bool = False


@dataclass(frozen=True)
class Features:
    """`config-features`: flags that differ from their defaults, by key, lower case."""

    flags: Mapping[str, str] = field(default_factory=dict[str, str])

    _ENABLED = frozenset({"multi-container", "kubernetes.podspec-volumes-emptydir"})

    def is_enabled(self, flag: str) -> bool:
        default = "enabled" if flag in self._ENABLED else "disabled"
        return self.flags.get(flag, default) == "enabled"

    def is_allowed(self, flag: str) -> bool:
        """Whether users may use the feature, be it on by default or not."""
        return self.is_enabled(flag) or self.flags.get(flag) == "allowed"


@dataclass(frozen=True)
class Network:
    """`config-network`; an empty `ingress_class` leaves the choice to the composition."""

    ingress_class: str = ""
    domain_template: str = "{{.Name}}.{{.Namespace}}.{{.Domain}}"
    tag_template: str = "{{.Tag}}-{{.Name}}"
    rollout_duration: int = 0
    autocreate_cluster_domain_claims: bool = False
    default_external_scheme: str = "http"
    http_protocol: str = "Enabled"


@dataclass(frozen=True)
class Domain:
    """One entry of `config-domain`: used for Routes whose labels match; none matches all."""

    name: str
    selector: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class GarbageCollection:
    """`config-gc`: seconds and counts, None where disabled."""

    retain_since_create_time: int | None = 48 * 3600
    retain_since_last_active_time: int | None = 15 * 3600
    min_non_active_revisions: int = 20
    max_non_active_revisions: int | None = 1000


@dataclass(frozen=True)
class Deployment:
    """`config-deployment`, as far as it means something without a sidecar."""

    progress_deadline: int = 600
    pod_is_always_schedulable: bool = False


@dataclass(frozen=True)
class Autoscaler:
    """The part of `config-autoscaler` that admission and Deployments need."""

    initial_scale: int = 1
    allow_zero_initial_scale: bool = False
    max_scale_limit: int = 0
    pod_autoscaler_class: str = KPA_CLASS


@dataclass(frozen=True)
class Settings:
    """All of them."""

    defaults: Defaults = field(default_factory=Defaults)
    features: Features = field(default_factory=Features)
    network: Network = field(default_factory=Network)
    domains: tuple[Domain, ...] = ()
    gc: GarbageCollection = field(default_factory=GarbageCollection)
    deployment: Deployment = field(default_factory=Deployment)
    autoscaler: Autoscaler = field(default_factory=Autoscaler)

    def with_config_map(self, name: str, data: Data) -> Settings:
        """These settings with one ConfigMap's `data` in force; others' names change nothing.

        Raises:
            SettingError: a value cannot be used; names the ConfigMap and the key.
        """
        parsers: dict[str, tuple[str, Callable[[Data], Any]]] = {
            "config-defaults": ("defaults", _reader(Defaults)),
            "config-features": ("features", _features),
            "config-network": ("network", _network),
            "config-domain": ("domains", _domains),
            "config-gc": ("gc", _gc),
            "config-deployment": ("deployment", _reader(Deployment)),
            "config-autoscaler": ("autoscaler", _reader(Autoscaler)),
        }
        if name not in parsers:
            return self
        section, parse = parsers[name]
        usable = {key: value for key, value in data.items() if not key.startswith("_")}
        try:
            return replace(self, **{section: parse(usable)})
        except ValueError as error:
            raise SettingError(f"ConfigMap {NAMESPACE}/{name}: {error}") from error


CONFIG_MAPS = (
    "config-autoscaler",
    "config-defaults",
    "config-deployment",
    "config-domain",
    "config-features",
    "config-gc",
    "config-network",
)


class SettingsHolder:
    """The settings in force; replaced as a whole."""

    def __init__(self) -> None:
        self.current = Settings()


ADMISSION = SettingsHolder()


_TEMPLATE_TERM = re.compile(
    r"\{\{-?\s*(\.\w+|index\s+\.(Annotations|Labels)\s+\"[^\"]+\")\s*-?\}\}"
)
_TIMES = ("-seconds", "-duration", "-deadline")


def _reader(cls: type[Any]) -> Callable[[Data], Any]:
    """A parser that fills a dataclass by its fields' names, dashes for underscores."""

    def read(data: Data) -> Any:
        values: dict[str, Any] = {}
        for item in fields(cls):
            key = item.name.replace("_", "-")
            if key in data:
                values[item.name] = _value(key, data[key], item.default)
        return cls(**values)

    return read


def _value(key: str, text: str, default: object) -> object:
    text = text.strip()
    if isinstance(default, bool):
        return text.lower() == "true"
    if isinstance(default, int):
        return _seconds(key, text) if key.endswith(_TIMES) else _number(key, text)
    return text


def _number(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"{key}: {text!r} is no whole number") from error


def _seconds(key: str, text: str) -> int:
    """Seconds, written as a plain number or as a duration."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return int(parse_duration(text))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _features(data: Data) -> Features:
    flags = {key: value.strip().lower() for key, value in data.items()}
    for key, value in flags.items():
        if value not in ("enabled", "allowed", "disabled"):
            raise ValueError(f"{key}: {value!r} is none of Enabled, Allowed, Disabled")
    return Features(flags)


def _network(data: Data) -> Network:
    for key in ("domain-template", "tag-template"):
        if "{{" in _TEMPLATE_TERM.sub("", data.get(key, "")):
            raise ValueError(
                f"{key}: {data[key]!r} has terms other than fields, as {{{{.Name}}}}, "
                'and {{index .Annotations "key"}}'
            )
    read = _reader(Network)
    network: Network = read(data)
    if network.http_protocol.lower() not in ("enabled", "redirected"):
        raise ValueError(f"http-protocol: {network.http_protocol!r} is none of Enabled, Redirected")
    return network


def _domains(data: Data) -> tuple[Domain, ...]:
    domains: list[Domain] = []
    for name, text in data.items():
        try:
            parsed: Any = yaml.safe_load(text) or {}
            selector: Mapping[str, str] = parsed.get("selector") or {}
        except (yaml.YAMLError, AttributeError) as error:
            raise ValueError(f"{name}: expected `selector:` with labels, got {text!r}") from error
        domains.append(Domain(name, dict(selector)))
    return tuple(domains)


def _gc(data: Data) -> GarbageCollection:
    values: dict[str, int | None] = {}
    for item in fields(GarbageCollection):
        key = item.name.replace("_", "-")
        if key not in data:
            continue
        text = data[key].strip()
        if text == "disabled" and item.name != "min_non_active_revisions":
            values[item.name] = None
        elif item.name.startswith("retain"):
            values[item.name] = _seconds(key, text)
        else:
            values[item.name] = _number(key, text)
    return GarbageCollection(**values)  # pyright: ignore[reportArgumentType]
