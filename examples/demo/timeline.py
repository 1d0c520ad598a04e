"""The pods of a service over time, followed through a watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tidegate.kube.clock import SystemClock
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Object, is_condition_true, is_deleting, name_of
from tidegate.kube.remote import RemoteClient
from tidegate.kube.resources import PODS


@dataclass(frozen=True)
class Sample:
    """How many pods there were from `seconds` (since the timeline began) on."""

    seconds: float
    starting: int
    ready: int
    leaving: int

    @property
    def total(self) -> int:
        return self.starting + self.ready + self.leaving


@dataclass
class Timeline:
    """Counts of a service's pods, a sample for every change.

    Attributes:
        samples: in order of time.
        seen: the names of all pods there ever were.
    """

    client: RemoteClient
    service: str
    namespace: str = "default"
    samples: list[Sample] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._changed = asyncio.Condition()
        self._pods = Informer(
            self.client,
            PODS,
            clock=SystemClock(),
            namespace=self.namespace,
            label_selector=f"serving.knative.dev/service={self.service}",
        )
        self._dirty = asyncio.Event()
        self._pods.add_handler(lambda _old, _new: self._dirty.set())

    @property
    def now(self) -> float:
        """Seconds since the timeline began."""
        return time.monotonic() - self._began

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods.run())
            await self._pods.wait_synced()
            while True:
                await self._take_sample()
                await self._dirty.wait()
                self._dirty.clear()

    async def wait_until(self, holds: Callable[[Sample], bool], *, timeout: float) -> Sample:
        """The first sample from now on for which `holds`.

        Raises:
            TimeoutError: there was none within `timeout` seconds.
        """
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: bool(self.samples) and holds(self.samples[-1]))
        return self.samples[-1]

    async def _take_sample(self) -> None:
        pods = self._pods.items()
        self.seen.update(name_of(pod) for pod in pods)
        states = [_state(pod) for pod in pods]
        counts = [states.count(state) for state in ("starting", "ready", "leaving")]
        sample = Sample(self.now, *counts)
        last = self.samples[-1] if self.samples else None
        if last is not None and replace(last, seconds=sample.seconds) == sample:
            return
        async with self._changed:
            self.samples.append(sample)
            self._changed.notify_all()


def _state(pod: Object) -> str:
    if is_deleting(pod):
        return "leaving"
    return "ready" if is_condition_true(pod, "Ready") else "starting"
