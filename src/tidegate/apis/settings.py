"""Knative's ConfigMaps as frozen settings, and the holder that admission reads them from.

Source of keys and defaults: Knative Serving's `config-defaults`, `config-features`,
`config-network`, `config-domain`, `config-gc`, `config-deployment` and `config-autoscaler`. The
serving controllers watch the ConfigMaps and put every change into `ADMISSION`; until they have
read them, and where they do not run, Knative's defaults hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pydantic import BaseModel

from tidegate.apis.autoscaler_config import AutoscalerConfig, parse_config
from tidegate.apis.parsing import (
    Parsers,
    read_boolean,
    read_duration,
    read_integer,
    read_keys,
    read_quantity,
    read_yaml,
)
from tidegate.apis.templates import check_template
from tidegate.kube.errors import UserError

NAMESPACE = "knative-serving"
CLUSTER_LOCAL_DOMAIN = "svc.cluster.local"

_SECURE_PODS = "secure-pod-defaults"
MAX_INT32 = 2**31 - 1

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

    @property
    def secure_pods(self) -> str:
        """`secure-pod-defaults`: disabled, allowrootbounded, or enabled."""
        return self.flags.get(_SECURE_PODS, "disabled")

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
    external_domain_tls: bool = False


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
    digest_resolution_timeout: int = 10
    registries_skipping_tag_resolving: frozenset[str] = frozenset(
        {"kind.local", "ko.local", "dev.local"}
    )


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
        parsers: dict[str, tuple[str, Callable[[Data], Any]]] = {
            "config-defaults": ("defaults", _defaults),
            "config-features": ("features", _features),
            "config-network": ("network", _network),
            "config-domain": ("domains", _domains),
            "config-gc": ("gc", _gc),
            "config-deployment": ("deployment", _deployment),
            "config-autoscaler": ("autoscaler", parse_config),
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


_QUANTITIES = frozenset(
    f"revision_{name}_{section}"
    for name in ("cpu", "memory", "ephemeral_storage")
    for section in ("request", "limit")
)


def _key(name: str) -> str:
    return name.replace("_", "-")


def _parsers(cls: type[Any], **special: Callable[[str], Any]) -> Parsers:
    """What reads each field of a dataclass from the key of its name, dashes for underscores."""
    return {
        _key(item.name): (item.name, special.get(item.name) or _plain(item.default))
        for item in fields(cls)
    }


def _plain(default: object) -> Callable[[str], Any]:
    if isinstance(default, bool):
        return read_boolean
    return read_integer if isinstance(default, int) else _text


def _text(text: str) -> str:
    return text.strip()


def _whole_seconds(text: str) -> int:
    seconds = read_duration(text)
    if seconds <= 0:
        raise ValueError(f"cannot be a non-positive duration, was {text}")
    if seconds != int(seconds):
        raise ValueError(f"must be rounded to a whole second, was: {text}")
    return int(seconds)


def _registries(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _one_of(*choices: str) -> Callable[[str], str]:
    """Reads one of a few words, in any case."""

    def parse(text: str) -> str:
        for choice in choices:
            if text.strip().lower() == choice.lower():
                return choice
        raise ValueError(f'"{text}" is none of {", ".join(choices)}')

    return parse


def _defaults(data: Data) -> Defaults:
    parsers = _parsers(
        Defaults,
        container_name_template=check_template,
        init_container_name_template=check_template,
        **dict.fromkeys(_QUANTITIES, read_quantity),
    )
    found = Defaults(**read_keys(data, parsers))
    timeout, maximum = found.revision_timeout_seconds, found.max_revision_timeout_seconds
    if timeout > maximum:
        raise ValueError(
            f"revision-timeout-seconds ({timeout}) cannot be greater than "
            f"max-revision-timeout-seconds ({maximum})"
        )
    for key, value in (
        ("revision-response-start-timeout-seconds", found.revision_response_start_timeout_seconds),
        ("revision-idle-timeout-seconds", found.revision_idle_timeout_seconds),
    ):
        # The default of the one must not keep an operator from lowering the other alone.
        if key in data and value > timeout:
            raise ValueError(
                f"{key} ({value}) cannot be greater than revision-timeout-seconds ({timeout})"
            )
    limit, concurrency = found.container_concurrency_max_limit, found.container_concurrency
    if limit < 1:
        raise ValueError(f"expected 1 <= {limit} <= {MAX_INT32}: container-concurrency-max-limit")
    if not 0 <= concurrency <= limit:
        raise ValueError(f"expected 0 <= {concurrency} <= {limit}: container-concurrency")
    return found


def _is_enabled(text: str) -> bool:
    return _one_of("enabled", "disabled")(text) == "enabled"


def _features(data: Data) -> Features:
    flag = _one_of("enabled", "allowed", "disabled")
    parsers: Parsers = {key: (key, flag) for key in data}
    secure = _one_of("enabled", "allowrootbounded", "allowed", "disabled")
    return Features(read_keys(data, {**parsers, _SECURE_PODS: (_SECURE_PODS, secure)}))


def _network(data: Data) -> Network:
    # The key's name until Knative 1.12, which the new one overrides.
    old = {"external-domain-tls": data["auto-tls"]} if "auto-tls" in data else {}
    network = Network(
        **read_keys(
            {**old, **data},
            _parsers(
                Network,
                domain_template=check_template,
                tag_template=check_template,
                external_domain_tls=_is_enabled,
            ),
        )
    )
    if network.http_protocol.lower() not in ("enabled", "redirected"):
        raise ValueError(
            f"httpProtocol {network.http_protocol} in config-network ConfigMap is not supported"
        )
    if network.rollout_duration < 0:
        raise ValueError(
            f"rollout-duration must be a positive integer, but was {network.rollout_duration}"
        )
    read_keys(data, _UNUSED_NETWORK_KEYS)
    return network


class _DomainEntry(BaseModel):
    selector: dict[str, str] | None = None


def _domains(data: Data) -> tuple[Domain, ...]:
    domains: list[Domain] = []
    for name, text in data.items():
        try:
            entry = _DomainEntry.model_validate(read_yaml(text) or {}, strict=True)
        except ValueError as error:
            raise ValueError(f"{name}: expected `selector:` with labels, got {text!r}") from error
        domains.append(Domain(name, entry.selector or {}))
    return tuple(domains)


def _gc(data: Data) -> GarbageCollection:
    found = GarbageCollection(
        **read_keys(
            data,
            {
                _key(name): (name, parse)
                for name, parse in (
                    ("retain_since_create_time", _or_disabled(_age)),
                    ("retain_since_last_active_time", _or_disabled(_age)),
                    ("min_non_active_revisions", _count),
                    ("max_non_active_revisions", _or_disabled(_count)),
                )
            },
        )
    )
    low, high = found.min_non_active_revisions, found.max_non_active_revisions
    if high is not None and low > high:
        raise ValueError(
            f"min-non-active-revisions({low}) must be <= max-non-active-revisions({high})"
        )
    return found


def _or_disabled(parse: Callable[[str], int]) -> Callable[[str], int | None]:
    return lambda text: None if text.strip().lower() == "disabled" else parse(text)


def _age(text: str) -> int:
    seconds = read_duration(text)
    if seconds < 0:
        raise ValueError("must be non-negative")
    return int(seconds)


def _count(text: str) -> int:
    count = read_integer(text)
    if count < 0:
        raise ValueError("must be non-negative")
    return count


def _deployment(data: Data) -> Deployment:
    parsers = _parsers(
        Deployment,
        progress_deadline=_whole_seconds,
        digest_resolution_timeout=_whole_seconds,
        registries_skipping_tag_resolving=_registries,
    )
    read_keys(data, _UNUSED_DEPLOYMENT_KEYS)
    return Deployment(**read_keys(data, parsers))


def _unused(parse: Callable[[str], Any], *keys: str) -> Parsers:
    return {key: (key, parse) for key in keys}


# Keys that change nothing here are checked all the same: who mistypes one shall hear of it.
_UNUSED_NETWORK_KEYS = {
    **_unused(read_boolean, "enable-mesh-pod-addressability"),
    **_unused(_one_of("enabled", "disabled", "auto"), "mesh-compatibility-mode"),
    **_unused(_one_of("enabled", "disabled"), "auto-tls"),
    **_unused(_one_of("enabled", "disabled"), "cluster-local-domain-tls", "system-internal-tls"),
}
_UNUSED_DEPLOYMENT_KEYS = {
    **_unused(
        read_quantity,
        *(
            f"queue-sidecar-{name}-{section}"
            for name in ("cpu", "memory", "ephemeral-storage")
            for section in ("request", "limit")
        ),
    ),
    **_unused(_one_of("prefer-spread-revision-over-nodes", "none"), "default-affinity-type"),
}
