"""Reading nested fields of plain objects, where every level may be missing or null."""

from __future__ import annotations

from typing import Any, cast

from tidegate.kube.objects import Object


def part(obj: Object, *path: str) -> Object:
    """The mapping at `path`, an empty one where there is none; not to be changed."""
    value: Any = obj
    for name in path:
        value = cast("Object", value).get(name) or {}
    return cast("Object", value)


def items(obj: Object, *path: str) -> list[Object]:
    """The list of mappings at `path`, an empty one where there is none; not to be changed."""
    *parents, name = path
    return cast("list[Object]", part(obj, *parents).get(name) or [])
