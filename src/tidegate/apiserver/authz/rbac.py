"""RBAC's arithmetic as pure functions: does a rule allow, does a set of rules cover another.

Follows Kubernetes: rules only ever allow; `*` matches anything; `pods/log` names a subresource,
`*/scale` one of any resource; a rule with `resourceNames` never allows what has no name yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tidegate.kube.objects import Object, labels_of
from tidegate.kube.selectors import selector_from_spec

ALL = "*"


@dataclass(frozen=True)
class Rule:
    """A `PolicyRule`."""

    verbs: frozenset[str] = frozenset()
    api_groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    resource_names: frozenset[str] = frozenset()
    non_resource_urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Action:
    """What somebody wants to do: with a resource, or with a `path` outside of resources."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


def rules_of(role: Object) -> tuple[Rule, ...]:
    """The rules of a Role or ClusterRole."""
    return tuple(_rule(cast("Mapping[str, Any]", rule)) for rule in role.get("rules") or ())


def allows(rule: Rule, action: Action) -> bool:
    """Whether the rule alone allows the action."""
    if ALL not in rule.verbs and action.verb not in rule.verbs:
        return False
    if action.path:
        return any(_path_matches(pattern, action.path) for pattern in rule.non_resource_urls)
    return (
        (ALL in rule.api_groups or action.group in rule.api_groups)
        and _resource_matches(rule.resources, action.resource, action.subresource)
        and (not rule.resource_names or action.name in rule.resource_names)
    )


def uncovered(wanted: Iterable[Rule], owned: Iterable[Rule]) -> list[Rule]:
    """The single permissions in `wanted` that no rule in `owned` includes."""
    held = list(owned)
    parts = (part for rule in wanted for part in _single_permissions(rule))
    return [part for part in parts if not any(_includes(rule, part) for rule in held)]


def aggregated(role: Object, cluster_roles: Iterable[Object]) -> list[Object] | None:
    """The rules that `role`'s aggregationRule gathers, or None when it has none."""
    aggregation = role.get("aggregationRule")
    if not aggregation:
        return None
    selectors = [selector_from_spec(s) for s in aggregation.get("clusterRoleSelectors") or ()]
    name = role["metadata"]["name"]
    rules: list[Object] = []
    for other in sorted(cluster_roles, key=lambda r: str(r["metadata"]["name"])):
        if other["metadata"]["name"] == name:
            continue
        labels = labels_of(other)
        if any(selector.matches(labels) for selector in selectors):
            rules.extend(rule for rule in other.get("rules") or () if rule not in rules)
    return rules


def describe(rule: Rule) -> str:
    """As Kubernetes prints a rule in an escalation error."""
    fields = (
        ("APIGroups", sorted(rule.api_groups)),
        ("Resources", sorted(rule.resources)),
        ("ResourceNames", sorted(rule.resource_names)),
        ("NonResourceURLs", list(rule.non_resource_urls)),
        ("Verbs", sorted(rule.verbs)),
    )
    inner = ", ".join(f"{name}:{_quoted(values)}" for name, values in fields if values)
    return f"{{{inner}}}"


def _quoted(values: Iterable[str]) -> str:
    return "[" + " ".join(f'"{value}"' for value in values) + "]"


def _rule(rule: Mapping[str, Any]) -> Rule:
    return Rule(
        verbs=frozenset(rule.get("verbs") or ()),
        api_groups=frozenset(rule.get("apiGroups") or ()),
        resources=frozenset(rule.get("resources") or ()),
        resource_names=frozenset(rule.get("resourceNames") or ()),
        non_resource_urls=tuple(rule.get("nonResourceURLs") or ()),
    )


def _resource_matches(resources: frozenset[str], resource: str, subresource: str) -> bool:
    if ALL in resources:
        return True
    if not subresource:
        return resource in resources
    return f"{resource}/{subresource}" in resources or f"*/{subresource}" in resources


def _path_matches(pattern: str, path: str) -> bool:
    if pattern in (ALL, path):
        return True
    return pattern.endswith(ALL) and path.startswith(pattern[:-1])


def _single_permissions(rule: Rule) -> Iterator[Rule]:
    for verb in sorted(rule.verbs):
        verbs = frozenset((verb,))
        for url in rule.non_resource_urls:
            yield Rule(verbs=verbs, non_resource_urls=(url,))
        for group in sorted(rule.api_groups):
            for resource in sorted(rule.resources):
                for name in sorted(rule.resource_names) or [""]:
                    yield Rule(
                        verbs=verbs,
                        api_groups=frozenset((group,)),
                        resources=frozenset((resource,)),
                        resource_names=frozenset((name,)) if name else frozenset(),
                    )


def _includes(owned: Rule, single: Rule) -> bool:
    (verb,) = single.verbs
    if ALL not in owned.verbs and verb not in owned.verbs:
        return False
    if single.non_resource_urls:
        (url,) = single.non_resource_urls
        return any(_path_matches(pattern, url) for pattern in owned.non_resource_urls)
    (group,) = single.api_groups
    (resource,) = single.resources
    main, _, subresource = resource.partition("/")
    return (
        (ALL in owned.api_groups or group in owned.api_groups)
        and (_resource_matches(owned.resources, main, subresource))
        and (not owned.resource_names or bool(single.resource_names & owned.resource_names))
    )
