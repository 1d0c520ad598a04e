"""The demand for a revision, as the gateway sees it and the autoscaler uses it.

This stream is the only thing that goes between parts beside the API: it is too hot for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from tidegate.kube.objects import Key


@dataclass(frozen=True)
class PodLoad:
    """What one pod has to do with requests.

    Attributes:
        name: of the pod.
        in_flight: requests dispatched to it and not yet answered by it.
        sessions_until: when the last session that would come back to it ends, in seconds on the
            clock's `monotonic`; 0 for a pod without sessions.
    """

    name: str
    in_flight: int
    sessions_until: float = 0.0


@dataclass(frozen=True)
class Demand:
    """What a revision's clients want at one instant.

    Attributes:
        revision: namespace and name of the Revision.
        in_flight: requests that pods are working on.
        queued: requests that wait for a free slot of a pod.
        held: requests that wait because there is no pod at all.
        pods: the load of each pod in the gateway, draining ones too.
        requests: requests that arrived since the gateway started; a counter.
        time: seconds on the clock's `monotonic`.
    """

    revision: Key
    in_flight: int
    queued: int
    held: int
    pods: tuple[PodLoad, ...]
    requests: int
    time: float

    @property
    def total(self) -> int:
        return self.in_flight + self.queued + self.held


class DemandSource(Protocol):
    """Where the autoscaler gets demand from: one gateway, or the sum of several."""

    @property
    def gateways(self) -> frozenset[str]:
        """The gateways that may send requests to pods, by name."""
        ...

    def snapshot(self, revision: Key) -> Demand | None:
        """The latest known demand, None for a revision the gateway does not serve."""
        ...

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Demand]]:
        """Demands as they change; a slow reader gets only the latest of each revision."""
        ...
