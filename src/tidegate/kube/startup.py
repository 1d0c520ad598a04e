"""When the steps of a pod's start were done: told by who runs it, read by who measures it.

Kubernetes' own times are whole seconds. These have microseconds and stand in the message of a
condition of the pod's status, which is written when the pod is ready for the first time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from tidegate.kube.clock import parse_rfc3339, rfc3339_micro
from tidegate.kube.objects import Object, condition_of

CONDITION = "tidegate.dev/Startup"


@dataclass(frozen=True)
class Startup:
    """Seconds since the epoch at which each step was done, in order.

    Attributes:
        scheduled: the pod has a place.
        image: its images are on the machine, ready to be started.
        started: its processes run.
        ready: it can serve for the first time.
    """

    scheduled: float
    image: float
    started: float
    ready: float


def startup_condition(startup: Startup) -> Object:
    """The condition that says it, without its transition time."""
    message = {name: rfc3339_micro(seconds) for name, seconds in asdict(startup).items()}
    return {
        "type": CONDITION,
        "status": "True",
        "reason": "Ready",
        "message": json.dumps(message),
    }


def startup_of(pod: Object) -> Startup | None:
    """What a pod's status says of its start, None where it says nothing."""
    condition = condition_of(pod, CONDITION)
    if condition is None:
        return None
    try:
        said = cast("dict[str, Any]", json.loads(condition["message"]))
        times = {item.name: parse_rfc3339(str(said[item.name])) for item in fields(Startup)}
    except (KeyError, TypeError, ValueError):
        return None
    return Startup(**times)
