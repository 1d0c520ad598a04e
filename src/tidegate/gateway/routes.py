"""From KIngress objects to the entries of HAProxy's map of routes.

A host with one target has the target's slot as value. A split host has the name of its split,
`%` and a digest of what it says; under `%digest|0` to `%digest|99` the map has a slot for each of
100 equal shares. So a host changes over from one split to another in one step, whatever the
number of entries behind it. `host|tag:<tag>` is what the header `Knative-Serving-Tag` leads to.

A host with conditions has the name `~` and a digest as value. Under `~digest|default` there is
what has been said above; `~digest|https` says that plain HTTP is sent to HTTPS; `~digest|rules`
has the rules of a gray release, and `~digest|rule:<tag>` where they lead.

A host that is not served as a whole has the name `~` and a digest as value as well: `~digest|paths`
says which paths and headers lead where, as `encode_paths` writes it.

`host|hash` is what a probe of the host is answered with.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import quote

from tidegate.apis.networking import INGRESS_CLASS_ANNOTATION, RULE_HEADER
from tidegate.apis.traffic_rules import (
    TRAFFIC_RULES_ANNOTATION,
    RuleError,
    encode_rules,
    parse_rules,
)
from tidegate.gateway.model import HostRoute, PathRoute, Split
from tidegate.gateway.targets import target_key
from tidegate.kube.errors import UserError
from tidegate.kube.objects import Key, Object, annotations_of, namespace_of

_SHARES = 100
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_TAG_HEADER = "knative-serving-tag"
_CLASS = "tidegate.ingress.networking.knative.dev"
_OLD_CLASS_ANNOTATION = "networking.knative.dev/ingress.class"
_OWN_HEADERS = frozenset(("knative-serving-namespace", "knative-serving-revision"))
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,1024}")
_LONGEST_PATHS = 8000

# Instead of a slot: the request goes in again by the name that its Host header has then.
AGAIN = "@"

SlotOf = Callable[[Key], "str | None"]


class RouteError(UserError):
    """A KIngress that the gateway cannot serve as it is."""


def is_ours(ingress: Object) -> bool:
    """Whether the KIngress is for this kind of gateway; one without a class is."""
    annotations = annotations_of(ingress)
    old = annotations.get(_OLD_CLASS_ANNOTATION, _CLASS)
    return annotations.get(INGRESS_CLASS_ANNOTATION, old) == _CLASS


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
        where = f"spec.rules[{number}].http"
        hosts = [_host(host, where) for host in _list(rule, "hosts")]
        for route in _of_rule(rule, namespace_of(ingress), where):
            known = replace(
                route,
                is_local=is_local,
                redirects=redirects,
                rules="" if route.tag else rules,
                digest="" if route.tag else digest,
            )
            routes += [replace(known, host=host) for host in hosts]
    return routes


def _of_rule(rule: Object, namespace: str, where: str) -> list[HostRoute]:
    """What becomes of the hosts of a rule: tags and the rest, or paths."""
    paths = _list(rule.get("http"), "paths")
    named = [(path, f"{where}.paths[{place}]") for place, path in enumerate(paths)]
    if all(_is_plain(path) for path in paths):
        routes: list[HostRoute] = []
        for path, place in named:
            tag, by_rule = _tag(path, place)
            routes.append(HostRoute("", tag, _splits(path, namespace, place), by_rule=by_rule))
        return routes
    found = tuple(_path_route(path, namespace, place) for path, place in named)
    return [HostRoute("", "", (), paths=found)]


def _is_plain(path: Object) -> bool:
    """Whether a path is as Routes and DomainMappings have it."""
    names = {name.lower() for name in _map(path, "headers")}
    if path.get("path") not in (None, "", "/") or path.get("rewriteHost"):
        return False
    if names not in (set[str](), {_TAG_HEADER}, {RULE_HEADER.lower()}):
        return False
    return not any(_headers(path, split) for split in _list(path, "splits"))


def _headers(path: Object, split: Object) -> dict[str, str]:
    """What is set on requests that go there, beyond what the gateway sets on all."""
    merged = {**_map(path, "appendHeaders"), **_map(split, "appendHeaders")}
    return {name: str(value) for name, value in merged.items() if name.lower() not in _OWN_HEADERS}


def _path_route(path: Object, namespace: str, where: str) -> PathRoute:
    matches = _map(path, "headers")
    wanted = {name: str(_map(matches, name).get("exact", "")) for name in matches}
    if RULE_HEADER.lower() in {name.lower() for name in wanted}:
        raise RouteError(f"{where}.headers: traffic rules and paths do not go together")
    prefix, host = str(path.get("path") or ""), str(path.get("rewriteHost") or "")
    if prefix and not prefix.startswith("/"):
        raise RouteError(f"{where}.path: {prefix!r} does not begin with /")
    return PathRoute(
        prefix,
        _checked(wanted, f"{where}.headers"),
        _host(host, f"{where}.rewriteHost") if host else "",
        _splits(path, namespace, where),
    )


def _checked(headers: Mapping[str, str], where: str) -> tuple[tuple[str, str], ...]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise RouteError(f"{where}: {name}: {value!r} is no header")
    return tuple(sorted(headers.items()))


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
        target = "" if route.paths else _target(route, slot_of, name, result)
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
        if route.paths:
            conditions["paths"] = encode_paths(route, slot_of)
        elif conditions:
            conditions["default"] = target
        if conditions:
            target = _conditional(conditions, name, result)
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


def encode_paths(route: HostRoute, slot_of: SlotOf) -> str:
    """One word for HAProxy: paths joined by `+`, their parts by `:`.

    A path is its prefix, the headers that must match, the Host header it gets, and its splits;
    a split is its percent, its slot and the headers it gets. Everything is quoted as in a URL.

    Raises:
        RouteError: a target is not there, or all of it is too long.
    """
    text = "+".join(_encode_path(path, route.host, slot_of) for path in route.paths)
    if len(text) > _LONGEST_PATHS:
        raise RouteError(
            f"host {route.host}: its paths are longer than {_LONGEST_PATHS} characters"
        )
    return text


def _encode_path(path: PathRoute, host: str, slot_of: SlotOf) -> str:
    splits: list[str] = []
    for split in path.splits:
        if split.percent:
            slot = _slot(split, host, slot_of, has_other_name=bool(path.host))
            splits.append("&".join([str(split.percent), slot, *_pairs(split.headers)]))
    parts = (_quote(path.prefix), ",".join(_pairs(path.matches)), path.host, ",".join(splits))
    return ":".join(parts)


def _pairs(headers: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{_quote(name)}={_quote(value)}" for name, value in headers]


def _quote(text: str) -> str:
    return quote(text, safe="")


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
        if split.percent:
            shares += [_slot(split, route.host, slot_of)] * split.percent
    return shares


def _slot(split: Split, host: str, slot_of: SlotOf, *, has_other_name: bool = False) -> str:
    """Where a split leads; `has_other_name`: requests have another Host header then."""
    slot = slot_of(split.revision)
    if slot is None:
        raise RouteError(
            f"host {host}: no revision {split.revision} exists or found a slot, and no such Service"
        )
    if slot == AGAIN and not has_other_name:
        raise RouteError(
            f"host {host}: Service {split.revision} is another name of a host: say which in "
            "rewriteHost"
        )
    return slot


def _splits(path: Object, namespace: str, where: str) -> tuple[Split, ...]:
    splits: list[Split] = []
    given = _list(path, "splits")
    for split in given:
        name = split.get("serviceName")
        percent = split.get("percent") or (_SHARES if len(given) == 1 else 0)
        if not name or not isinstance(percent, int):
            raise RouteError(f"{where}.splits: a split needs serviceName and percent")
        if split.get("serviceNamespace", namespace) != namespace:
            raise RouteError(f"{where}.splits: Services of other namespaces are not served")
        key = target_key(namespace, str(name), split.get("servicePort"))
        headers = _checked(_headers(path, split), f"{where}.appendHeaders")
        splits.append(Split(key, percent, headers))
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
    headers = _map(path, "headers")
    if not headers:
        return "", False
    names = {name.lower() for name in headers}
    (match,) = headers.values()
    tag = str(match.get("exact", "")).lower()
    if not _HOST.fullmatch(tag):
        raise RouteError(f"{where}.headers: {tag!r} is no tag")
    return tag, names != {_TAG_HEADER}


def _map(obj: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", obj.get(field) or {})


def _list(obj: Any, field: str) -> list[Any]:
    return list(cast("Object", obj).get(field) or []) if isinstance(obj, dict) else []
