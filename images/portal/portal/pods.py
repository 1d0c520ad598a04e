"""The pods of the service as the page shows them.

`view_of` reduces a Pod to what a person wants to know of it. `PodWatch` lists the pods about
once a second, for the ServiceAccount may list but not watch, and only while somebody cares: a
page is open or a run is in work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from portal.errors import Forbidden, KubernetesError
from portal.kubernetes import KubernetesClient, Object

LONGEST_BACKOFF = 15.0


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod: `state` is pending, starting, ready, terminating, failed or finished."""

    name: str
    state: str
    detail: str
    revision: str
    node: str
    created: str

    def as_json(self) -> dict[str, str]:
        """The pod as the page receives it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PodSnapshot:
    """The pods at one moment; `error` says why they are not known, `forbidden` that it is a 403."""

    pods: tuple[PodView, ...] = field(default=())
    error: str = ""
    forbidden: bool = False

    def count(self, *states: str) -> int:
        """How many pods are in one of the states."""
        return sum(pod.state in states for pod in self.pods)

    def as_json(self) -> dict[str, Any]:
        """The snapshot as the page receives it."""
        return {
            "pods": [pod.as_json() for pod in self.pods],
            "error": self.error,
            "forbidden": self.forbidden,
        }


def view_of(pod: Object) -> PodView:
    """Reduce a Pod of the API to what is shown of it."""
    metadata: Object = pod.get("metadata") or {}
    status: Object = pod.get("status") or {}
    state, detail = _state(metadata, status)
    labels: Object = metadata.get("labels") or {}
    spec: Object = pod.get("spec") or {}
    return PodView(
        name=str(metadata.get("name", "")),
        state=state,
        detail=detail,
        revision=str(labels.get("serving.knative.dev/revision", "")),
        node=str(spec.get("nodeName") or ""),
        created=str(metadata.get("creationTimestamp") or ""),
    )


def _state(metadata: Object, status: Object) -> tuple[str, str]:
    phase = str(status.get("phase") or "Pending")
    waiting = _waiting_reason(status)
    if metadata.get("deletionTimestamp"):
        return "terminating", ""
    if phase in ("Failed", "Succeeded"):
        reason = str(status.get("reason") or "")
        return ("failed" if phase == "Failed" else "finished"), reason
    if _condition(status, "Ready").get("status") == "True":
        return "ready", ""
    scheduled = _condition(status, "PodScheduled")
    if phase == "Pending" and scheduled.get("status") != "True":
        return "pending", str(scheduled.get("reason") or "")
    return "starting", waiting


def _condition(status: Object, kind: str) -> Object:
    conditions = cast(list[Object], status.get("conditions") or [])
    return next((c for c in conditions if c.get("type") == kind), Object())


def _waiting_reason(status: Object) -> str:
    for container in cast(list[Object], status.get("containerStatuses") or []):
        state: Object = container.get("state") or {}
        waiting: Object = state.get("waiting") or {}
        if waiting.get("reason"):
            return str(waiting["reason"])
    return ""


def backoff(interval: float, failures: int) -> float:
    """Seconds until the next list: the interval, doubled for each failure in a row."""
    return min(interval * 2 ** min(failures, 10), max(LONGEST_BACKOFF, interval))


class PodWatch:
    """Keeps the latest snapshot while at least one `wanted()` block is open."""

    def __init__(
        self,
        kubernetes: KubernetesClient,
        *,
        namespace: str,
        service: str,
        interval: float,
        on_poll: Callable[[], None],
    ) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._selector = f"serving.knative.dev/service={service}"
        self._interval = interval
        self._on_poll = on_poll
        self._wanted = 0
        self._wake = asyncio.Event()
        self._failures = 0
        self.snapshot = PodSnapshot()

    @contextmanager
    def wanted(self) -> Generator[None]:
        """Have the pods listed while the block runs."""
        self._wanted += 1
        self._wake.set()
        try:
            yield
        finally:
            self._wanted -= 1

    async def run(self) -> None:
        """List until cancelled."""
        while True:
            if not self._wanted:
                self._wake.clear()
                await self._wake.wait()
            await self._poll()
            await asyncio.sleep(backoff(self._interval, self._failures))

    async def _poll(self) -> None:
        try:
            pods = await self._kubernetes.list_pods(self._namespace, self._selector)
        except KubernetesError as error:
            self._failures += 1
            forbidden = isinstance(error, Forbidden)
            self.snapshot = PodSnapshot(error=str(error), forbidden=forbidden)
        else:
            self._failures = 0
            views = sorted(map(view_of, pods), key=lambda pod: (pod.created, pod.name))
            self.snapshot = PodSnapshot(pods=tuple(views))
        self._on_poll()
