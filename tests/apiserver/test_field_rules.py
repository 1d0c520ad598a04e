"""What the fields of built-in kinds may hold: each rule by one object that breaks it.

`c/` and `c.` stand for the first container of a pod, `p/` and `p` for the first path of an
Ingress.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.apiserver.registry.builtin import default_registry
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.kube.objects import thaw
from tidegate.kube.resources import (
    CLUSTER_ROLES,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    INGRESSES,
    JOBS,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICES,
)

MAIN = {"name": "c", "image": "web:1"}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [MAIN]}}
OWNER = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
BACKEND = {"service": {"name": "s", "port": {"number": 80}}}
PATH = {"path": "/", "pathType": "Prefix", "backend": BACKEND}
BASES: dict[Any, dict[str, Any]] = {
    PODS: {"spec": {"containers": [MAIN]}},
    DEPLOYMENTS: {"spec": OWNER},
    REPLICA_SETS: {"spec": OWNER},
    SERVICES: {"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}},
    INGRESSES: {"spec": {"rules": [{"host": "a.b", "http": {"paths": [PATH]}}]}},
    ENDPOINTS: {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    ENDPOINT_SLICES: {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"name": "a", "port": 80}],
    },
    CLUSTER_ROLES: {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    NODES: {},
    JOBS: {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [MAIN]}}}},
}
AFFINITIES = {
    "required": "requiredDuringSchedulingIgnoredDuringExecution",
    "preferred": "preferredDuringSchedulingIgnoredDuringExecution",
}
SHORT = {"c": "spec/containers/0", "p": "spec/rules/0/http/paths/0"}
REGISTRY = default_registry()
SHORT_FIELDS = {"c.": "spec.containers[0].", "p": "spec.rules[0].http.paths[0]"}
RULES = Path(__file__).with_name("field_rules.yaml")


def rules() -> Iterator[Any]:
    """Kind, changes and what is wrong then, of each line."""
    text = RULES.read_text()
    for short, name in AFFINITIES.items():
        text = re.sub(rf"\b{short}\b", name, text)
    for kind, entries in yaml.safe_load(text).items():
        for changes, expected in entries:
            yield pytest.param(kind, changes, expected, id=f"{kind}-{expected[0]}")


@pytest.mark.parametrize(("kind", "changes", "expected"), [*rules()])
def test_what_breaks_a_rule_is_named(kind: str, changes: dict[str, Any], expected: list[str]):
    resource = next(one for one in BASES if one.kind == kind)
    obj = thaw(BASES[resource])
    for path, value in changes.items():
        change(obj, path, value)
    assert sorted(problems(resource, obj)) == sorted(whole(text) for text in expected)


@pytest.mark.parametrize("resource", BASES)
def test_what_keeps_to_the_rules_is_taken(resource):
    assert not problems(resource, thaw(BASES[resource]))


def problems(resource, obj: dict[str, Any]) -> list[str]:
    """Reason and field of all that is wrong with an object."""
    spec = REGISTRY.of(resource)
    obj = {"kind": resource.kind, "metadata": {"name": "x", "uid": "u"}, **obj}
    errors = FieldErrors()
    if spec.default:
        spec.default(obj)
    spec.validate(obj, None, errors)
    return [f"{c.reason.removeprefix('FieldValue')} {c.field}" for c in errors.causes]


def change(obj: dict[str, Any], path: str, value: Any) -> None:
    """Set what is at a path such as `c/image`, or take it out with None."""
    first, _, rest = path.partition("/")
    *parents, last = f"{SHORT[first]}/{rest}".split("/") if first in SHORT else path.split("/")
    target: Any = obj
    for name in parents:
        target = target[int(name)] if name.isdigit() else target.setdefault(name, {})
    if value is None:
        target.pop(last)
    else:
        target[last] = thaw(value)


def whole(text: str) -> str:
    """The reason and the field, in full."""
    reason, _, field = text.partition(" ")
    for short, long in SHORT_FIELDS.items():
        if field.startswith(short) and (short == "c." or field[1:2] in ("", ".")):
            return f"{reason} {long}{field.removeprefix(short)}"
    return text
