"""The one word for the state of a service or a pod, as the console shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tidegate.kube.objects import (
    Object,
    annotations_of,
    condition_of,
    is_condition_true,
    is_deleting,
    status_of,
)

_DRAIN = "tidegate.dev/drain"

_STARTING_REASONS = frozenset({"", "ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class State:
    """What is shown.

    Attributes:
        tone: chooses the colour: good, busy, calm or bad.
        word: the state itself.
        message: more of it, for people who want to know why.
    """

    tone: str
    word: str
    message: str = ""


def service_state(service: Object) -> State:
    """Of a Knative object, by its condition Ready."""
    if is_deleting(service):
        return State("calm", "Deleting")
    condition: Object = condition_of(service, "Ready") or {}
    message = str(condition.get("message") or "")
    observed = status_of(service).get("observedGeneration")
    is_current = observed in (None, service["metadata"].get("generation", observed))
    if condition.get("status") == "True" and is_current:
        return State("good", "Ready")
    if condition.get("status") == "False":
        return State("bad", str(condition.get("reason") or "Failed"), message)
    return State("busy", "Deploying", message)


def pod_state(pod: Object) -> State:
    """Of a pod, in the words of `kubectl get pods` where it has one."""
    status = status_of(pod)
    if is_deleting(pod):
        return State("calm", "Terminating")
    phase = str(status.get("phase") or "Pending")
    if phase == "Failed":
        return State("bad", str(status.get("reason") or "Failed"), str(status.get("message") or ""))
    if phase == "Succeeded":
        return State("calm", "Completed")
    waiting = _waiting(status)
    if str(waiting.get("reason", "")) not in _STARTING_REASONS:
        return State("bad", str(waiting["reason"]), str(waiting.get("message") or ""))
    if is_condition_true(pod, "Ready"):
        if annotations_of(pod).get(_DRAIN) == "true":
            return State("calm", "Draining", "It finishes what it has and gets nothing new.")
        return State("good", "Ready")
    return State("busy", "Starting" if phase == "Running" else "Pending")


def restarts(pod: Object) -> int:
    """How often its containers have been started again."""
    statuses = cast("list[Object]", status_of(pod).get("containerStatuses") or [])
    return sum(int(entry.get("restartCount") or 0) for entry in statuses)


def _waiting(status: Mapping[str, Any]) -> Object:
    entries = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    for entry in cast("list[Object]", entries):
        state = cast("Object", entry.get("state") or {})
        if state.get("waiting"):
            return cast("Object", state["waiting"])
    return {}
