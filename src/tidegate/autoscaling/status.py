"""What a PodAutoscaler says of itself: numbers and conditions with Knative's reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.autoscaling.policies.decision import clamp
from tidegate.autoscaling.settings import ScaleSettings
from tidegate.kube.clock import rfc3339_micro
from tidegate.kube.objects import Object, conditions_of, name_of, status_of, with_condition

INITIALIZED = "ScaleTargetInitialized"
# In the annotations of the status: the instant of the last scale from zero, in microseconds.
LEFT_ZERO = "tidegate.dev/left-zero-at"


@dataclass(frozen=True)
class Scale:
    """The scale of a revision.

    Attributes:
        desired: pods wanted.
        ready: pods that serve.
        initialized: whether the initial scale was reached once.
        active: whether there is demand, or was within the window.
        timed_out: whether the initial scale was not reached within the progress deadline.
        left_zero: when the scale was last raised from zero, seconds since the epoch; 0 if this
            autoscaler has not done so.
    """

    desired: int
    ready: int
    initialized: bool
    active: bool
    timed_out: bool = False
    left_zero: float = 0.0


def is_initialized(ready: int, settings: ScaleSettings) -> bool:
    """Whether `ready` pods are enough for the revision to have proved itself."""
    return ready >= clamp(0, settings, initialized=False)


def status_for(pod_autoscaler: Object, scale: Scale, *, now: str) -> dict[str, Any]:
    """The whole status; equal to the present one when nothing has changed.

    Args:
        pod_autoscaler: whose conditions keep their transition times.
        scale: what to report.
        now: RFC 3339 time of the write.
    """
    active = _active(scale)
    initialized: Object = {"type": INITIALIZED, "status": "True"}
    if not scale.initialized:
        initialized["status"] = "Unknown"
    conditions = conditions_of(pod_autoscaler)
    for condition in (
        active,
        initialized,
        {"type": "SKSReady", "status": "True"},
        _ready(active, initialized),
    ):
        conditions = with_condition(conditions, condition, now=now)
    revision = name_of(pod_autoscaler)
    annotations = dict(status_of(pod_autoscaler).get("annotations") or {})
    if scale.left_zero:
        annotations[LEFT_ZERO] = rfc3339_micro(scale.left_zero)
    return {
        **({"annotations": annotations} if annotations else {}),
        "observedGeneration": pod_autoscaler["metadata"].get("generation", 1),
        "desiredScale": scale.desired,
        "actualScale": scale.ready,
        "serviceName": revision,
        "metricsServiceName": f"{revision}-private",
        "conditions": sorted(conditions, key=lambda condition: str(condition["type"])),
    }


def _active(scale: Scale) -> Object:
    if scale.desired == 0 and scale.timed_out:
        return {
            "type": "Active",
            "status": "False",
            "reason": "TimedOut",
            "message": "The target could not be activated.",
        }
    if scale.desired == 0 or (scale.initialized and not scale.active and scale.ready == 0):
        return {
            "type": "Active",
            "status": "False",
            "reason": "NoTraffic",
            "message": "The target is not receiving traffic.",
        }
    if scale.ready == 0:
        return {
            "type": "Active",
            "status": "Unknown",
            "reason": "Queued",
            "message": "Requests to the target are being buffered as resources are provisioned.",
        }
    return {"type": "Active", "status": "True"}


def _ready(active: Object, initialized: Object) -> Object:
    for condition in (active, initialized):
        if condition["status"] != "True":
            return {**condition, "type": "Ready"}
    return {"type": "Ready", "status": "True"}
