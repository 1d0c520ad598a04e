"""The rows the pages show, made of API objects, numbers and bills; no input, no output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from tidegate.apis.serving import REVISION_LABEL
from tidegate.console.catalog import event_time
from tidegate.console.costs import Bill
from tidegate.console.settings import Usage
from tidegate.console.states import State, pod_state, restarts, service_state
from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    conditions_of,
    is_condition_true,
    key_of,
    labels_of,
    name_of,
    status_of,
)
from tidegate.observability.cold_starts import ColdStart
from tidegate.observability.slots import Gauges
from tidegate.observability.store import Point

_SPEC = "k8s.aliyun.com/eci-instance-spec"
_WEB = ("http://", "https://")


@dataclass(frozen=True)
class Numbers:
    """How a service or a revision does now.

    Attributes:
        rate: requests answered per second.
        p95: milliseconds, None when nothing was answered.
        success: share 0..1 of answers that were no server's error, None without any.
        gauges: in flight, queued, held, pods desired and ready.
    """

    rate: float
    p95: float | None
    success: float | None
    gauges: Gauges

    @property
    def waiting(self) -> int:
        return self.gauges.queued + self.gauges.held


@dataclass(frozen=True)
class ServiceRow:
    """One line of the list of services."""

    key: Key
    state: State
    url: str
    latest: str
    revisions: int
    pods: int
    ready: int
    numbers: Numbers
    bill: Bill


@dataclass(frozen=True)
class TrafficRow:
    """One revision of a service, with its share of the traffic."""

    revision: str
    state: State
    image: str
    concurrency: str
    percent: int
    tags: tuple[tuple[str, str], ...]
    is_latest: bool
    pods: int
    ready: int
    numbers: Numbers
    age: float


@dataclass(frozen=True)
class PodRow:
    """One pod; `seconds` and `cost` are None while it is not metered."""

    key: Key
    revision: str
    state: State
    spec: str
    restarts: int
    seconds: float | None
    cost: float | None
    age: float


@dataclass(frozen=True)
class Phase:
    """One step of a start from zero.

    Attributes:
        milliseconds: how long it took.
        offset, width: where it lies within the whole, in percent of it.
    """

    name: str
    milliseconds: float
    offset: float
    width: float


@dataclass(frozen=True)
class StartRow:
    """The last start of a revision from zero that a request waited for."""

    revision: str
    pod: str
    milliseconds: float
    phases: tuple[Phase, ...]
    age: float


@dataclass(frozen=True)
class ConditionRow:
    """One condition."""

    type: str
    state: State
    reason: str
    message: str
    age: float | None


@dataclass(frozen=True)
class EventRow:
    """One event."""

    is_warning: bool
    reason: str
    object: str
    message: str
    count: int
    age: float | None


def numbers(point: Point, gauges: Gauges, *, seconds: int) -> Numbers:
    """From what was answered in the last `seconds`."""
    return Numbers(
        rate=point.requests / seconds,
        p95=point.latency.quantile(0.95),
        success=point.success,
        gauges=gauges,
    )


def safe_url(url: Any) -> str:
    """A link a browser may follow, empty for anything that is none."""
    return url if isinstance(url, str) and url.startswith(_WEB) else ""


def service_row(
    service: Object, *, revisions: int, pods: list[Object], numbers: Numbers, bill: Bill
) -> ServiceRow:
    """A line of the list."""
    status = status_of(service)
    return ServiceRow(
        key=key_of(service),
        state=service_state(service),
        url=safe_url(status.get("url")),
        latest=str(status.get("latestReadyRevisionName") or ""),
        revisions=revisions,
        pods=len(pods),
        ready=sum(is_condition_true(pod, "Ready") for pod in pods),
        numbers=numbers,
        bill=bill,
    )


def traffic_row(
    revision: Object, service: Object, *, pods: list[Object], numbers: Numbers, now: float
) -> TrafficRow:
    """A revision and its share."""
    name = name_of(revision)
    status = status_of(service)
    targets = [
        target
        for target in cast("list[Object]", status.get("traffic") or [])
        if target.get("revisionName") == name
    ]
    own = [pod for pod in pods if labels_of(pod).get(REVISION_LABEL) == name]
    spec = cast("Object", revision.get("spec") or {})
    containers = cast("list[Object]", spec.get("containers") or [{}])
    return TrafficRow(
        revision=name,
        state=service_state(revision),
        image=str(containers[0].get("image", "")),
        concurrency=str(spec.get("containerConcurrency") or "no limit"),
        percent=sum(int(target.get("percent") or 0) for target in targets),
        tags=tuple((str(t["tag"]), safe_url(t.get("url"))) for t in targets if t.get("tag")),
        is_latest=status.get("latestReadyRevisionName") == name,
        pods=len(own),
        ready=sum(is_condition_true(pod, "Ready") for pod in own),
        numbers=numbers,
        age=_age(revision["metadata"].get("creationTimestamp"), now) or 0.0,
    )


def pod_row(pod: Object, usage: Usage | None, *, now: float) -> PodRow:
    """A pod and what it has used."""
    return PodRow(
        key=key_of(pod),
        revision=labels_of(pod).get(REVISION_LABEL, ""),
        state=pod_state(pod),
        spec=annotations_of(pod).get(_SPEC, ""),
        restarts=restarts(pod),
        seconds=usage.seconds if usage else None,
        cost=usage.cost if usage else None,
        age=_age(pod["metadata"].get("creationTimestamp"), now) or 0.0,
    )


def start_row(revision: str, start: ColdStart, *, now: float) -> StartRow:
    """A start from zero, cut into its phases; those that took no time are left out."""
    phases: list[Phase] = []
    offset = 0.0
    for name, seconds in start.phases.items():
        width = 100 * seconds / start.seconds if start.seconds else 0.0
        if seconds > 0:
            phases.append(Phase(name, 1000 * seconds, offset, width))
        offset += width
    return StartRow(
        revision=revision,
        pod=start.pod,
        milliseconds=1000 * start.seconds,
        phases=tuple(phases),
        age=max(now - start.since - start.seconds, 0.0),
    )


def condition_rows(obj: Object, *, now: float) -> list[ConditionRow]:
    """The conditions, Ready first."""
    rows = [_condition_row(condition, now) for condition in conditions_of(obj)]
    return sorted(rows, key=lambda row: (row.type != "Ready", row.type))


def _condition_row(condition: Object, now: float) -> ConditionRow:
    status = str(condition.get("status", "Unknown"))
    tone = {"True": "good", "False": "bad"}.get(status, "busy")
    if condition.get("severity") == "Info" and status != "True":
        tone = "calm"
    return ConditionRow(
        type=str(condition.get("type", "")),
        state=State(tone, status),
        reason=str(condition.get("reason") or ""),
        message=str(condition.get("message") or ""),
        age=_age(condition.get("lastTransitionTime"), now),
    )


def event_row(event: Object, *, now: float) -> EventRow:
    """An event and how long ago it last happened."""
    involved = cast("Object", event.get("involvedObject") or {})
    return EventRow(
        is_warning=event.get("type") == "Warning",
        reason=str(event.get("reason") or ""),
        object=f"{involved.get('kind', '')} {involved.get('name', '')}",
        message=str(event.get("message") or ""),
        count=int(event.get("count") or 1),
        age=_age(event_time(event), now),
    )


def _age(time: Any, now: float) -> float | None:
    try:
        return max(now - parse_rfc3339(str(time)), 0.0) if time else None
    except ValueError:
        return None
