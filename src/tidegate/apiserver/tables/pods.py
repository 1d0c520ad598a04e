"""Pods in a table: ready containers, the one word that says how it stands, restarts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.apiserver.tables.ages import age
from tidegate.apiserver.tables.columns import AGE, NAME, Cell, Column, Layout, wide
from tidegate.apiserver.tables.common import NONE, age_of, listed, part
from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.objects import Object, condition_of, is_condition_true, is_deleting, name_of


@dataclass(frozen=True)
class Summary:
    """What READY, STATUS and RESTARTS show."""

    ready: int
    total: int
    reason: str
    restarts: int
    last_restart: str


def summarize(pod: Object) -> Summary:
    """The same words as Kubernetes' own printer uses."""
    status = part(pod, "status")
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    init_statuses = listed(status, "initContainerStatuses")
    statuses = listed(status, "containerStatuses")
    init_reason = _init_reason(pod, init_statuses)
    counted = init_statuses
    ready = 0
    if init_reason and not is_condition_true(pod, "Initialized"):
        reason = init_reason
    else:
        counted = statuses
        ready = sum(1 for s in statuses if s.get("ready") and part(s, "state").get("running"))
        reason = _main_reason(pod, statuses, init_reason or reason)
    if is_deleting(pod):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return Summary(
        ready=ready,
        total=len(listed(part(pod, "spec"), "containers")),
        reason=reason,
        restarts=sum(int(s.get("restartCount") or 0) for s in counted),
        last_restart=_latest(
            str(part(s, "lastState", "terminated").get("finishedAt") or "") for s in counted
        ),
    )


def _init_reason(pod: Object, statuses: list[Object]) -> str:
    total = len(listed(part(pod, "spec"), "initContainers"))
    for index, container in enumerate(statuses):
        state = part(container, "state")
        terminated = state.get("terminated")
        if terminated is not None:
            if terminated.get("exitCode") == 0:
                continue
            return f"Init:{_terminated(terminated)}"
        waiting = part(state, "waiting").get("reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{total}"
    return ""


def _main_reason(pod: Object, statuses: list[Object], reason: str) -> str:
    running = False
    for container in reversed(statuses):
        state = part(container, "state")
        waiting = part(state, "waiting").get("reason")
        if waiting:
            reason = str(waiting)
        elif state.get("terminated") is not None:
            reason = _terminated(state["terminated"])
        elif container.get("ready") and state.get("running") is not None:
            running = True
    if reason == "Completed" and running:
        return "Running" if is_condition_true(pod, "Ready") else "NotReady"
    return reason


def _terminated(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _latest(timestamps: Iterable[str]) -> str:
    return max((t for t in timestamps if t), key=parse_rfc3339, default="")


def _row(pod: Object, now: float) -> list[Cell]:
    summary = summarize(pod)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts = f"{restarts} ({age(summary.last_restart, now)} ago)"
    spec, status = part(pod, "spec"), part(pod, "status")
    gates = listed(spec, "readinessGates")
    passed = sum(1 for gate in gates if is_condition_true(pod, str(gate.get("conditionType"))))
    return [
        name_of(pod),
        f"{summary.ready}/{summary.total}",
        summary.reason,
        restarts,
        age_of(pod, now),
        status.get("podIP") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{passed}/{len(gates)}" if gates else NONE,
    ]


PODS = Layout(
    (
        NAME,
        Column("Ready", description="The ready containers of all."),
        Column("Status", description="The state the pod is in."),
        Column("Restarts", description="How often its containers were restarted."),
        AGE,
        wide("IP", description="The address of the pod."),
        wide("Node", description="Where the pod runs."),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ),
    _row,
)
