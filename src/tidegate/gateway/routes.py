"""From KIngress objects to the entries of HAProxy's map of routes.

A host with one target has the target's slot as value. A split host has the name of its split,
`%` and a digest of what it says; under `%digest|0` to `%digest|99` the map has a slot for each of
100 equal shares. So a host changes over from one split to another in one step, whatever the
number of entries behind it. `host|tag:<tag>` is what the header `Knative-Serving-Tag` leads to.

A host with conditions has the name `~` and a digest as value. Under `~digest|default` there is
what has been said above; `~digest|https` says that plain HTTP is sent to HTTPS; `~digest|rules`
has the rules of a gray release, and `~digest|rule:<tag>` where they lead.

`host|hash` is what a probe of the host is answered with.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from tidegate.apis.networking import INGRESS_CLASS_ANNOTATION, RULE_HEADER
from tidegate.apis.traffic_rules import (
    TRAFFIC_RULES_ANNOTATION,
    RuleError,
    encode_rules,
    parse_rules,
)
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
    rules = _rules(ingress)
    spec: Object = ingress.get("spec") or {}
    said = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(said.encode()).hexdigest()
    for number, rule in enumerate(_list(spec, "rules")):
        is_local = rule.get("visibility") == "ClusterLocal"
        redirects = spec.get("httpOption") == "Redirected" and not is_local
        for place, path in enumerate(_list(rule.get("http"), "paths")):
            where = f"spec.rules[{number}].http.paths[{place}]"
            tag, by_rule = _tag(path, where)
            splits = _splits(path, namespace_of(ingress), where)
            routes += [
                HostRoute(
                    _host(host, where),
                    tag,
                    splits,
                    is_local=is_local,
                    redirects=redirects,
                    by_rule=by_rule,
                    rules="" if tag else rules,
                    digest="" if tag else digest,
                )
                for host in _list(rule, "hosts")
            ]
    return routes


def secrets(ingress: Object) -> dict[str, Key]:
    """The Secrets whose certificates a KIngress gives for its hosts."""
    found: dict[str, Key] = {}
    for entry in _list(ingress.get("spec"), "tls"):
        namespace = str(entry.get("secretNamespace") or namespace_of(ingress))
        key = Key(namespace, str(entry.get("secretName", "")))
        found.update({str(host).lower(): key for host in _list(entry, "hosts")})
    return found


def entries(
    routes: Iterable[HostRoute], slot_of: SlotOf, *, name: str, has_https: bool = True
) -> dict[str, str]:
    """The map's entries for these routes.

    Args:
        name: of the routes' owner: no two owners share an entry.
        has_https: whether there is something to redirect to.

    Raises:
        RouteError: a revision has no slot, or plain HTTP is to go where nothing is.
    """
    result: dict[str, str] = {}
    by_rule: dict[str, dict[str, str]] = {}
    defaults: list[tuple[HostRoute, str]] = []
    for route in routes:
        target = _target(route, slot_of, name, result)
        if route.by_rule:
            by_rule.setdefault(route.host, {})[f"rule:{route.tag}"] = target
        elif route.tag:
            result[f"{route.host}|tag:{route.tag}"] = target
        else:
            defaults.append((route, target))
        if route.redirects and not has_https:
            raise RouteError(
                f"host {route.host} wants plain HTTP redirected, and the gateway has no HTTPS "
                "port: see `tidegate up --https-port`"
            )
    for route, target in defaults:
        conditions = by_rule.get(route.host, {})
        if conditions:
            conditions["rules"] = route.rules
        if route.redirects:
            conditions["https"] = "1"
        if conditions:
            target = _conditional({**conditions, "default": target}, name, result)
        result[route.host] = target
        if route.digest:
            result[f"{route.host}|hash"] = route.digest
    return result


def _target(route: HostRoute, slot_of: SlotOf, name: str, result: dict[str, str]) -> str:
    """A slot, or the name of a split whose entries are added to `result`."""
    shares = _shares(route, slot_of)
    if len(set(shares)) == 1:
        return shares[0]
    split = f"%{_digest(name, *shares)}"
    result.update({f"{split}|{share}": slot for share, slot in enumerate(shares)})
    return split


def _conditional(conditions: Mapping[str, str], name: str, result: dict[str, str]) -> str:
    said = [text for item in sorted(conditions.items()) for text in item]
    key = f"~{_digest(name, *said)}"
    result.update({f"{key}|{condition}": value for condition, value in conditions.items()})
    return key


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def changes(path: str, present: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Commands that turn the map at `path` from `present` into `wanted`.

    What a host will lead to is there before the host leads to it, and goes after.
    """
    shares = [key for key in wanted if _is_behind(key) and key not in present]
    hosts = [key for key in wanted if not _is_behind(key) and present.get(key) != wanted[key]]
    commands = [f"add map {path} {key} {wanted[key]}" for key in shares]
    for key in hosts:
        verb = "set" if key in present else "add"
        commands.append(f"{verb} map {path} {key} {wanted[key]}")
    gone = sorted((key for key in present if key not in wanted), key=_is_behind)
    commands += [f"del map {path} {key}" for key in gone]
    return commands


def _is_behind(key: str) -> bool:
    """Whether an entry is one that hosts lead to."""
    return key[0] in "%~"


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


def _rules(ingress: Object) -> str:
    text = annotations_of(ingress).get(TRAFFIC_RULES_ANNOTATION, "")
    try:
        return encode_rules(parse_rules(text))
    except RuleError as error:
        where = f"metadata.annotations.{TRAFFIC_RULES_ANNOTATION}{error.place}"
        raise RouteError(f"{where}: {error}") from error


def _tag(path: Object, where: str) -> tuple[str, bool]:
    """The tag a path is for, empty for none, and whether a rule leads there."""
    headers = cast("Mapping[str, Any]", path.get("headers") or {})
    if path.get("path") not in (None, "", "/"):
        raise RouteError(f"{where}.path: the gateway routes by host only")
    if not headers:
        return "", False
    names = {name.lower() for name in headers}
    if names not in ({_TAG_HEADER}, {RULE_HEADER.lower()}):
        raise RouteError(f"{where}.headers: only Knative-Serving-Tag is known")
    (match,) = headers.values()
    tag = str(match.get("exact", "")).lower()
    if not _HOST.fullmatch(tag):
        raise RouteError(f"{where}.headers: {tag!r} is no tag")
    return tag, names != {_TAG_HEADER}


def _list(obj: Any, field: str) -> list[Any]:
    return list(cast("Object", obj).get(field) or []) if isinstance(obj, dict) else []
