"""Reading parts of a pod that may be absent."""

from __future__ import annotations

from typing import cast

from tidegate.kube.objects import Object


def part(obj: Object, key: str) -> Object:
    """The mapping at `key`, empty where there is none."""
    return cast("Object", obj.get(key) or {})


def parts(obj: Object, key: str) -> list[Object]:
    """The list of mappings at `key`, empty where there is none."""
    return cast("list[Object]", obj.get(key) or [])


def is_over(pod: Object) -> bool:
    """Whether the pod has Succeeded or Failed, after which nothing of it is run again."""
    return part(pod, "status").get("phase") in ("Succeeded", "Failed")
