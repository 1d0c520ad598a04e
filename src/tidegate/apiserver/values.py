"""Reading JSON whose shape is not known to the type checker."""

from __future__ import annotations

from typing import Any, cast

from tidegate.kube.objects import Object


def mapping(value: Any) -> Object:
    """`value` when it is a mapping, else an empty one."""
    return cast("Object", value) if isinstance(value, dict) else {}


def objects(value: Any) -> list[Object]:
    """The mappings in `value` when it is a list, else none."""
    return [mapping(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def strings(value: Any) -> list[str]:
    """The items of `value` as texts when it is a list, else none."""
    return [str(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def section(obj: Object, *path: str) -> Object:
    """The mapping at `path`, empty where something is missing; not to be changed."""
    for name in path:
        obj = mapping(obj.get(name))
    return obj


def ensure(obj: Object, name: str) -> Object:
    """The mapping under `name`, put there when it is missing; to be changed."""
    value = obj.get(name)
    if not isinstance(value, dict):
        value = obj[name] = {}
    return cast("Object", value)


def at(obj: Object, path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = obj
    for name in path.lstrip(".").split("."):
        value = mapping(value).get(name)
    return value
