"""What a Route asks of the gateways, what it shows to people, and its place in the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.apis import networking, serving
from tidegate.apis.settings import Settings
from tidegate.apis.traffic_rules import TRAFFIC_RULES_ANNOTATION, RuleError, parse_rules
from tidegate.kube.objects import (
    Object,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
)
from tidegate.kube.resources import INGRESSES, SERVICES
from tidegate.serving.config import ServingSettings
from tidegate.serving.metadata import without_bookkeeping
from tidegate.serving.routes.domains import NO_TAGS, Hosts, Tags, host_name, hosts_of
from tidegate.serving.routes.traffic import Target

_HTTP_OPTION_KEYS = tuple(
    f"{networking.PUBLIC_GROUP}/{name}" for name in ("http-protocol", "httpOption", "httpProtocol")
)


def make_ingress(
    route: Object,
    groups: Mapping[str, Sequence[Target]],
    rollout: str,
    settings: Settings,
    serving_settings: ServingSettings,
    *,
    private: Tags = NO_TAGS,
) -> Object:
    """The internal Ingress of a Route.

    Args:
        groups: what each tag splits among, one entry per Revision.
        rollout: the rollout's state, for its annotation.
        private: tags that only the cluster may reach.
    """
    rules: list[Object] = []
    splits = {tag: _splits(members, namespace_of(route)) for tag, members in groups.items()}
    by_header = settings.features.is_allowed("tag-header-based-routing")
    for tag in sorted(groups):
        hosts = hosts_of(route, tag, settings, serving_settings, private=private)
        paths: list[Object] = []
        if not tag:
            paths = _rule_paths(route, splits) + (_tag_paths(splits) if by_header else [])
        rules.extend(_rules(hosts, [*paths, {"splits": splits[tag]}]))
    annotations = without_bookkeeping(annotations_of(route))
    ingress_class = settings.network.ingress_class or serving_settings.ingress_class
    annotations.setdefault(networking.INGRESS_CLASS_ANNOTATION, ingress_class)
    annotations[networking.ROLLOUT_ANNOTATION] = rollout
    return {
        "apiVersion": networking.INGRESSES.api_version,
        "kind": networking.INGRESSES.kind,
        "metadata": {
            "name": name_of(route),
            "namespace": namespace_of(route),
            "labels": {
                **labels_of(route),
                serving.ROUTE_LABEL: name_of(route),
                f"{serving.GROUP}/routeNamespace": namespace_of(route),
            },
            "annotations": annotations,
            "ownerReferences": [owner_reference(route)],
        },
        "spec": {
            "rules": rules,
            "httpOption": http_option(route, default=settings.network.http_protocol),
        },
    }


def _rules(hosts: Hosts, paths: list[Object]) -> list[Object]:
    rules: list[Object] = [_rule(list(hosts.local), "ClusterLocal", paths)]
    if hosts.public:
        rules.append(_rule([hosts.public], "ExternalIP", paths))
    return rules


def _rule(hosts: list[str], visibility: str, paths: list[Object]) -> Object:
    return {"hosts": hosts, "visibility": visibility, "http": {"paths": paths}}


def _tag_paths(splits: Mapping[str, list[Object]]) -> list[Object]:
    """Lets a header choose the tag at the Route's own hosts."""
    return [
        {"headers": {"Knative-Serving-Tag": {"exact": tag}}, "splits": splits[tag]}
        for tag in sorted(splits)
        if tag
    ]


def _rule_paths(route: Object, splits: Mapping[str, list[Object]]) -> list[Object]:
    """Lets the gateway lead requests that match a rule of the gray release to its tag."""
    try:
        rules = parse_rules(annotations_of(route).get(TRAFFIC_RULES_ANNOTATION, ""))
    except RuleError:
        # Written before there were checks: it says nothing then.
        return []
    return [
        {"headers": {networking.RULE_HEADER: {"exact": tag}}, "splits": splits[tag]}
        for tag in sorted({rule.tag for rule in rules} & splits.keys())
    ]


def _splits(members: Sequence[Target], namespace: str) -> list[Object]:
    return [_split(target, namespace) for target in members if target.percent]


def _split(target: Target, namespace: str) -> Object:
    return {
        "serviceNamespace": namespace,
        "serviceName": target.revision,
        "servicePort": 80,
        "percent": target.percent,
        "appendHeaders": {
            "Knative-Serving-Namespace": namespace,
            "Knative-Serving-Revision": target.revision,
        },
    }


def http_option(obj: Object, *, default: str) -> str:
    """What becomes of plain HTTP for the public hosts of a Route or DomainMapping."""
    for key in _HTTP_OPTION_KEYS:
        value = annotations_of(obj).get(key, "").lower()
        if value in ("enabled", "redirected"):
            return value.capitalize()
    return default.capitalize()


def make_public_ingress(
    route: Object,
    tags: Sequence[str],
    settings: Settings,
    serving_settings: ServingSettings,
    *,
    private: Tags = NO_TAGS,
) -> Object | None:
    """The `networking.k8s.io` Ingress that shows people the hosts; None without public ones."""
    hosts = [
        hosts_of(route, tag, settings, serving_settings, private=private).public
        for tag in sorted(tags)
    ]
    names = [host_name(name_of(route), tag, settings) for tag in sorted(tags)]
    rules: list[Object] = [
        _public_rule(host, name) for host, name in zip(hosts, names, strict=True) if host
    ]
    if not rules:
        return None
    return {
        "apiVersion": INGRESSES.api_version,
        "kind": INGRESSES.kind,
        "metadata": {
            "name": name_of(route),
            "namespace": namespace_of(route),
            "labels": {**labels_of(route), serving.ROUTE_LABEL: name_of(route)},
            "annotations": {},
            "ownerReferences": [owner_reference(route)],
        },
        "spec": {"ingressClassName": "tidegate", "rules": rules},
    }


def _public_rule(host: str, service: str) -> Object:
    backend: Object = {"service": {"name": service, "port": {"number": 80}}}
    path: Object = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {"host": host, "http": {"paths": [path]}}


def make_placeholder(
    route: Object, tag: str, settings: Settings, serving_settings: ServingSettings
) -> Object:
    """The Service by whose name the cluster finds a tag of the Route: an alias of its host."""
    hosts = hosts_of(route, tag, settings, serving_settings)
    labels = {**labels_of(route), serving.ROUTE_LABEL: name_of(route)}
    # On a placeholder it is the user's word about one tag.
    labels.pop(networking.VISIBILITY_LABEL, None)
    if tag:
        labels[networking.TAG_LABEL] = tag
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {
            "name": host_name(name_of(route), tag, settings),
            "namespace": namespace_of(route),
            "labels": labels,
            "annotations": {},
            "ownerReferences": [owner_reference(route)],
        },
        "spec": {
            "type": "ExternalName",
            "externalName": hosts.public or serving_settings.domain,
            "ports": [{"name": "http2", "port": 80, "protocol": "TCP", "targetPort": 80}],
            "sessionAffinity": "None",
        },
    }
