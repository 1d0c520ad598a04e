"""Which taints of a node a pod tolerates, and for how long, by Kubernetes' rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

from tidegate.kube.objects import Object, spec_of

NO_SCHEDULE = "NoSchedule"
NO_EXECUTE = "NoExecute"


def taints_of(node: Object, *effects: str) -> list[Object]:
    """The taints of `node` that have one of the effects."""
    return [taint for taint in _entries(spec_of(node), "taints") if taint["effect"] in effects]


def first_untolerated(pod: Object, taints: Iterable[Object]) -> Object | None:
    """The first of the taints that the pod does not tolerate."""
    return next((taint for taint in taints if _toleration_for(pod, taint) is None), None)


def tolerated_seconds(pod: Object, taints: Iterable[Object]) -> float:
    """How long the pod tolerates all of the taints together; `inf` is for ever."""
    return min((_seconds(pod, taint) for taint in taints), default=math.inf)


def _seconds(pod: Object, taint: Object) -> float:
    toleration = _toleration_for(pod, taint)
    if toleration is None:
        return 0.0
    seconds = toleration.get("tolerationSeconds")
    return math.inf if seconds is None else max(0.0, float(seconds))


def _toleration_for(pod: Object, taint: Object) -> Object | None:
    tolerations = _entries(spec_of(pod), "tolerations")
    return next((toleration for toleration in tolerations if _tolerates(toleration, taint)), None)


def _tolerates(toleration: Object, taint: Object) -> bool:
    """What a toleration leaves out stands for all there are."""
    if any(toleration.get(part) not in ("", None, taint[part]) for part in ("effect", "key")):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return (toleration.get("value") or "") == (taint.get("value") or "")


def _entries(spec: Mapping[str, Any], field: str) -> list[Object]:
    return cast("list[Object]", spec.get(field) or [])
