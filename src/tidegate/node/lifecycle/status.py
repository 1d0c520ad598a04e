"""A pod's status from its containers' states: pure, as kubelet would write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.kube.clock import rfc3339
from tidegate.kube.objects import Object, condition_of, conditions_of, with_condition
from tidegate.kube.startup import CONDITION, Startup, startup_condition
from tidegate.node.fields import part, parts
from tidegate.node.lifecycle.state import ContainerView, Running, State, Terminated, Waiting

POD_IP = "127.0.0.1"
_SANDBOX = "PodReadyToStartContainers"
_CREATING = ("ContainerCreating", "PodInitializing")
_OVER = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}


@dataclass(frozen=True)
class Failure:
    """Why a pod has failed as a whole, whatever became of its containers."""

    reason: str
    message: str


LATE = Failure("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


def pod_status(
    pod: Object,
    init: Sequence[ContainerView],
    containers: Sequence[ContainerView],
    *,
    scheduled: float = 0.0,
    started: float,
    terminating: bool,
    failure: Failure | None = None,
    now: float,
) -> Object:
    """The whole status of a pod that has a node.

    Args:
        pod: with the conditions written before.
        init, containers: the states.
        scheduled: when the pod was bound, seconds since the epoch; 0 where that is not known.
        started: when the node took the pod, seconds since the epoch.
        terminating: it is being ended: not ready, whatever its probes say.
        failure: for which it has been ended.
        now: seconds since the epoch.
    """
    phase = "Failed" if failure else _phase(init, containers)
    status: Object = {
        "phase": phase,
        "conditions": [
            *_conditions(pod, init, containers, phase, terminating, now),
            *_startup(pod, containers, scheduled, now),
        ],
        "hostIP": POD_IP,
        "hostIPs": [{"ip": POD_IP}],
        "podIP": POD_IP,
        "podIPs": [{"ip": POD_IP}],
        "startTime": rfc3339(started),
        "qosClass": qos_class(pod),
        "containerStatuses": [
            _container_status(view, ready=isinstance(view.state, Running) and not terminating)
            for view in containers
        ],
    }
    if failure is not None:
        status.update(reason=failure.reason, message=failure.message)
    if init:
        status["initContainerStatuses"] = [
            _container_status(view, ready=not terminating) for view in init
        ]
    return status


def unschedulable_status(pod: Object, message: str, *, now: float) -> Object:
    """The status of a pod for which there is no place."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    conditions = with_condition(conditions_of(pod), condition, now=rfc3339(now))
    return {"phase": "Pending", "conditions": conditions, "qosClass": qos_class(pod)}


def qos_class(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort, as Kubernetes defines them."""
    needs = [part(container, "resources") for container in parts(pod["spec"], "containers")]
    requests = [part(need, "requests") for need in needs]
    limits = [part(need, "limits") for need in needs]
    names = ("cpu", "memory")
    if not any(name in amounts for amounts in (*requests, *limits) for name in names):
        return "BestEffort"
    guaranteed = all(
        name in limit and request.get(name, limit[name]) == limit[name]
        for request, limit in zip(requests, limits, strict=True)
        for name in names
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _phase(init: Sequence[ContainerView], containers: Sequence[ContainerView]) -> str:
    if any(view.done and not view.succeeded and not view.sidecar for view in init):
        return "Failed"
    begun = any(view.has_started for view in containers)
    if not begun and not all(view.initialized for view in init):
        return "Pending"
    if all(view.done for view in containers):
        return "Succeeded" if all(view.succeeded for view in containers) else "Failed"
    return "Running" if all(view.has_started for view in containers) else "Pending"


def _conditions(
    pod: Object,
    init: Sequence[ContainerView],
    containers: Sequence[ContainerView],
    phase: str,
    terminating: bool,
    now: float,
) -> list[Object]:
    begun = any(view.has_started for view in containers)
    unfinished = [view.name for view in init if not begun and not view.initialized]
    served = [*(view for view in init if view.sidecar), *containers]
    unready = [view.name for view in served if terminating or not view.ready]
    readiness = _condition("ContainersReady", not unready, "ContainersNotReady", "unready", unready)
    over = _OVER.get(phase)
    if over is not None:
        readiness = {"type": "ContainersReady", "status": "False", "reason": over}
    initialized = _condition(
        "Initialized", not unfinished, "ContainersNotInitialized", "incomplete", unfinished
    )
    if phase == "Succeeded":
        initialized["reason"] = over
    wanted = [
        {"type": "PodScheduled", "status": "True"},
        {"type": _SANDBOX, "status": "True" if _has_sandbox(init, containers, phase) else "False"},
        initialized,
        readiness,
        _ready(pod, readiness),
    ]
    conditions = [item for item in conditions_of(pod) if item.get("type") != CONDITION]
    for condition in wanted:
        conditions = with_condition(conditions, condition, now=rfc3339(now))
    return conditions


def _has_sandbox(
    init: Sequence[ContainerView], containers: Sequence[ContainerView], phase: str
) -> bool:
    """Whether a container may start: something has, or lacks only its image, and is not over."""
    return phase not in _OVER and any(
        not isinstance(view.state, Waiting) or view.state.reason not in _CREATING
        for view in (*init, *containers)
    )


def _startup(
    pod: Object, containers: Sequence[ContainerView], scheduled: float, now: float
) -> list[Object]:
    """The times of the first start, once all are known; they never change after."""
    known = condition_of(pod, CONDITION)
    if known is not None:
        return [known]
    begun = [view.state.started_at for view in containers if isinstance(view.state, Running)]
    complete = all(view.ready and view.image_at and not view.restarts for view in containers)
    if not scheduled or not complete or len(begun) < len(containers):
        return []
    startup = Startup(
        scheduled=scheduled,
        image=max(view.image_at for view in containers),
        started=max(begun),
        ready=max(view.ready_at for view in containers),
    )
    return with_condition((), startup_condition(startup), now=rfc3339(now))


def _ready(pod: Object, readiness: Object) -> Object:
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    true = {c["type"] for c in conditions_of(pod) if c.get("status") == "True"}
    missing = [gate for gate in gates if gate not in true]
    if readiness["status"] == "True" and missing:
        message = f'the status of pod readiness gate "{missing[0]}" is not "True"'
        return {
            "type": "Ready",
            "status": "False",
            "reason": "ReadinessGatesNotReady",
            "message": message,
        }
    return {**readiness, "type": "Ready"}


def _condition(kind: str, holds: bool, reason: str, word: str, names: Sequence[str]) -> Object:
    if holds:
        return {"type": kind, "status": "True"}
    message = f"containers with {word} status: [{' '.join(names)}]"
    return {"type": kind, "status": "False", "reason": reason, "message": message}


def _container_status(view: ContainerView, *, ready: bool) -> Object:
    """Its status; `ready` says whether it may count as ready at all."""
    status: Object = {
        "name": view.name,
        "image": view.image,
        "imageID": view.image_id,
        "state": _state(view.state),
        "lastState": _state(view.last) if view.last else {},
        "restartCount": view.restarts,
        "ready": view.ready and ready,
        "started": view.started and isinstance(view.state, Running),
    }
    if view.container_id:
        status["containerID"] = view.container_id
    return status


def _state(state: State) -> Object:
    if isinstance(state, Running):
        return {"running": {"startedAt": rfc3339(state.started_at)}}
    if isinstance(state, Terminated):
        ended: Object = {
            "exitCode": state.exit_code,
            "reason": state.reason,
            "startedAt": rfc3339(state.started_at),
            "finishedAt": rfc3339(state.finished_at),
            "containerID": state.container_id,
        }
        if state.signal:
            ended["signal"] = state.signal
        if state.message:
            ended["message"] = state.message
        return {"terminated": ended}
    waiting: Object = {"reason": state.reason}
    if state.message:
        waiting["message"] = state.message
    return {"waiting": waiting}
