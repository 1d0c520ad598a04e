"""Small pieces that the rows of several kinds share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from tidegate.apiserver.tables.ages import age
from tidegate.kube.objects import Object

NONE = "<none>"
UNSET = "<unset>"

_SHOWN = 3


def age_of(obj: Object, now: float) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def part(obj: Mapping[str, Any], *path: str) -> Object:
    """The mapping at `path`, empty where anything on the way is missing."""
    value: Any = obj
    for name in path:
        value = cast("Object", value).get(name) if isinstance(value, dict) else None
    return cast("Object", value) if isinstance(value, dict) else {}


def listed(obj: Mapping[str, Any], name: str) -> list[Object]:
    """The list of mappings under `name`, empty where it is missing."""
    return cast("list[Object]", obj.get(name) or [])


def format_labels(labels: Mapping[str, str] | None) -> str:
    """`a=b,c=d`, or `<none>`."""
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or NONE


def format_selector(selector: Mapping[str, Any] | None) -> str:
    """A `LabelSelector` in the query form, or `<none>`."""
    if not selector:
        return NONE
    labels: Mapping[str, str] = selector.get("matchLabels") or {}
    terms = [f"{key}={value}" for key, value in labels.items()]
    expressions = cast("list[Object]", selector.get("matchExpressions") or [])
    terms.extend(_expression(expression) for expression in expressions)
    return ",".join(sorted(terms)) or NONE


def containers_and_images(template: Mapping[str, Any]) -> tuple[str, str]:
    """Names and images of a pod template's containers, each joined by commas."""
    containers = listed(part(template, "spec"), "containers")
    names = ",".join(str(c.get("name", "")) for c in containers)
    return names, ",".join(str(c.get("image", "")) for c in containers)


def some(items: Iterable[str], empty: str = NONE) -> str:
    """The first three, and how many more there are."""
    everything: Sequence[str] = list(items)
    if not everything:
        return empty
    text = ",".join(everything[:_SHOWN])
    more = len(everything) - _SHOWN
    return f"{text} + {more} more..." if more > 0 else text


def load_balancer_addresses(obj: Object) -> list[str]:
    ingress = listed(part(obj, "status", "loadBalancer"), "ingress")
    return [
        str(i.get("ip") or i.get("hostname")) for i in ingress if i.get("ip") or i.get("hostname")
    ]


def _expression(expression: Object) -> str:
    key, operator = expression["key"], expression["operator"]
    values = ",".join(sorted(expression.get("values") or []))
    return {
        "In": f"{key} in ({values})",
        "NotIn": f"{key} notin ({values})",
        "Exists": str(key),
        "DoesNotExist": f"!{key}",
    }.get(operator, f"{key} {operator}")
