"""Reading parts of a pod that may be absent."""

from __future__ import annotations

from typing import cast

from tidegate.kube.objects import Object

_DEFAULT_GRACE_SECONDS = 30.0


def part(obj: Object, key: str) -> Object:
    """The mapping at `key`, empty where there is none."""
    return cast("Object", obj.get(key) or {})


def parts(obj: Object, key: str) -> list[Object]:
    """The list of mappings at `key`, empty where there is none."""
    return cast("list[Object]", obj.get(key) or [])


def grace_of(pod: Object) -> float:
    """Seconds between SIGTERM and SIGKILL: the deletion's, else the pod's own, else 30."""
    for value in (
        part(pod, "metadata").get("deletionGracePeriodSeconds"),
        part(pod, "spec").get("terminationGracePeriodSeconds"),
    ):
        if value is not None:
            return float(value)
    return _DEFAULT_GRACE_SECONDS


def is_over(pod: Object) -> bool:
    """Whether the pod has Succeeded or Failed, after which nothing of it is run again."""
    return part(pod, "status").get("phase") in ("Succeeded", "Failed")
