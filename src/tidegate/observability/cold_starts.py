"""What a held request waited for: its time at the gateway, cut at the steps of its pod's start.

A request says when it was held, for how long, and which pod took it. When the scale left zero
stands in the status of the PodAutoscaler, when the pod's steps were done in the pod's own. A step
that was done before the request came took none of its time; so the phases always sum to the
seconds that the request was held.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.controller import Context
from tidegate.kube.objects import Key, Object, key_of, status_of
from tidegate.kube.resources import PODS, Resource
from tidegate.kube.startup import Startup, startup_of
from tidegate.observability.scales import REVISION_LABEL
from tidegate.observability.sources import Request

logger = logging.getLogger(__name__)

PHASES = ("decide", "schedule", "image", "start", "ready", "route")

# Of what Knative and Tidegate write there, this part needs one annotation of the status.
POD_AUTOSCALERS = Resource(
    "autoscaling.internal.knative.dev", "v1alpha1", "PodAutoscaler", "podautoscalers", True
)
LEFT_ZERO = "tidegate.dev/left-zero-at"

_BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
_MOST_PENDING = 10_000
# A request may be told of before what its pod and its scale say has come here.
_LAG_SECONDS = 1.0


@dataclass(slots=True)
class PhaseTiming:
    """A histogram of seconds with its sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.total += seconds

    def copy(self) -> PhaseTiming:
        return PhaseTiming(list(self.counts), self.total)

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Prometheus' buckets: each bound, and how many were at most that."""
        so_far = 0
        for bound, number in zip((*_BOUNDS, "+Inf"), self.counts, strict=True):
            so_far += number
            yield str(bound), so_far


@dataclass(frozen=True)
class ColdStart:
    """One held request: its pod, when it was held, and the seconds of each phase."""

    pod: str
    since: float
    phases: Mapping[str, float]

    @property
    def seconds(self) -> float:
        return sum(self.phases.values())


@dataclass
class _Revision:
    timings: dict[str, PhaseTiming] = field(
        default_factory=lambda: {phase: PhaseTiming() for phase in PHASES}
    )
    last: ColdStart | None = None


def phases(since: float, until: float, left_zero: float, startup: Startup) -> dict[str, float]:
    """The seconds of each phase; they sum to `until - since`.

    Args:
        since, until: when the request was held, seconds since the epoch.
        left_zero: when the scale left zero, 0 if that is not known.
        startup: of the pod that took the request.
    """
    done = (left_zero, startup.scheduled, startup.image, startup.started, startup.ready)
    found: dict[str, float] = {}
    reached = since
    for phase, instant in zip(PHASES, (*done, until), strict=True):
        end = max(reached, min(instant, until))
        found[phase] = end - reached
        reached = end
    return found


class ColdStarts:
    """Cold starts by phase of all revisions since the start; runs on the event loop.

    Args:
        context: whose informers show pods and PodAutoscalers.
    """

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._pods = context.informers.of(PODS, label_selector=REVISION_LABEL)
        self._autoscalers = context.informers.of(POD_AUTOSCALERS)
        self._autoscalers.add_handler(self._changed)
        self._revisions: dict[Key, _Revision] = {}
        self._pending: deque[tuple[Key, Request]] = deque(maxlen=_MOST_PENDING)
        self._filled = asyncio.Event()

    def take(self, batch: Sequence[Request]) -> None:
        """Take note of the answered requests that were held and reached a pod."""
        for request in batch:
            if request.revision is not None and request.held_since and request.pod:
                self._pending.append((request.revision, request))
                self._filled.set()

    def timings(self, revision: Key) -> dict[str, PhaseTiming]:
        """Copies of the revision's histograms by phase, empty when it never started cold."""
        known = self._revisions.get(revision)
        return {name: timing.copy() for name, timing in known.timings.items()} if known else {}

    def last(self, revision: Key) -> ColdStart | None:
        """The revision's last cold start."""
        known = self._revisions.get(revision)
        return known.last if known else None

    async def run(self) -> None:
        """Take requests apart until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            await self._clock.sleep(_LAG_SECONDS)
            waiting = list(self._pending)
            self._pending.clear()
            for revision, request in waiting:
                self._count(revision, request)

    def _count(self, revision: Key, request: Request) -> None:
        pod = self._pods.get(request.pod, revision.namespace)
        autoscaler = self._autoscalers.get(revision.name, revision.namespace)
        startup = startup_of(pod) if pod is not None else None
        if startup is None or autoscaler is None:
            # A node that is not ours does not say when its steps were done.
            logger.debug("no times of the start of pod %s of %s", request.pod, revision)
            return
        until = request.held_since + request.cold_start
        parts = phases(request.held_since, until, _left_zero(autoscaler), startup)
        known = self._revisions.setdefault(revision, _Revision())
        for phase, seconds in parts.items():
            known.timings[phase].add(seconds)
        known.last = ColdStart(request.pod, request.held_since, parts)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._revisions.pop(key_of(old), None)


def _left_zero(autoscaler: Object) -> float:
    annotations = cast("Mapping[str, Any]", status_of(autoscaler).get("annotations") or {})
    try:
        return parse_rfc3339(str(annotations[LEFT_ZERO]))
    except (KeyError, ValueError):
        return 0.0
