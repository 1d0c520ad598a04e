"""From KIngress objects to the entries of HAProxy's map of routes.

A host with one target has the target's slot as value. A split host has the name of its split,
`%` and a digest of what it says; under `%digest|0` to `%digest|99` the map has a slot for each of
100 equal shares. So a host changes over from one split to another in one step, whatever the
number of entries behind it. `host|tag:<tag>` is what the header `Knative-Serving-Tag` leads to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from tidegate.apis.networking import INGRESS_CLASS_ANNOTATION
from tidegate.gateway.model import HostRoute, Split
from tidegate.kube.errors import UserError
from tidegate.kube.objects import Key, Object, annotations_of, namespace_of

_SHARES = 100
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_TAG_HEADER = "knative-serving-tag"
_CLASS = "tidegate.ingress.networking.knative.dev"

SlotOf = Callable[[Key], "str | None"]


class RouteError(UserError):
    """A KIngress that the gateway cannot serve as it is."""


def is_ours(ingress: Object) -> bool:
    """Whether the KIngress is for this kind of gateway; one without a class is."""
    return annotations_of(ingress).get(INGRESS_CLASS_ANNOTATION, _CLASS) == _CLASS


def host_routes(ingress: Object) -> list[HostRoute]:
    """What a KIngress says, one entry per host and tag.

    Raises:
        RouteError: percents that do not sum to 100, or a feature the gateway lacks.
    """
    routes: list[HostRoute] = []
    spec: Object = ingress.get("spec") or {}
    for number, rule in enumerate(_list(spec, "rules")):
        is_local = rule.get("visibility") == "ClusterLocal"
        redirects = spec.get("httpOption") == "Redirected" and not is_local
        for place, path in enumerate(_list(rule.get("http"), "paths")):
            where = f"spec.rules[{number}].http.paths[{place}]"
            tag = _tag(path, where)
            splits = _splits(path, namespace_of(ingress), where)
            hosts = [_host(host, where) for host in _list(rule, "hosts")]
            routes += [HostRoute(host, tag, splits, is_local, redirects) for host in hosts]
    return routes


def secrets(ingress: Object) -> dict[str, Key]:
    """The Secrets whose certificates a KIngress gives for its hosts."""
    found: dict[str, Key] = {}
    for entry in _list(ingress.get("spec"), "tls"):
        namespace = str(entry.get("secretNamespace") or namespace_of(ingress))
        key = Key(namespace, str(entry.get("secretName", "")))
        found.update({str(host).lower(): key for host in _list(entry, "hosts")})
    return found


def entries(routes: Iterable[HostRoute], slot_of: SlotOf, *, name: str) -> dict[str, str]:
    """The map's entries for these routes.

    Args:
        name: of the routes' owner: no two owners share an entry.

    Raises:
        RouteError: a revision has no slot.
    """
    result: dict[str, str] = {}
    for route in routes:
        key = f"{route.host}|tag:{route.tag}" if route.tag else route.host
        shares = _shares(route, slot_of)
        if len(set(shares)) == 1:
            result[key] = shares[0]
            continue
        digest = hashlib.sha256("|".join((name, *shares)).encode()).hexdigest()
        split = f"%{digest[:16]}"
        result[key] = split
        result.update({f"{split}|{share}": slot for share, slot in enumerate(shares)})
    return result


def changes(path: str, present: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Commands that turn the map at `path` from `present` into `wanted`.

    What a host will lead to is there before the host leads to it, and goes after.
    """
    shares = [key for key in wanted if key.startswith("%") and key not in present]
    hosts = [key for key in wanted if not key.startswith("%") and present.get(key) != wanted[key]]
    commands = [f"add map {path} {key} {wanted[key]}" for key in shares]
    for key in hosts:
        verb = "set" if key in present else "add"
        commands.append(f"{verb} map {path} {key} {wanted[key]}")
    gone = sorted((key for key in present if key not in wanted), key=lambda key: key[0] == "%")
    commands += [f"del map {path} {key}" for key in gone]
    return commands


def _shares(route: HostRoute, slot_of: SlotOf) -> list[str]:
    shares: list[str] = []
    for split in route.splits:
        if not split.percent:
            continue
        slot = slot_of(split.revision)
        if slot is None:
            raise RouteError(
                f"host {route.host}: revision {split.revision} does not exist or found no slot"
            )
        shares += [slot] * split.percent
    return shares


def _splits(path: Object, namespace: str, where: str) -> tuple[Split, ...]:
    splits: list[Split] = []
    given = _list(path, "splits")
    for split in given:
        name = split.get("serviceName")
        percent = split.get("percent")
        if percent is None and len(given) == 1:
            percent = _SHARES
        if not name or not isinstance(percent, int):
            raise RouteError(f"{where}.splits: a split needs serviceName and percent")
        splits.append(Split(Key(namespace, str(name)), percent))
    total = sum(split.percent for split in splits)
    if total != _SHARES or any(split.percent < 0 for split in splits):
        raise RouteError(f"{where}.splits: percents must sum to 100, not to {total}")
    return tuple(splits)


def _host(host: Any, where: str) -> str:
    # What is no host name must not get into a command for HAProxy.
    name = str(host).lower()
    if not _HOST.fullmatch(name):
        raise RouteError(f"{where}: {host!r} is no host name")
    return name


def _tag(path: Object, where: str) -> str:
    headers = cast("Mapping[str, Any]", path.get("headers") or {})
    if path.get("path") not in (None, "", "/"):
        raise RouteError(f"{where}.path: the gateway routes by host only")
    if not headers:
        return ""
    names = {name.lower() for name in headers}
    if names != {_TAG_HEADER}:
        raise RouteError(f"{where}.headers: only Knative-Serving-Tag is known")
    (match,) = headers.values()
    tag = str(match.get("exact", "")).lower()
    if not _HOST.fullmatch(tag):
        raise RouteError(f"{where}.headers: {tag!r} is no tag")
    return tag


def _list(obj: Any, field: str) -> list[Any]:
    return list(cast("Object", obj).get(field) or []) if isinstance(obj, dict) else []
