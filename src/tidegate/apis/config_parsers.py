"""Reads Knative's ConfigMaps but that of the autoscaler: keys, bounds and words are Knative's.

Every function takes a ConfigMap's `data` without its examples, and raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import BaseModel

from tidegate.apis.config_sections import (
    SECURE_PODS,
    Defaults,
    Deployment,
    Domain,
    Features,
    GarbageCollection,
    Network,
)
from tidegate.apis.parsing import (
    MAX_INT32,
    Parsers,
    read_boolean,
    read_duration,
    read_integer,
    read_keys,
    read_quantity,
    read_yaml,
)
from tidegate.apis.templates import check_template

Data = Mapping[str, str]
_Number = TypeVar("_Number", int, float)

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


def parse_defaults(data: Data) -> Defaults:
    """`config-defaults`."""
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


def parse_features(data: Data) -> Features:
    """`config-features`."""
    flag = _one_of("enabled", "allowed", "disabled")
    parsers: Parsers = {key: (key, flag) for key in data}
    secure = _one_of("enabled", "allowrootbounded", "allowed", "disabled")
    return Features(read_keys(data, {**parsers, SECURE_PODS: (SECURE_PODS, secure)}))


def parse_network(data: Data) -> Network:
    """`config-network`."""
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


def parse_domains(data: Data) -> tuple[Domain, ...]:
    """`config-domain`."""
    domains: list[Domain] = []
    for name, text in data.items():
        try:
            entry = _DomainEntry.model_validate(read_yaml(text) or {}, strict=True)
        except ValueError as error:
            raise ValueError(f"{name}: expected `selector:` with labels, got {text!r}") from error
        domains.append(Domain(name, entry.selector or {}))
    return tuple(domains)


def parse_gc(data: Data) -> GarbageCollection:
    """`config-gc`."""
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
    return int(_not_negative(read_duration(text)))


def _count(text: str) -> int:
    return _not_negative(read_integer(text))


def _not_negative(number: _Number) -> _Number:
    if number < 0:
        raise ValueError("must be non-negative")
    return number


def parse_deployment(data: Data) -> Deployment:
    """`config-deployment`."""
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
